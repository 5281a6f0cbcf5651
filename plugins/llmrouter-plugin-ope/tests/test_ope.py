"""From the lines of a log to a report, or to the sentence that says why there is none."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import Floats, Ints, LLMRouter, Model, Query, Scores, hookimpl
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes import BadRow, Repairs
from llmrouter_plugin_experiment import Arm, ExperimentExtension
from llmrouter_plugin_ope import Log, NoEstimate, decided, estimate
from llmrouter_plugin_ope.outcomes import read
from llmrouter_plugin_ope.records import Record, record_of
from llmrouter_plugin_ope.simulation import NAMES, World

CONFIG = """
caller = "sim"
selector = {selector}

[model.small]
id = "sim-tiny"
size = 1.0
[model.middle]
id = "sim-mini"
size = 9.0
[model.large]
id = "sim-large"
size = 400.0
"""
KNOB = '{ use = "utility", tradeoff = 0.9, willingness_to_pay = 0.1 }'
LARGEST = '"largest-llm"'


def lines(n: int, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Return *n* decisions of a simulated policy that explores, as the server writes them."""
    rng = np.random.default_rng(seed)
    return [row | more for row in World.of(rng, n).rows(rng)]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes rows as a log and returns its folder."""

    def write(*files: Sequence[Mapping[str, Any]]) -> Path:
        folder = tmp_path / "log"
        folder.mkdir(exist_ok=True)
        for number, rows in enumerate(files):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"decisions-{number}.jsonl").write_text(text, encoding="utf-8")
        return folder

    return write


@define(eq=False, kw_only=True)
class Chooses:
    """A router's parts in one: it ranks the model first that its text names, or that is best."""

    name: str | None = None

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        first = np.zeros((len(queries), len(models)))
        for row in first:
            for j, model in enumerate(models):
                row[j] = model.name == self.name
        if self.name is None:
            first = np.nan_to_num(scores["quality"].values)
        return np.argsort(-first, axis=1, kind="stable")


@define(eq=False, kw_only=True)
class Guesses:
    """A scorer, so that the router has one."""

    @hookimpl
    def score(self, queries: Sequence[Query], models: Sequence[Model]) -> Scores:
        return Scores("quality", np.full((len(queries), len(models)), 0.5))


def router(*parts: Any, names: Sequence[str] = NAMES) -> LLMRouter:
    models = [Model(name=name, size=size) for size, name in enumerate(names, start=1)]
    return LLMRouter(models=models, parts=parts)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(llmrouter, ["ope", *map(str, arguments)])


# ---------------------------------------------------------------------------- reading


def test_feedback_finds_its_decision_and_the_last_one_counts(
    written: Callable[..., Path],
) -> None:
    """In whichever file and order it stands; what has no decision is told."""
    rows = lines(3, reward=None)
    said = [{"id": "r1", "reward": 0.0}, {"id": "r1", "reward": 1.0}, {"id": "x", "reward": 0.5}]
    repairs = Repairs()
    log = Log.read(written([*said], rows), repairs=repairs)

    assert np.array_equal(np.isnan(log.reward), [True, False, True])
    assert log.reward[1] == 1.0
    assert repairs.counts == {"left out: feedback on a request that is not in the log": 1}


def test_what_cannot_be_used_is_left_out_and_told(written: Callable[..., Path]) -> None:
    """Pinned models, decisions without odds, and the second of one id."""
    rows = lines(6)
    rows[1] |= {"models": [rows[1]["chosen"]], "scores": {}, "propensities": [1.0]}
    rows[1] |= {"propensity": 1.0}
    rows[2] |= {"propensities": None, "propensity": None}
    rows[3]["id"] = "r0"
    repairs = Repairs()
    log = Log.read(written(rows), repairs=repairs)

    assert len(log) == 3
    assert repairs.counts == {
        "left out: a second decision of the same request": 1,
        "left out: a request that named its model, so nothing was decided": 1,
        "left out: a decision without propensities": 1,
    }


