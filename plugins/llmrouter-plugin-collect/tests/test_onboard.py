"""What `llmrouter onboard` asks, learns, refuses and shows, on simulated models."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from llmrouter_core import Dataset, LLMRouter
from llmrouter_core.cli.group import llmrouter
from llmrouter_plugin_collect.journal import JOURNAL, OUTCOMES

HEAD = """\
router = { artefacts = "artefacts" }
embedder = "hashing"
[scorer.quality]
use = "knn"
[scorer.cost]
use = "price"
[selector]
use = "utility"
tradeoff = 0.0
[caller.default]
use = "sim"
"""
FIXED = 'router = "smallest-llm"\ncaller = "sim"\n'
OLD, NEW = ("sim-tiny", "sim-mini", "sim-coder"), "sim-large"


def pool(*names: str, head: str = HEAD) -> str:
    price = "price = { input = 0.1, output = 0.4 }"
    return head + "".join(f'[model.{name}]\nid = "{name}"\n{price}\n' for name in names)


def run(*arguments: str | Path | int | float) -> Result:
    return CliRunner().invoke(llmrouter, [*map(str, arguments)])


def done(*arguments: str | Path | int | float) -> dict[str, Any]:
    """Run with --json and return what it found."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with outcomes and artefacts of three models, and a config that lists a fourth."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "old.toml").write_text(pool(*OLD))
    (folder / "router.toml").write_text(pool(*OLD, NEW))
    done("collect", folder / "old.toml", "sim", "--limit", 120, "--out", folder / "outcomes")
    done("train", folder / "old.toml", folder / "outcomes" / OUTCOMES, "--all")
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "place")
    return tmp_path / "place"


def arguments(place: Path, *more: str | Path | int | float) -> tuple[Any, ...]:
    outcomes = ("--outcomes", place / "outcomes" / OUTCOMES)
    return ("onboard", place / "router.toml", NEW, "sim", *outcomes, *more)


def test_a_model_joins_by_a_few_answers(place: Path) -> None:
    """Artefacts of three models become those of four, and the best one gets queries."""
    found = done(*arguments(place, "--budget", 30, "--out", place / "new"))
    router = LLMRouter(place / "router.toml")
    [new] = [row for row in found["models"] if row["new"]]
    asked = Dataset.read(place / "new" / OUTCOMES)

    assert found["queries"] == 120
    assert new["model"] == NEW
    assert new["answers"] == len(asked) == 30
    assert set(asked.ids) < set(Dataset.read(place / "outcomes" / OUTCOMES).ids)
    assert found["spent"] == pytest.approx(asked.cost.sum())
    assert abs(new["quality"] - asked.quality.mean()) < 3 * new["error"]
    assert new["share"] > 0.3
    assert sum(row["share"] for row in found["models"]) == pytest.approx(1)
    assert {one.name for one in router.models} == {*OLD, NEW}
    assert len(router.decide("What is 17 * 23?").ranking) == 4
    # Its lengths are learned from its own answers, not taken from the others.
    scores = router.pipeline.rank(asked.queries)[1]["output_tokens"].values
    column = [one.name for one in router.pipeline.models].index(NEW)
    assert scores[:, column].mean() == pytest.approx(asked.output_tokens.mean(), rel=0.05)


def test_it_goes_on_where_it_stopped_and_ends_the_same(place: Path, tmp_path: Path) -> None:
    """A limit stops it before the model joins; with more money no answer is bought twice."""
    whole = tmp_path / "whole"
    shutil.copytree(place, whole)
    full = done(*arguments(whole, "--budget", 40, "--out", whole / "new"))
    again = arguments(place, "--budget", 40, "--out", place / "new")
    first = run(*again, "--max-cost", full["spent"] * 0.9 + 1e-4)
    lines = len((place / "new" / JOURNAL).read_text().splitlines())
    last = done(*again)

    assert first.exit_code == 2
    assert "of --max-cost" in first.stderr
    assert 1 < lines < 41
    assert last == {**full, "spent": pytest.approx(full["spent"])}  # summed in another order
    assert (place / "new" / OUTCOMES).read_bytes() == (whole / "new" / OUTCOMES).read_bytes()
    for file in sorted((whole / "artefacts").rglob("*.npz")):
        same = place / "artefacts" / file.relative_to(whole / "artefacts")
        assert same.read_bytes() == file.read_bytes()


def test_artefacts_elsewhere_are_named_as_the_config_would(place: Path) -> None:
    """A config reads its paths from its own folder, wherever the command was run."""
    result = run(
        *arguments(place, "--budget", 5, "--out", place / "new"), "--artefacts", place / "there"
    )

    assert result.exit_code == 0, result.output
    assert 'set [router] artefacts to "there" in' in result.stderr


