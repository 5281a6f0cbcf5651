"""The router card: what was evaluated and on what, and what the figures do not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmrouter_plugin_report.content import Block, Items, Table
from llmrouter_plugin_report.figures import count, known, name
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.words import FEWEST

_DEEPEST = 4
_LONGEST = 200  # letters of a value before it is cut
_UNITS = {
    "input_price": "input, $ per million tokens",
    "output_price": "output, $ per million tokens",
    "size": "size, billion parameters",
}


def blocks(run: Run) -> list[Block]:
    """Return the card of *run* as tables: lists of records their own, the rest as facts."""
    report = run.report
    facts: dict[str, Any] = {
        "queries": report.queries,
        "resamples": report.resamples,
        "seed": report.seed,
        **report.card,
        "baselines": [row.policy for row in report.rows[1:]],
    }
    lists = {key: value for key, value in facts.items() if _records(value)}
    rest = {key: value for key, value in facts.items() if key not in lists}
    found: list[Block] = [
        Table(
            caption="Data, splits, versions and seeds",
            heads=("what", "value"),
            rows=tuple((name(place), text) for place, text in _flat(rest)),
            words=frozenset({1}),
        )
    ]
    return found + [_table(name(str(key)), value) for key, value in lists.items()]


def limits(run: Run) -> Items:
    """Return what the figures of *run* do not say."""
    report, router = run.report, run.router
    found = [
        "Recorded answers were replayed: nothing is said about other kinds of queries, later "
        "versions of the models or other prices.",
        f"Intervals come from {count(report.resamples)} bootstrap resamples of the queries. They "
        "cover the luck of the draw of queries, not that of training anew.",
    ]
    few = min(row.answered for row in report.rows)
    if few < report.queries:
        found.append(
            f"Scores are missing: each policy's mean is over the queries it has one for, from "
            f"{count(few)} of {count(report.queries)} on; a gain is over those both sides have."
        )
    if router.answered < FEWEST:
        found.append(f"Fewer than {FEWEST} queries were scored: intervals are too narrow.")
    unpriced = [name(point.label) for point in report.singles if not known(point.cost)]
    if unpriced:
        found.append(f"What these models cost is unknown: {', '.join(unpriced)}.")
    if not report.card:
        found.append("The report has no card: which data and which parts it is about is unknown.")
    return Items(tuple(found))


def _records(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)
    )


def _table(caption: str, records: list[Mapping[str, Any]]) -> Table:
    keys = list(dict.fromkeys(str(key) for record in records for key in record))
    return Table(
        caption=caption.replace("_", " ").capitalize(),
        heads=tuple(_UNITS.get(key, name(key).replace("_", " ")) for key in keys),
        rows=tuple(tuple(_text(record.get(key)) for key in keys) for record in records),
        words=frozenset(range(len(keys))),
    )


def _flat(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield every fact in nested tables with its place, such as `train queries`."""
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _flat(inner, f"{place} {key}".strip().replace("_", " "), depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        yield place, ", ".join(map(_text, value)) or "none"
    else:
        yield place, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return name(str(value), _LONGEST)