def test_what_was_decided_before_the_experiment_can_be_left_out(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    """A router that explored nothing is no reason to distrust it afterwards."""
    rows = [row | {"when": 1.7e9 + 86_400 * i} for i, row in enumerate(lines(300))]
    for row in rows[:2]:
        row |= {"chosen": "small", "propensity": 1.0, "propensities": [1.0, 0.0, 0.0]}
    policy = tmp_path / "new.toml"
    policy.write_text(CONFIG.format(selector=LARGEST), encoding="utf-8")
    arguments = ["--policy", policy, "--log", written(rows), "--resamples", 10]
    early, late = run(*arguments), run(*arguments, "--since", "2023-11-16T22:13:20")

    assert early.exit_code == 2
    assert "in 2 of 300 decisions" in early.stderr
    assert late.exit_code == 0, late.stderr
    assert "2 x left out: a decision taken too early" in late.stderr
    assert "298 decisions" in late.stderr
    assert "quality: too few to tell" in late.stdout


def test_a_log_without_propensities_is_refused(written: Callable[..., Path]) -> None:
    """With the way to get some."""
    folder = written(lines(5, propensities=None, propensity=None))
    with pytest.raises(NoEstimate, match=r"none of its 5 decisions has prop.*'experiment'"):
        Log.read(folder)


def test_odds_of_the_decision_itself_go_before_those_of_the_row() -> None:
    """An experiment writes them among the scores."""
    [row] = lines(1)
    row["scores"]["propensity"] = [0.2, 0.3, 0.5]
    row["propensity"] = 1.0
    found = record_of(row)

    assert isinstance(found, Record)
    assert found.propensities == (0.2, 0.3, 0.5)
    assert "propensity" not in found.scores


def test_pools_may_change_and_gzipped_files_are_read(tmp_path: Path) -> None:
    """A model that was not in the pool had no chance."""
    old, new = lines(2)
    new |= {"models": ["small", "new"], "chosen": "new", "propensities": [0.5, 0.5]}
    new |= {"propensity": 0.5, "scores": {"quality": [0.1, 0.2]}}
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps(old) + "\n" + json.dumps(new) + "\n")
    log = Log.read(tmp_path)

    assert log.models == (*NAMES, "new")
    assert log.propensities[1].tolist() == [0.5, 0.0, 0.0, 0.5]
    assert np.array_equal(log.scores["quality"][1], [0.1, np.nan, np.nan, 0.2], equal_nan=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chosen": "huge"}, "not among its 'models'"),
        ({"models": ["small", "small"]}, "list of different names"),
        ({"models": None}, "list of different names"),
        ({"propensities": [0.5, 0.5]}, "2 'propensities' for 3 models"),
        ({"propensities": [0.5, 0.5, 0.5]}, "add up to 1.5"),
        ({"propensities": [1.5, -0.5, 0.0]}, "from 0 up"),
        ({"propensities": "all"}, "a list of numbers"),
        ({"propensities": [10**400, 0, 0]}, "huge"),
        ({"chosen": "small", "propensities": [0.0, 0.5, 0.5]}, "contradicts itself"),
        ({"chosen": "small", "propensities": [0.4, 0.3, 0.3], "propensity": 0.5}, "'propensity'"),
        ({"reward": 1.5}, "from 0 to 1"),
        ({"reward": True}, "from 0 to 1"),
        ({"cost": -1}, "from 0 up"),
        ({"cost": "much"}, "from 0 up"),
        ({"scores": [1]}, "an object of lists"),
        ({"scores": {"quality": [1]}}, "1 scores 'quality' for 3 models"),
        ({"embedding": "@@"}, "float32"),
        ({"embedding": base64.b64encode(b"\0\0\xc0\x7f").decode()}, "finite"),
        ({"id": ""}, "'id'"),
        ({"text": 7}, "'text'"),
    ],
)
def test_damage_is_named_with_its_place(
    change: dict[str, Any], said: str, written: Callable[..., Path]
) -> None:
    """Or counted and left out where that was asked for."""
    rows = lines(3)
    rows[1] |= change
    folder, repairs = written(rows), Repairs()
    with pytest.raises(DatasetError, match=r"decisions-0\.jsonl:2: .*--skip-bad") as raised:
        Log.read(folder)

    assert said in str(raised.value)
    assert len(Log.read(folder, skip_bad=True, repairs=repairs)) == 2
    assert repairs.total("dropped: ") == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