def test_a_dry_run_asks_and_changes_nothing(place: Path) -> None:
    """It says how many calls there are, and what they may cost."""
    before = sorted(place.rglob("*"))
    found = done(*arguments(place, "--budget", 7, "--dry-run"))

    assert found["calls"] == 7
    assert found["cost"] > 0
    assert sorted(place.rglob("*")) == before


def test_a_file_of_questions_is_matched_by_text(place: Path) -> None:
    """Ids of other tools do not matter; what the outcomes do not know is not asked."""
    known = Dataset.read(place / "outcomes" / OUTCOMES)
    texts = [*known.texts[:15], "What is the capital of nowhere?"]
    lines = [json.dumps({"query": text, "reference": "1"}) for text in texts]
    (place / "mine.jsonl").write_text("\n".join(lines))
    given = ("--queries", place / "mine.jsonl", "--outcomes", place / "outcomes" / OUTCOMES)
    found = done("onboard", place / "router.toml", NEW, *given, "--out", place / "new")

    assert found["queries"] == 15
    assert set(Dataset.read(place / "new" / OUTCOMES).texts) == set(known.texts[:15])


def test_failed_calls_are_left_out_and_told(place: Path) -> None:
    """What fails every time is said; the others still say how good the model is."""
    head = HEAD.replace('use = "sim"', 'use = "sim"\nfaults = { timeout = 0.8 }')
    (place / "router.toml").write_text(pool(*OLD, NEW, head=head))
    result = run(*arguments(place, "--budget", 20, "--out", place / "new"))
    answered = Dataset.read(place / "new" / OUTCOMES)

    assert result.exit_code == 0, result.output
    assert answered.failures > 0
    assert f"{answered.failures} of 20 calls have no score" in result.stderr
    assert np.isnan(answered.quality).sum() == answered.failures


def test_a_model_that_never_answers_joins_nothing(place: Path) -> None:
    """The artefacts stay as they were."""
    head = HEAD.replace('use = "sim"', 'use = "sim"\nfaults = { timeout = 1.0 }')
    (place / "router.toml").write_text(pool(*OLD, NEW, head=head))
    before = {
        file: file.read_bytes() for file in (place / "artefacts").rglob("*") if file.is_file()
    }
    result = run(*arguments(place, "--budget", 5, "--out", place / "new"))

    assert result.exit_code == 2
    assert "has no scored answer" in result.stderr
    assert {file: file.read_bytes() for file in before} == before


def test_a_model_joins_once(place: Path) -> None:
    """The second time is refused with the reason."""
    done(*arguments(place, "--budget", 5, "--out", place / "new"))
    result = run(*arguments(place, "--budget", 5, "--out", place / "new"))

    assert result.exit_code == 2
    assert "already, so it cannot join again" in result.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"new": "sim-huge"}, "no routable model 'sim-huge' in the pool"),
        ({"out": ()}, "where should the answers go?"),
        ({"tasks": ()}, "what should be asked?"),
        ({"outcomes": "missing.jsonl"}, "missing.jsonl"),
        ({"outcomes": "other.jsonl"}, "none of its 1 queries is among"),
        ({"outcomes": "lacking.jsonl"}, "no outcomes for sim-mini, sim-coder"),
        ({"config": pool(NEW)}, "is the whole pool"),
        ({"config": pool(*OLD, NEW).replace('"artefacts" }', '"none" }')}, "nothing is learned"),
        ({"more": ("--max-cost", "nan")}, "got nan"),
        ({"more": ("--budget", "0")}, "--budget"),
        ({"more": ("--seed", "-1")}, "--seed"),
        ({"config": pool(*OLD, NEW, head=FIXED)}, "no part learns, so 'sim-large' need not join"),
    ],
)
def test_mistakes_are_sentences(place: Path, change: dict[str, Any], sentence: str) -> None:
    """Exit code 2, no traceback, nothing asked."""
    row = {"query": "a", "model": OLD[0], "score": 1}
    (place / "lacking.jsonl").write_text(json.dumps(row))
    (place / "other.jsonl").write_text("\n".join(json.dumps({**row, "model": m}) for m in OLD))
    if "config" in change:
        (place / "router.toml").write_text(change["config"])
    outcomes = place / change.get("outcomes", f"outcomes/{OUTCOMES}")
    result = run(
        "onboard",
        place / "router.toml",
        change.get("new", NEW),
        *change.get("tasks", ("sim",)),
        *("--outcomes", outcomes),
        *change.get("out", ("--out", place / "new")),
        *change.get("more", ()),
    )

    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert not (place / "new").exists()
