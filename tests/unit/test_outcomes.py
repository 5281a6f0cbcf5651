"""Files of outcomes: every kind of damage has a name and a row number, and the rest is used."""

import csv
import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouter_core import Dataset, DatasetError
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.outcomes import COLUMNS, Repairs, Stats, rows, write_rows
from llmrouter_core.outcomes.fingerprints import Fingerprints

MODELS = ("small", "middle", "large", "huge", "tiny")
ROWS = 5000


def row(number: int) -> dict[str, Any]:
    """Return what stands in line *number* of the whole file, from 1: five models a query."""
    query, model = divmod(number - 1, 5)
    return {
        "id": f"q{query}",
        "query": f"What is {query} plus {query}?",
        "task": "sums",
        "group": f"g{query // 4}",
        "model": MODELS[model],
        "status": "ok",
        "score": model / 4,
        "input_tokens": 9,
        "output_tokens": 3,
        "cost": 0.001,
        "latency": 0.5,
    }


def changed(number: int, **changes: Any) -> bytes:
    return json.dumps({**row(number), **changes}).encode()


def without(number: int, name: str) -> bytes:
    return json.dumps({k: v for k, v in row(number).items() if k != name}).encode()


# Line, what stands there, what is said of it, and how it is counted.
DAMAGE: list[tuple[int, bytes, str, str]] = [
    (
        101,
        without(101, "query"),
        "'query' must be a text that is not empty, but is missing",
        "no query",
    ),
    (
        152,
        without(152, "model"),
        "'model' must be a text that is not empty, but is missing",
        "no model",
    ),
    (203, without(203, "score"), "'score' is missing; a failed call", "no score"),
    (304, changed(304, query=float("nan")), "'query' must be a text, got nan", "a text that is"),
    (405, changed(405, query=" \n"), "'query' must be a text that is not", "an empty query"),
    (506, changed(501), "model 'small' for the same query; the first is in row 501", "a second"),
    (607, changed(607, score="high"), "'score' must be a number, got 'high'", "a number of the"),
    (
        658,
        changed(658, score=True),
        "'score' must be a number, got True (bool)",
        "a number of the",
    ),
    (709, changed(709, model="other"), "model 'other' is not in the pool", "an unknown model"),
    (810, b'{"query": "caf\xe9", "model": "small"}', "is not UTF-8", "a row that is not UTF-8"),
    (
        911,
        changed(911, cost=float("inf")),
        "'cost' must be a finite number",
        "a number that is not",
    ),
    (
        962,
        changed(962, latency=10**400),
        "'latency' must be a finite number",
        "a number that is not",
    ),
    (1013, changed(1013, output_tokens=-1), "'output_tokens' must be", "a negative number"),
    (1114, changed(1114, score=1.5), "'score' must be from 0 to 1, got 1.5", "a score above 1"),
    (1215, changed(1215, status="error"), "only an answer that is ok has a score", "a score on a"),
    (
        1316,
        changed(1316, status="late"),
        "'status' is 'late', not one of ok,",
        "an unknown status",
    ),
    (1417, changed(1417, id="q1"), "id 'q1' already belongs to another query", "another query"),
    (1518, changed(1518, task="proofs"), "already belongs to another task", "another task"),
    (1619, changed(1619, group="g9"), "already belongs to another group", "another group"),
    (1720, changed(1720, user="ada"), "already belongs to another user", "another user"),
    (1821, b'{"query": "half', "is not JSON (", "a row that is not JSON"),
    (1922, b'["a", "list"]', "is not a JSON object", "a row that is not a JSON object"),
    (2023, b'{"cost": ' + b"9" * 5000 + b"}", "is not JSON (Exceeds", "a row that is not JSON"),
    (
        2124,
        changed(2124, id="a\x1b[31m"),
        "'id' has a control character: '",
        "a control character",
    ),
    (2225, changed(2225, text="a\0b"), "'text' has a NUL character", "a NUL character"),
    (2326, changed(2326, text=["a"]), "'text' must be a text, got ['a'] (list)", "a text that is"),
    (
        2427,
        changed(2427, better="small", worse="tiny"),
        "an outcome and a preference",
        "an outcome",
    ),
    (2528, changed(2528, model=""), "'model' must be a text that is not empty", "an empty model"),
    (2629, changed(2629, group=1.5), "'group' must be a text, got 1.5 (float)", "a text that is"),
]


def lines(damaged: list[tuple[int, bytes, str, str]]) -> bytes:
    found = [json.dumps(row(number)).encode() for number in range(1, ROWS + 1)]
    for number, line, _, _ in damaged:
        found[number - 1] = line
    return b"\n".join(found) + b"\n"


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: f"{damage[0]} {damage[3]}")
def test_each_damage_is_named_with_its_row_number(tmp_path: Path, damage) -> None:
    """One damaged row in 5,000 stops the reading, and the message says where to look."""
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(lines([damage]))

    with pytest.raises(DatasetError) as caught:
        Dataset.read(path, models=MODELS)

    number, _, message, _ = damage
    assert str(caught.value).startswith(f"{path}:{number}: ")
    assert message in str(caught.value)