_ROW = lines(1)[0]


@given(st.dictionaries(st.sampled_from([*_ROW, "embedding", "facts", "answered"]), _JSON))
def test_no_line_breaks_the_reader(change: dict[str, Any]) -> None:
    """Whatever stands in a field, it is a record or a bad row."""
    try:
        found = record_of({**_ROW, **change})
    except BadRow:
        return
    assert isinstance(found, Record)


@pytest.mark.parametrize(("by", "groups"), [("conversation", 2), ("user", 1), ("query", 4)])
def test_what_is_drawn_together(by: str, groups: int, written: Callable[..., Path]) -> None:
    """Conversations by default."""
    rows = [row | {"user": "ada", "conversation": f"c{i % 2}"} for i, row in enumerate(lines(4))]

    assert len(set(Log.read(written(rows), by=by).groups)) == groups


# ---------------------------------------------------------------------------- deciding


def test_a_router_decides_from_what_most_decisions_hold(written: Callable[..., Path]) -> None:
    """Texts before embeddings before scores; what does not hold it is left out."""
    rows = lines(4)
    vector = base64.b64encode(np.ones(4, "<f4").tobytes()).decode()
    for row in rows[:3]:
        row["embedding"] = vector
    rows[0]["text"] = None
    log = Log.read(written(rows))
    best, bare = router(Chooses(), Guesses()), router(Chooses())
    found = {name: decided(log, best, name) for name in ("text", "embedding", "scores")}

    assert {name: one.left_out for name, one in found.items()} == {
        "text": 1,
        "embedding": 1,
        "scores": 0,
    }
    assert decided(log, best).source == "scores"
    assert decided(log.take([1, 2, 3]), best).source == "text"
    assert decided(log.take([1, 2, 3]), bare).source == "scores"


def test_embeddings_reach_the_scorers(written: Callable[..., Path]) -> None:
    """The policy's own scorers read them."""

    @define(eq=False, kw_only=True)
    class Reads:
        @hookimpl
        def score(
            self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
        ) -> Scores:
            return Scores("quality", embeddings.astype(float))

        @hookimpl
        def embed(self, queries: Sequence[Query]) -> Floats:
            raise AssertionError("the log has them")

    rows = lines(3)
    for place, row in enumerate(rows):
        row["embedding"] = base64.b64encode(np.eye(3, dtype="<f4")[place].tobytes()).decode()
    target = decided(Log.read(written(rows)), router(Chooses(), Reads()), "embedding")

    assert np.array_equal(target.shares, np.eye(3))


def test_a_policy_that_draws_is_known_by_its_odds(written: Callable[..., Path]) -> None:
    """With texts, and with logged scores alone."""
    log = Log.read(written(lines(5)))
    arm = ExperimentExtension(explore=0.3, arms=(Arm(weight=0.2, model="large"),), seed=0)
    for source in ("text", "scores"):
        target = decided(log, router(arm, Chooses(name="small")), source)

        assert np.allclose(target.shares, [[0.1 + 0.5, 0.1, 0.1 + 0.2]] * 5)


def test_facts_of_the_request_turn_the_policys_knob(written: Callable[..., Path]) -> None:
    """As they turned that of the logged one."""
    rows = lines(2)
    rows[1]["facts"] = {"tradeoff": 0.9}
    log = Log.read(written(rows))

    assert [query.facts.get("tradeoff") for query in log.queries] == [None, 0.9]


