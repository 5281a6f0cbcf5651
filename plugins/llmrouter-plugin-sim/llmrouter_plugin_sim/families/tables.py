"""Reading a small table whose columns are divided by bars."""

import re
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_MOST = re.compile(r"which (\w+) has the (highest|largest|lowest|smallest) (\w+)\?", re.IGNORECASE)
_CELL = re.compile(r"what is the (\w+) of (?:the )?(\w+)\?", re.IGNORECASE)
_TOTAL = re.compile(
    r"what is the (?:total|sum of the)(?: of the)? (\w+)(?: column)?\?", re.IGNORECASE
)
_ABOVE = re.compile(
    r"how many (?:\w+ )?have an? (\w+) (?:above|over|greater than) (\d{1,9})\?", re.IGNORECASE
)
_NUMBER = re.compile(r"-?\d{1,9}")


def _parse(text: str) -> tuple[str, list[str], list[list[str]]] | None:
    """Return question, header and rows, or None where there is no proper table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    table = [line for line in lines if "|" in line]
    question = [line for line in lines if "|" not in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    cells = [row for row in cells if not all(set(cell) <= set("-: ") for cell in row)]
    if len(cells) < 2 or not question or len({len(row) for row in cells}) != 1:
        return None
    return question[-1], [name.lower() for name in cells[0]], cells[1:]


def _read(text: str) -> Problem | None:
    parsed = _parse(text) if "|" in text else None
    if parsed is None:
        return None
    question, header, rows = parsed
    question = question[question.rfind(":") + 1 :].strip()
    names = [row[0] for row in rows]
    if len(set(names)) != len(names):
        return None
    columns = {
        name: [int(row[place]) for row in rows]
        for place, name in enumerate(header)
        if place and all(_NUMBER.fullmatch(row[place]) for row in rows)
    }
    key = f"{question.lower()} {rows}"
    size = min(1.0, (len(rows) - 3) / 4) if len(rows) > 3 else 0.0
    found = _MOST.fullmatch(question)
    if found and found[1].lower() == header[0] and found[3].lower() in columns:
        values = columns[found[3].lower()]
        wanted = max(values) if found[2].lower() in ("highest", "largest") else min(values)
        if values.count(wanted) > 1:
            return None
        truth = names[values.index(wanted)]
        others = tuple(name for name in names if name != truth)
        return Problem(key=key, truth=truth, others=others, difficulty=size / 2)
    if found := _TOTAL.fullmatch(question):
        counted = columns.get(found[1].lower())
        return _number(key, sum(counted), 0.5 + size / 2) if counted else None
    if found := _ABOVE.fullmatch(question):
        counted = columns.get(found[1].lower())
        above = sum(value > int(found[2]) for value in counted or ())
        return _number(key, above, 0.3 + size / 2) if counted else None
    if (found := _CELL.fullmatch(question)) and found[1].lower() in columns:
        for name, value in zip(names, columns[found[1].lower()], strict=True):
            if name.lower() == found[2].lower():
                return _number(key, value, size / 4)
    return None


def _number(key: str, value: int, difficulty: float) -> Problem:
    return Problem(key=key, truth=str(value), kind="number", difficulty=difficulty)


_ITEMS = ("lamp", "chair", "table", "shelf", "mirror", "carpet", "clock", "vase", "desk", "stool")


def _write(rng: Random, level: Level) -> str:
    items = rng.sample(_ITEMS, (3, 5, 7)[level])
    prices = rng.sample(range(5, 95), len(items))
    stocks = rng.sample(range(1, 60), len(items))
    rows = [f"{a} | {b} | {c}" for a, b, c in zip(items, prices, stocks, strict=True)]
    if rng.random() < 0.5:
        rows = [f"| {row} |" for row in ("item | price | stock", "--- | --- | ---", *rows)]
    else:
        rows = ["item | price | stock", *rows]
    column = rng.choice(("price", "stock"))
    easy = (
        f"What is the {column} of the {rng.choice(items)}?",
        f"Which item has the {rng.choice(('highest', 'lowest'))} {column}?",
    )
    hard = (
        f"What is the total {column}?",
        f"What is the sum of the {column} column?",
        f"How many items have a {column} above {rng.randint(15, 45)}?",
    )
    question = rng.choice(easy if level == 0 or (level == 1 and rng.random() < 0.5) else hard)
    table = "\n".join(rows)
    return rng.choice(
        (f"{table}\n\n{question}", f"Read this table:\n\n{table}\n\n{question}",
         f"{table}\n\nAnswer from the table: {question}")
    )  # fmt: skip


TABLES = Family(
    name="tables",
    example="item | price\nlamp | 30\nchair | 45\n\nWhich item has the highest price?",
    method=(
        "The header says which column is meant.",
        "Each row of that column is read once.",
        "The values are compared or added, as the question asks.",
        "No row was left out.",
    ),
    layout=True,
    write=_write,
    read=_read,
)
