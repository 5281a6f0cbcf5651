"""Outcomes: what is read is checked line by line, what is split stays whole."""

import gzip
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrouter_core import Dataset, DatasetError, Query, Trainable
from llmrouter_core.training import MEASURES, STATUSES, Preference, query_id

GOOD = {"query": "Hello", "model": "a", "score": 1.0}


def line(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        (line(query=None), "'query' must be a text that is not empty, but is missing"),
        (line(query=" "), "'query' must be a text that is not empty"),
        (line(model=3), "'model' must be a text, got 3 (int)"),
        (line(model="b", task=[3]), "'task' must be a text, got [3] (list)"),
        ('{"query": "Hello", "model": "b"}', "'score' is missing; a failed call has a status"),
        (line(model="b", score="1"), "'score' must be a number, got '1' (str)"),
        (line(model="b", score=True), "'score' must be a number, got True (bool)"),
        (line(model="b", score=1.5), "'score' must be from 0 to 1, got 1.5"),
        (line(model="b", score=-0.5), "'score' must be a finite number from 0 up"),
        (
            line(model="b", score=float("nan")),
            "'score' must be a finite number from 0 up, got nan",
        ),
        (line(model="b", cost=float("inf")), "'cost' must be a finite number from 0 up, got inf"),
        (line(model="b", output_tokens=10**400), "'output_tokens' must be a finite number"),
        (line(model="b", latency=[]), "'latency' must be a number, got [] (list)"),
        (line(), "a second outcome of model 'a' for the same query"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, second, message) -> None:
    """Blank lines count, so that an editor finds the place."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text(f"{line()}\n\n{second}\n")

    with pytest.raises(DatasetError) as caught:
        Dataset.read(path)

    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)


def test_one_id_belongs_to_one_query(tmp_path: Path) -> None:
    """Zero is an id like any other."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text(f"{line(id=0)}\n{line(id=0, model='b', query='Bye')}\n")

    with pytest.raises(DatasetError, match=r":2: id '0' already belongs to another query"):
        Dataset.read(path)


GZIPPED = gzip.compress("".join(f"{line(query=f'{n} ' * n)}\n" for n in range(1, 90)).encode())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "holds no outcomes"),
        ("blank.jsonl", b"\n \n", "holds no outcomes"),
        ("latin.jsonl", b'{"query": "caf\xe9"}', ":1: is not UTF-8; save the file as UTF-8"),
        ("utf16.jsonl", line().encode("utf-16"), ":1: is UTF-16; save it as UTF-8"),
        ("cut.jsonl.gz", GZIPPED[:-20], "damaged or cut short here, and nothing after it can be"),
        ("flipped.jsonl.gz", GZIPPED[:40] + b"\xff\xff\xff\xff" + GZIPPED[44:], ""),
        ("plain.jsonl.gz", line().encode(), ":1: the file is damaged or cut short here"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name, content, message) -> None:
    """Empty, another encoding, cut short, changed, or not what its name says."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DatasetError) as caught:
        Dataset.read(path)

    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Missing, or a folder."""
    with pytest.raises(DatasetError, match="No such file"):
        Dataset.read(tmp_path / "missing.jsonl")
    with pytest.raises(DatasetError, match="directory"):
        Dataset.read(tmp_path)


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    """Files come from everywhere."""
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(f"{line()}\r\n{line(model='b', score=0)}\r\n".encode("utf-8-sig"))

    data = Dataset.read(path)

    assert data.models == ("a", "b")
    assert data.quality.tolist() == [[1.0, 0.0]]


def test_failed_calls_are_kept_and_are_no_wrong_answers(tmp_path: Path) -> None:
    """A status that is null or ok is no failure; nor is an answer cut short."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text(
        "\n".join(
            [
                line(status="ok"),
                line(model="b", status="timeout", score=None, cost=0.5),
                line(model="c", status=None),
                line(model="d", status="error", score=None),
                line(model="e", status="truncated", score=None, output_tokens=512),
            ]
        )
    )

    data = Dataset.read(path)

    assert data.failures == 2
    assert data.models == ("a", "b", "c", "d", "e")
    assert [STATUSES[code] for code in data.status[0]] == [
        "ok",
        "timeout",
        "ok",
        "error",
        "truncated",
    ]
    np.testing.assert_array_equal(data.quality, [[1, np.nan, 1, np.nan, np.nan]])
    assert (data.cost[0, 1], data.output_tokens[0, 4]) == (0.5, 512)


def test_groups_and_ids_may_be_numbers_and_zero(tmp_path: Path) -> None:
    """A cluster numbered 0 holds together like the others."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text("\n".join(line(query=f"q{n}", id=n, group=n // 3, task="t") for n in range(6)))

    data = Dataset.read(path)

    assert data.ids == tuple("012345")
    assert data.groups == ("0", "0", "0", "1", "1", "1")


# ---------------------------------------------------------------------------- write and read

PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")  # two halves in a row are one character
texts = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: text.strip() and not PAIR.search(text)
)
names = st.text(st.characters(exclude_categories=["Cc"]), min_size=1, max_size=20).filter(
    lambda text: text.strip() and not PAIR.search(text)
)
cells = st.none() | st.floats(0, 1e9, allow_nan=False)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Return a data set that a file can hold: every query and model was asked."""
    asked = draw(
        st.lists(
            st.tuples(texts, st.sampled_from(["", "maths", "Köche"]), st.just("") | names),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    models = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    shape = (len(asked), len(models))
    size = shape[0] * shape[1]

    def matrix(values: st.SearchStrategy[Any]) -> np.ndarray:
        found = draw(st.lists(values, min_size=size, max_size=size))
        return np.array([np.nan if value is None else value for value in found]).reshape(shape)

    status = matrix(st.integers(0, len(STATUSES) - 1)).astype(np.uint8)
    status[(status == 0).all(axis=1), 0] = 4
    status[0, (status == 0).all(axis=0)] = 1
    known = status > 0
    groups = draw(st.lists(names, min_size=shape[0], max_size=shape[0]))
    judged = draw(
        st.lists(st.tuples(st.integers(0, shape[0] - 1), st.permutations(models), st.booleans()))
        if len(models) > 1
        else st.just([])
    )
    return Dataset(
        queries=tuple(Query(text=text) for text, _, _ in asked),
        models=tuple(models),
        quality=np.where(status == 1, matrix(st.floats(0, 1)), np.nan),
        status=status,
        tasks=tuple(task for _, task, _ in asked),
        groups=tuple(groups),
        users=tuple(user for _, _, user in asked),
        ids=tuple(query_id(task, text, user) for text, task, user in asked),
        preferences=tuple(
            Preference(query=i, user=asked[i][2], better=order[0], worse=order[1], tie=tie)
            for i, order, tie in judged
        ),
        **{name: np.where(known, matrix(cells), np.nan) for name in MEASURES[1:]},
    )


@settings(max_examples=60, deadline=None)
@given(data=datasets(), zipped=st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory: Any, data: Dataset, zipped: bool) -> None:
    """Every cell, to the last bit, whatever the texts; halves of surrogate pairs too."""
    path = tmp_path_factory.mktemp("round") / ("o.jsonl.gz" if zipped else "o.jsonl")

    data.write(path)
    found = Dataset.read(path)

    check_equal(found, data)


TABLES = ["o.csv", "o.csv.gz", *(["o.parquet"] if find_spec("pyarrow") else [])]


@settings(max_examples=40, deadline=None)
@given(data=datasets(), name=st.sampled_from(TABLES))
def test_tables_hold_the_same(tmp_path_factory: Any, data: Dataset, name: str) -> None:
    """CSV and Parquet too; a text that has no bytes in UTF-8 is said to have none."""
    path = tmp_path_factory.mktemp("round") / name
    words = [*data.models, *data.groups, *data.users, *(query.text for query in data.queries)]
    if any("\ud800" <= letter <= "\udfff" for letter in "".join(words)):
        with pytest.raises(DatasetError, match=r"half of a surrogate pair.*write \.jsonl"):
            data.write(path)
        assert list(path.parent.iterdir()) == []
        return

    data.write(path)
    found = Dataset.read(path)

    check_equal(found, data)


def check_equal(found: Dataset, data: Dataset) -> None:
    """Compare the cells by name: columns and rows come in the order of the file."""
    assert set(found.models) == set(data.models)
    order = [found.models.index(model) for model in data.models]
    for name in (*MEASURES, "status"):
        np.testing.assert_array_equal(getattr(found, name)[:, order], getattr(data, name))
    for name in ("ids", "tasks", "groups", "users", "preferences"):
        assert getattr(found, name) == getattr(data, name)
    assert [query.text for query in found.queries] == [query.text for query in data.queries]


def test_a_zipped_file_has_no_time_stamp(tmp_path: Path) -> None:
    """Equal outcomes are equal bytes."""
    data = small(3)
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        data.write(tmp_path / name)

    assert (tmp_path / "a.jsonl.gz").read_bytes()[4:8] == b"\0\0\0\0"
    assert Dataset.read(tmp_path / "b.jsonl.gz").ids == data.ids


# ---------------------------------------------------------------------------- slicing


def small(n: int, **changes: Any) -> Dataset:
    rng = np.random.default_rng(n)
    values: dict[str, Any] = {
        "queries": tuple(Query(text=f"query {i}") for i in range(n)),
        "models": ("a", "b", "c"),
        "quality": rng.random((n, 3)),
    }
    return Dataset(**{**values, **changes})


def test_what_does_not_fit_together_is_refused() -> None:
    """Matrices, ids, embeddings: the message has both sizes."""
    with pytest.raises(DatasetError, match=r"'cost' has shape \(2, 2\), expected \(4, 3\)"):
        small(4, cost=np.zeros((2, 2)))
    for name in ("ids", "tasks", "groups"):
        with pytest.raises(DatasetError, match=f"'{name}' has 1 rows, expected 4"):
            small(4, **{name: ("x",)})
    with pytest.raises(DatasetError, match="'embeddings' has 2 rows, expected 4"):
        small(4, embeddings=np.zeros((2, 8), np.float32))
    with pytest.raises(DatasetError, match="listed twice"):
        small(4, models=("a", "b", "a"))


def test_exactly_the_cells_that_are_ok_have_a_quality() -> None:
    """A status that says otherwise is refused with its place."""
    status = np.ones((2, 3), np.uint8)
    status[1, 2] = STATUSES.index("truncated")

    with pytest.raises(DatasetError, match="disagree at row 1, model 'c'"):
        small(2, status=status)


def test_preferences_follow_their_queries_and_models() -> None:
    """Rows are counted anew; a preference between models that are gone is gone."""
    data = small(
        3,
        users=("ada", "", "ada"),
        preferences=(
            Preference(query=0, user="ada", better="a", worse="b"),
            Preference(query=2, user="ada", better="c", worse="a", tie=True),
        ),
    )

    taken = data.take([2, 1, 2])

    assert taken.users == ("ada", "", "ada")
    assert [(one.query, one.better) for one in taken.preferences] == [(0, "c"), (2, "c")]
    assert [one.better for one in data.for_models(["b", "a"]).preferences] == ["a"]


def test_take_takes_rows_in_the_order_asked() -> None:
    """By number or by mask; none is a data set too."""
    data = small(5, embeddings=np.arange(10, dtype=np.float32).reshape(5, 2))

    taken = data.take([4, 0])
    masked = data.take(np.array([False, True, False, True, False]))

    assert [query.text for query in taken.queries] == ["query 4", "query 0"]
    np.testing.assert_array_equal(taken.quality, data.quality[[4, 0]])
    assert taken.embeddings.tolist() == [[8, 9], [0, 1]]
    assert masked.ids == (data.ids[1], data.ids[3])
    assert len(data.take([])) == 0


def test_for_models_takes_columns_in_the_order_of_the_pool() -> None:
    """A model without a single outcome counts as missing."""
    quality = np.array([[1.0, np.nan, 0.5], [0.0, np.nan, 0.25]])
    data = small(2, quality=quality)

    found = data.for_models(["c", "a"])

    assert found.models == ("c", "a")
    assert found.quality.tolist() == [[0.5, 1.0], [0.25, 0.0]]
    with pytest.raises(DatasetError, match="no outcomes for b, d; the data has scores of: a, c;"):
        data.for_models(["a", "b", "d"])
    failed = small(2, quality=np.full((2, 3), np.nan))
    with pytest.raises(DatasetError, match="no outcomes for a; the data has scores of: no model;"):
        failed.for_models(["a"])


@settings(max_examples=50, deadline=None)
@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_never_separates_a_group(groups, share, seed) -> None:
    """Nothing is lost, nothing is twice, and the same seed draws the same."""
    data = small(len(groups), groups=tuple(map(str, groups)))

    train, test = data.split(share, seed=seed)

    assert not set(train.groups) & set(test.groups)
    assert sorted(train.ids + test.ids) == sorted(data.ids)
    assert data.split(share, seed=seed)[1].ids == test.ids


def test_a_split_draws_its_share_of_every_task() -> None:
    """Stratified: a rare task is in both halves; other seeds draw others."""
    tasks = ("common",) * 80 + ("rare",) * 20
    data = small(100, tasks=tasks)

    train, test = data.split(0.25, seed=3)

    assert (test.tasks.count("common"), test.tasks.count("rare")) == (20, 5)
    assert (train.tasks.count("common"), train.tasks.count("rare")) == (60, 15)
    assert data.split(0.25, seed=4)[1].ids != test.ids
    for share in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            data.split(share)


def test_equal_texts_are_never_on_both_sides() -> None:
    """Even where two tasks ask the same under other ids and groups."""
    texts = [f"question {i % 20}" for i in range(40)]
    data = small(
        40,
        queries=tuple(Query(text=text) for text in texts),
        ids=tuple(str(i) for i in range(40)),
        tasks=("first",) * 20 + ("second",) * 20,
    )

    for seed in range(20):
        train, test = data.split(0.3, seed=seed)
        sides = [{query.text for query in side.queries} for side in (train, test)]

        assert not sides[0] & sides[1]
        assert (len(train), len(test)) == (28, 12)


def test_what_can_learn_is_known_by_its_methods() -> None:
    """No base class is needed."""

    class Learner:
        def fit(self, dataset: Any) -> Any: ...
        def state(self) -> Any: ...
        def restore(self, state: Any) -> Any: ...

    assert isinstance(Learner(), Trainable)
    assert not isinstance(Query(text="?"), Trainable)