def test_a_log_of_nothing_cannot_be_asked(written: Callable[..., Path]) -> None:
    """Neither texts nor embeddings nor scores."""
    log = Log.read(written(lines(2, text=None, scores=None)))
    with pytest.raises(NoEstimate, match="holds no texts, embeddings or scores"):
        decided(log, router(Chooses(name="small")))


# ---------------------------------------------------------------------------- estimating


def test_from_a_router_that_experiments_to_the_value_of_another(tmp_path: Path) -> None:
    """4,000 decisions of a real router; always asking the large model gets 0.9, for $0.03."""
    gets, costs = (
        {"small": 0.4, "middle": 0.6, "large": 0.9},
        {"small": 1, "middle": 2, "large": 3},
    )
    logged = router(ExperimentExtension(explore=0.3, seed=0), Chooses(name="small"))
    rng = np.random.default_rng(0)
    rows = []
    for number, one in enumerate(logged.decide_all([f"q{n}" for n in range(4000)])):
        odds = one.scores["propensity"].values
        name = one.model.name
        rows.append(
            {
                "id": f"{number}",
                "text": one.query.text,
                "models": list(NAMES),
                "chosen": name,
                "propensities": odds.tolist(),
                "cost": costs[name] / 100,
                "reward": float(rng.random() < gets[name]),
            }
        )
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = estimate(Log.read(file), router(Chooses(name="large")), resamples=200)

    assert report.quality is not None
    assert report.cost is not None
    assert report.shares["large"][1] == 1.0
    for kind in ("ips", "snips", "dr"):
        low, high = getattr(report.quality, kind).interval
        assert low < 0.9 < high
    assert report.cost.snips.value == pytest.approx(0.03)
    assert report.quality.gain.interval[0] > 0.3
    assert report.warnings() == []


def test_a_router_that_left_nothing_to_chance_is_refused(written: Callable[..., Path]) -> None:
    """It says which models, how often, and how to make the next log usable."""
    rows = lines(10)
    for row in rows:
        odds = [float(name == "small") for name in NAMES]
        row |= {"chosen": "small", "propensity": 1.0, "propensities": odds}
    log = Log.read(written(rows))

    with pytest.raises(NoEstimate, match=r"in 10 of 10 .* taken: large \(10\);.*'experiment'"):
        estimate(log, router(Chooses(name="large")))
    same = estimate(log, router(Chooses(name="small")), resamples=10)
    assert same.quality is not None
    assert same.quality.ips.value == pytest.approx(same.quality.logged.value)


def test_a_model_that_the_log_never_knew_is_refused(written: Callable[..., Path]) -> None:
    """By name."""
    log = Log.read(written(lines(10)))
    with pytest.raises(NoEstimate, match=r"could not have taken: novel \(10\)"):
        estimate(log, router(Chooses(name="novel"), names=(*NAMES, "novel")))


def test_without_rewards_only_costs_are_estimated(written: Callable[..., Path]) -> None:
    """And with neither, nothing is."""
    policy = router(Chooses(name="small"))
    report = estimate(Log.read(written(lines(400, reward=None))), policy, resamples=10)

    assert report.quality is None
    assert report.cost is not None
    with pytest.raises(NoEstimate, match="has a reward or a cost"):
        estimate(Log.read(written(lines(20, reward=None, cost=None))), policy, resamples=10)


def test_few_effective_decisions_are_warned_of(written: Callable[..., Path]) -> None:
    """Twenty decisions carry no interval."""
    log = Log.read(written(lines(20)))
    report = estimate(log, router(Chooses(name="small")), resamples=10)

    assert any("effective decisions of 20" in sentence for sentence in report.warnings())


# ---------------------------------------------------------------------------- the command