def test_with_skip_bad_the_rest_is_used_and_counted(tmp_path: Path) -> None:
    """All kinds of damage in one file: each is named with its row, no other row is touched."""
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(lines(DAMAGE))
    repairs = Repairs()

    data = Dataset.read(path, skip_bad=True, models=MODELS, repairs=repairs)

    assert len({kind for _, _, _, kind in DAMAGE}) >= 20
    assert data.skipped == repairs.total("dropped: ") == len(DAMAGE)
    assert int((data.status == 1).sum()) == ROWS - len(DAMAGE)
    for number, _, _, kind in DAMAGE:
        [what] = [w for w, found in repairs.lines.items() if number in found]
        assert what.startswith(f"dropped: {kind}")
    untouched = data.quality[900]
    assert untouched.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_what_is_left_of_a_gzipped_file_is_used(tmp_path: Path) -> None:
    """A download that broke off: everything before the cut, and a count of one."""
    path = tmp_path / "outcomes.jsonl.gz"
    whole = gzip.compress(lines([]), mtime=0)
    path.write_bytes(whole[: len(whole) // 2])
    repairs = Repairs()

    data = Dataset.read(path, skip_bad=True, repairs=repairs)

    [(what, where)] = repairs.lines.items()
    assert what == "dropped: the rest of a gzipped file that is damaged or cut short"
    assert where[0] == int((data.status == 1).sum()) + 1
    assert 100 < len(data) < ROWS / 5
    with pytest.raises(DatasetError, match=rf":{where[0]}: the file is damaged or cut short here"):
        Dataset.read(path)


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path, monkeypatch: Any) -> None:
    """A line over the limit is one damaged row; the rows after it are read."""
    monkeypatch.setattr("llmrouter_core.outcomes.jsonl._LONGEST", 1 << 12)
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b"\n".join([changed(1), b'{"query": "' + b"x" * 20_000, changed(2)]))
    repairs = Repairs()

    found = [number for number, _ in rows(path, repairs=repairs)]

    assert found == [1, 3]
    assert list(repairs.sentences()) == ["1 x dropped: a row that is too long (row 2)"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1,What?,small", "has 3 fields, the header has 18"),
        ("q1,What?,,,,small,,high" + "," * 10, "'score' must be a number, got 'high' (str)"),
        ("q1,What?,,,,small,,True" + "," * 10, "'score' must be a number, got 'True' (str)"),
        (
            "q1,What?,,,,small,,nan" + "," * 10,
            "'score' must be a finite number from 0 up, got nan",
        ),
        ("q1,,,,,small,,1" + "," * 10, "'query' must be a text that is not empty, but is missing"),
        ("q1,caf\udce9,,,,small,,1" + "," * 10, "is not UTF-8; save the file as UTF-8"),
        (
            "q1,What?,,,,,,," + ",,,,,,,small,tiny,maybe",
            "'tie' must be true or false, got 'maybe'",
        ),
    ],
)
def test_damage_in_csv_is_named_by_the_line_a_row_begins_on(tmp_path: Path, line, message) -> None:
    """A row of several lines counts where it begins."""
    path = tmp_path / "outcomes.csv"
    good = 'q0,"two\nlines",,,,small,,1' + "," * 10
    text = "\n".join([",".join(COLUMNS), good, line, good.replace("small", "tiny")])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    repairs = Repairs()

    with pytest.raises(DatasetError) as caught:
        Dataset.read(path)
    data = Dataset.read(path, skip_bad=True, repairs=repairs)

    assert str(caught.value).startswith(f"{path}:4: ")
    assert message in str(caught.value)
    assert (data.models, data.skipped) == (("small", "tiny"), 1)
    assert list(repairs.lines.values()) == [[4]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "query,score",
            "the column 'model' is missing; there are: query, score",
        ),
        ("Query,model", "the column 'query' is missing"),
        ("query,model,model", "the column 'model' is there twice"),
    ],
)
def test_a_table_without_its_columns_is_refused(tmp_path: Path, header, message) -> None:
    """At once, and not row by row."""
    path = tmp_path / "outcomes.csv"
    path.write_text(f"{header}\na,b,c\n")

    with pytest.raises(DatasetError, match=f":1: {message}"):
        Dataset.read(path, skip_bad=True)