def test_the_command_says_what_the_policy_would_get(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    """A table for people, one object for programs."""
    folder, policy = written(lines(600, text=None)), tmp_path / "new.toml"
    policy.write_text(CONFIG.format(selector=KNOB), encoding="utf-8")
    shown = run("--policy", policy, "--log", folder, "--resamples", 50)
    data = json.loads(run("--policy", policy, "--log", folder, "--resamples", 50, "--json").stdout)

    assert shown.exit_code == 0, shown.output
    assert "policy, doubly robust" in shown.stdout
    assert "600 decisions, taken anew from logged scores" in shown.stderr
    assert data["source"] == "scores"
    assert data["quality"]["dr"]["interval"][0] < data["quality"]["dr"]["value"]
    assert data["cost"]["known"] == 600


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_where_there_is_no_estimate_the_command_prints_a_sentence(
    form: tuple[str, ...], written: Callable[..., Path], tmp_path: Path
) -> None:
    """On stderr, with exit code 2 and nothing on stdout."""
    rows = lines(5)
    for row in rows:
        row |= {"chosen": "small", "propensity": 1.0, "propensities": [1.0, 0.0, 0.0]}
    policy = tmp_path / "new.toml"
    policy.write_text(CONFIG.format(selector=LARGEST), encoding="utf-8")
    found = run("--policy", policy, "--log", written(rows), *form)

    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("error: in ")
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "cannot be read"),
        (lambda folder: folder.mkdir(), "holds no .jsonl files"),
        (lambda folder: folder.write_text("{"), "is not JSON"),
        (lambda folder: folder.write_text("[]"), "is not a JSON object"),
        (lambda folder: folder.write_text("{}"), "neither a decision nor feedback"),
        (lambda folder: folder.write_text(""), "none of its 0 decisions"),
    ],
)
def test_a_log_that_is_none_is_refused_in_a_sentence(
    make: Callable[[Path], Any], said: str, tmp_path: Path
) -> None:
    """Never with a traceback."""
    policy, log = tmp_path / "new.toml", tmp_path / "log"
    policy.write_text(CONFIG.format(selector=LARGEST), encoding="utf-8")
    make(log)
    found = run("--policy", policy, "--log", log)

    assert found.exit_code == 2
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


# ---------------------------------------------------------------------------- outcomes


def test_rated_requests_become_outcomes(written: Callable[..., Path]) -> None:
    """Of the model that answered; failures without a score, and the rest is told."""
    rows = lines(7)
    rows[0] |= {"answered": "large", "reward": 1, "user": "ada", "conversation": "c"}
    rows[1] |= {"status": 504, "reward": None}
    rows[2] |= {"status": 502, "reward": None}
    rows[3] |= {"status": 400, "reward": None}
    rows[4] |= {"text": None}
    rows[5] |= {"reward": None}
    rows[6] |= {"propensities": None, "propensity": None}
    repairs = Repairs()
    found = list(read(written(rows), repairs))

    assert [row["id"] for row in found] == ["r0", "r1", "r2", "r6"]
    assert found[0]["model"] == "large"
    assert (found[0]["score"], found[0]["user"], found[0]["group"]) == (1, "ada", "c")
    assert [row["status"] for row in found] == ["ok", "timeout", "error", "ok"]
    assert "score" not in found[1]
    assert repairs.counts == {
        "left out: a request that was at fault itself": 1,
        "left out: a request without its text": 1,
        "left out: a request that nobody rated": 1,
    }


def test_a_log_is_converted_by_the_dataset_command(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    """As what other projects wrote is."""
    out = tmp_path / "outcomes.jsonl"
    arguments = ["dataset", "convert", str(written(lines(30))), str(out), "--from", "log"]
    found = CliRunner().invoke(llmrouter, arguments)

    assert found.exit_code == 0, found.output
    assert len(out.read_text(encoding="utf-8").splitlines()) == 30


def test_nothing_to_learn_from_is_said(written: Callable[..., Path]) -> None:
    """With the way to get some."""
    with pytest.raises(DatasetError, match="both a text and a reward"):
        list(read(written(lines(3, text=None)), Repairs()))