def test_a_text_longer_than_pythons_own_limit_is_read(tmp_path: Path) -> None:
    """A prompt may be a book."""
    path = tmp_path / "outcomes.csv"
    long = "a b, " * 50_000

    write_rows([{"query": long, "model": "small", "score": 1.0}], path)

    assert Dataset.read(path).queries[0].text == long


def test_parquet_says_what_is_wrong(tmp_path: Path) -> None:
    """Not Parquet, a column missing, a column of another type."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "outcomes.parquet"

    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DatasetError, match="is not Parquet, or damaged"):
        Dataset.read(path)
    parquet.write_table(arrow.table({"query": ["a"], "score": [1.0]}), path)
    with pytest.raises(DatasetError, match="the column 'model' is missing"):
        Dataset.read(path)
    table = {"query": ["a", "b"], "model": ["m", "m"], "score": ["1", "0"]}
    parquet.write_table(arrow.table(table), path)
    with pytest.raises(DatasetError, match=":1: 'score' must be a number, got '1'"):
        Dataset.read(path)


def test_without_pyarrow_parquet_says_how_to_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    """The library is asked for only when such a file is named."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(DatasetError, match=r"pip install llmrouter-core\[parquet\]"):
        Dataset.read(tmp_path / "outcomes.parquet")


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.pt", "a.csv.pkl.gz", "renamed.jsonl"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    """By name, and by their first bytes."""
    import pickle

    path = tmp_path / name
    path.write_bytes(pickle.dumps([1, 2]))

    with pytest.raises(DatasetError, match=r"is a pickle .* run the code in it"):
        Dataset.read(path)


GOOD = {
    "a.jsonl": lines([])[:2000],
    "a.jsonl.gz": gzip.compress(lines([])[:2000], mtime=0),
    "a.csv": b"query,model,score,status,tie\n" + b'"two\nlines",small,1,ok,\n' * 20,
}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(GOOD)),
    places=st.lists(st.tuples(st.integers(0, 1999), st.binary(max_size=6)), max_size=8),
    end=st.integers(0, 2000),
)
def test_whatever_is_in_a_file_the_only_error_is_a_sentence(
    tmp_path_factory: Any, name: str, places: list[tuple[int, bytes]], end: int
) -> None:
    """Bytes changed anywhere, the file cut anywhere: rows, or a DatasetError."""
    content = bytearray(GOOD[name])
    for place, new in places:
        content[place : place + len(new)] = new
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(content[:end])
    repairs = Repairs()

    for skip in (None, repairs):
        said, found = f"{path}:", []
        try:
            found = list(rows(path, repairs=skip))
        except DatasetError as error:
            said = str(error)

        assert said.startswith(f"{path}:")
        assert all(one["query"].strip() and one["id"] for _, one in found)


def test_a_column_may_be_called_as_archives_begin(tmp_path: Path) -> None:
    """PK is the name of a key in many a table."""
    path = tmp_path / "outcomes.csv"
    path.write_text("PK,query,model,score\n1,Why?,small,1\n")

    assert Dataset.read(path).models == ("small",)


def test_writing_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """An older file of the same name stays as it was."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text("older")

    def broken() -> Iterator[dict[str, Any]]:
        yield row(1)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        write_rows(broken(), path)

    assert path.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["outcomes.jsonl"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.jsonl.gz"])
def test_reading_and_writing_stream(tmp_path: Path, name: str) -> None:
    """Twenty times the rows take hardly more memory: what grows is 16 bytes a row."""

    def peak(queries: int) -> int:
        source = ({**row(n), "query": f"{n} " * 200, "id": f"i{n}"} for n in range(1, queries + 1))
        write_rows(source, tmp_path / "in.jsonl")
        tracemalloc.start()
        write_rows((one for _, one in rows(tmp_path / "in.jsonl")), tmp_path / name)
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    peak(10)  # imports

    assert peak(4000) - peak(200) < 600_000
    assert (tmp_path / "in.jsonl").stat().st_size > 150_000


def test_equal_hashes_are_told_apart_by_their_keys() -> None:
    """The table grows without losing a key, narrow or wide."""
    for wide in (False, True):
        seen = Fingerprints(wide=wide)
        for key in range(20_000):
            assert seen.first(("key", key), key, 2 * key) is None

        assert len(seen) == 20_000
        assert all(
            seen.first(("key", key), 7) == (key, 2 * key if wide else 0) for key in range(20_000)
        )


def test_users_who_ask_the_same_share_a_group(tmp_path: Path) -> None:
    """Each is a query of its own, and none is split from the others."""
    path = tmp_path / "outcomes.jsonl"
    asked = [{"query": "Why?", "model": "m", "score": 1, "user": user} for user in ("ada", "bob")]
    asked.append({"query": "Why?", "model": "m", "score": 1})
    write_rows(asked, path)

    data = Dataset.read(path)

    assert data.users == ("ada", "bob", "")
    assert len(set(data.ids)) == 3
    assert set(data.groups) == {data.ids[2]}
    assert data.queries[0].user == "ada"


# ---------------------------------------------------------------------------- llmrouter dataset


def run(*arguments: object) -> Result:
    return CliRunner().invoke(llmrouter, ["dataset", *(str(argument) for argument in arguments)])


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(lines([]))
    return path


def test_convert_keeps_every_column(tmp_path: Path) -> None:
    """There and back again, the rows are equal."""
    first, table, last = (tmp_path / name for name in ("a.jsonl", "b.csv.gz", "c.jsonl"))
    failed = {"status": "timeout", "score": None, "error": "after 30 s", "finish": "length"}
    vote = {"id": "q0", "query": row(1)["query"], "task": "sums", "group": "g0"}
    write_rows(
        [
            row(1),
            {**row(2), "text": "4\n"},
            {**row(3), **failed},
            {**vote, "better": "small", "worse": "large", "tie": False},
        ],
        first,
    )

    there, back = run("convert", first, table), run("convert", table, last)

    assert (there.exit_code, back.exit_code) == (0, 0), there.stderr + back.stderr
    assert there.stderr == f"4 rows in {table}\n"
    assert [r for _, r in rows(last)] == [r for _, r in rows(first)]
    with gzip.open(table, "rt", newline="") as text:
        assert tuple(next(csv.reader(text))) == COLUMNS


def test_convert_names_damage_and_can_skip_it(tmp_path: Path) -> None:
    """Without --skip-bad nothing is written."""
    path, out = tmp_path / "outcomes.jsonl", tmp_path / "out.csv"
    path.write_bytes(lines(DAMAGE[:2]))

    strict = run("convert", path, out)
    lenient = run("convert", path, out, "--skip-bad")

    assert strict.exit_code == 2
    assert f"{path}:101: 'query' must be a text that is not empty, but is missing" in strict.stderr
    assert "warning: 1 x dropped: no query (row 101)" in lenient.stderr
    assert lenient.exit_code == 0
    assert f"{ROWS - 2:,} rows in" in lenient.stderr
    assert run("convert", path, path).exit_code == 2
    assert "is a folder; say what wrote it: --from" in run("convert", tmp_path, out).stderr


def test_stats_count_what_the_file_holds(outcomes: Path) -> None:
    """As JSON and as tables; damaged rows are warned of and not counted."""
    outcomes.write_bytes(lines(DAMAGE[:1]) + changed(1, id="again", group="g0"))

    result = run("stats", outcomes, "--json")
    shown = run("stats", outcomes)

    found = json.loads(result.stdout)
    assert (found["rows"], found["queries"], found["groups"]) == (5000, 1001, 250)
    assert (found["duplicates"], found["damaged"]) == (1, {"dropped: no query": 1})
    assert found["tasks"] == {"sums": 1001}
    assert found["models"]["huge"]["score"] == 0.75
    assert found["models"]["small"]["cost"] == pytest.approx(0.001)
    assert found["coverage"] == pytest.approx(5000 / 5005)
    assert "1,001 queries x 5 models, 5,000 rows, 99.9% of the cells scored" in shown.stdout
    assert "dropped: no query (row 101)" in shown.stderr
    assert Stats.of([]).coverage == 0


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{\0}\0", b"{broken\n"])
def test_a_file_without_outcomes_has_no_stats(tmp_path: Path, content: bytes) -> None:
    """A script must see it by the exit code."""
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(content)

    result = run("stats", path)

    assert result.exit_code == 2
    assert "holds no outcomes that could be kept" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("name", ["out.xls", "out", "out.gz", "out.csv.bak"])
def test_convert_writes_no_format_that_it_has_to_guess(
    outcomes: Path, tmp_path: Path, name: str
) -> None:
    """JSONL called .xls helps nobody."""
    result = run("convert", outcomes, tmp_path / name)

    assert result.exit_code == 2
    assert "its name says no format; name it .jsonl, .csv or .parquet" in result.stderr
    assert not (tmp_path / name).exists()


def test_split_keeps_groups_whole_and_texts_in_their_rows(outcomes: Path, tmp_path: Path) -> None:
    """The same draw as in Python; answers stay, and no row is lost."""
    parts = tmp_path / "parts"

    result = run("split", outcomes, "--test", "0.2", "--seed", "5", "--out", parts)

    train, test = Dataset.read(parts / "train.jsonl"), Dataset.read(parts / "test.jsonl")
    assert result.exit_code == 0, result.stderr
    assert not set(train.groups) & set(test.groups)
    assert (len(train), len(test)) == (800, 200)
    assert test.ids == Dataset.read(outcomes).split(0.2, seed=5)[1].ids
