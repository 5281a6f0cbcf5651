"""`llmrouter evaluate`, `compare` and `train --report`: what they print and what they keep."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from attrs import define
from click.testing import CliRunner, Result
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

from llmrouter_core import Dataset, LLMRouter, Model, Query, Report, hookimpl
from llmrouter_core.cli.evaluate import texts
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.errors import DatasetError

CONFIG = """
router = {{ use = "knn", artefacts = "learned" }}
caller = "sim"
selector = {{ use = "utility", tradeoff = {tradeoff} }}
[model.sim-tiny]
size = 1.0
price = {{ input = 0.1, output = 0.1 }}
[model.sim-large]
size = 100.0
price = {{ input = 5.0, output = 15.0 }}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(llmrouter, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two configs of one pool, trained, and outcomes."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    kinds = ["add {0} and {0}", "prove theorem {0} of the long theory of everything"]
    for name, start in (("train", 0), ("test", 1000)):
        hard = np.arange(120) % 2
        quality = rng.random((120, 2)) < np.array([[0.95, 0.95], [0.1, 0.9]])[hard]
        Dataset(
            queries=tuple(Query(text=kinds[k].format(i + start)) for i, k in enumerate(hard)),
            models=("sim-tiny", "sim-large"),
            quality=quality.astype(float),
            tasks=tuple("proof" if k else "sum" for k in hard),
            input_tokens=np.full((120, 2), 20.0),
            output_tokens=np.full((120, 2), 50.0),
        ).write(folder / f"{name}.jsonl")
    for name, tradeoff in (("careful", 0.0), ("thrifty", 1.0)):
        (folder / f"{name}.toml").write_text(CONFIG.format(tradeoff=tradeoff), encoding="utf-8")
    done = run("train", folder / "careful.toml", folder / "train.jsonl", "--all")
    assert done.exit_code == 0, done.stderr
    return folder


def evaluated(folder: Path, *more: object) -> Result:
    return run(
        *("evaluate", folder / "careful.toml", folder / "test.jsonl"),
        *("--train", folder / "train.jsonl", "--resamples", 30, *more),
    )


def test_evaluate_shows_every_baseline_and_the_figures_of_the_curve(folder: Path) -> None:
    """In one table and one list; the rest is for `--full`."""
    short, full = evaluated(folder), evaluated(folder, "--full")

    assert short.exit_code == 0, short.stderr
    for policy in ("router", "random", "cheapest", "smallest", "largest", "best single",
                   "per-task best", "zero router", "oracle"):  # fmt: skip
        assert re.search(rf"^{policy} +\d", short.stdout, re.MULTILINE), policy
    for figure in ("AIQ", "PGR", "APGR", "CPT 50", "CPT 80", "noise in the wording"):
        assert figure in short.stdout
    assert "Brier" not in short.stdout
    for part in ("regret", "tradeoff", "model alone", "Brier score", "proof"):
        assert part in full.stdout


def test_outcomes_that_lack_a_model_are_named_by_their_file(folder: Path) -> None:
    """Whichever of the two files it is, and whichever command reads it."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    lacking = folder / "lacking.jsonl"
    lacking.write_text("".join(json.dumps(r) + "\n" for r in rows if r["model"] != "sim-tiny"))
    config, test, train = (folder / name for name in ("careful.toml", "test.jsonl", "train.jsonl"))

    for arguments in (
        ("train", config, lacking, "--out", folder / "elsewhere"),
        ("evaluate", config, test, "--train", lacking),
        ("evaluate", config, lacking, "--train", train),
        ("compare", config, folder / "thrifty.toml", lacking, "--train", train),
    ):
        result = run(*arguments)

        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {lacking}: no outcomes for sim-tiny; "), arguments


def test_the_tables_fit_80_columns(folder: Path) -> None:
    """All of them, full of figures."""
    for line in evaluated(folder, "--full").stdout.splitlines():
        assert len(line.rstrip()) <= 80, line


def test_evaluate_keeps_a_report_that_names_its_data(folder: Path, tmp_path: Path) -> None:
    """With the hash of every file it read."""
    done = evaluated(folder, "--out", tmp_path / "kept", "--json")
    kept = json.loads((tmp_path / "kept" / "report.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((folder / "test.jsonl").read_bytes()).hexdigest()

    assert json.loads(done.stdout) == kept
    assert kept["card"]["data"]["test"]["sha256"] == digest
    assert set(kept["card"]["data"]) == {"config", "test", "train"}
    assert Report.from_dict(kept).row("router").answered == 120
    assert str(folder) not in json.dumps(kept)


def test_train_keeps_a_report_that_names_its_split(folder: Path, tmp_path: Path) -> None:
    """A folder that cannot be made is a sentence."""
    arguments = ("train", folder / "careful.toml", folder / "train.jsonl", "--all", "--report")
    done = run(*arguments, tmp_path / "kept")
    (tmp_path / "file").touch()
    wrong = run(*arguments, tmp_path / "file")
    kept = json.loads((tmp_path / "kept" / "report.json").read_text(encoding="utf-8"))

    assert done.exit_code == 0, done.stderr
    assert kept["card"]["split"] == {"test": 0.25, "seed": 0}
    assert kept["card"]["train"]["queries"] + kept["card"]["test"]["queries"] == 120
    assert wrong.exit_code == 2
    assert "report.json: cannot be written" in wrong.stderr


def test_the_pair_can_be_chosen(folder: Path) -> None:
    """By names of the pool."""
    named = evaluated(folder, "--weak", "sim-tiny", "--strong", "sim-large")
    unknown = evaluated(folder, "--weak", "gpt-9")
    same = evaluated(folder, "--weak", "sim-tiny", "--strong", "sim-tiny")

    assert "gap from sim-tiny to sim-large recovered" in named.stdout
    assert unknown.exit_code == 2
    assert "there is no model 'gpt-9' in the pool" in unknown.stderr
    assert same.exit_code == 2
    assert "--weak and --strong are both 'sim-tiny'; name two models" in same.stderr


def test_the_answers_a_solver_may_read_skip_the_rows_that_were_skipped(tmp_path: Path) -> None:
    """A damaged row does not come back to stop an evaluation with --skip-bad."""

    @define(eq=False)
    class FirstSolver:
        @hookimpl
        def solve(self) -> None:
            return None

    path = tmp_path / "outcomes.jsonl"
    good = {"id": "q", "query": "q", "model": "m", "score": 1, "text": "yes"}
    path.write_text(f"{json.dumps(good)}\n{{broken\n", encoding="utf-8")
    router = LLMRouter(models=[Model(name="m")], parts=[SmallestLlmSelector(), FirstSolver()])

    assert texts(router, path, skip_bad=True) == {("q", "m"): "yes"}
    with pytest.raises(DatasetError, match=":2: is not JSON"):
        texts(router, path, skip_bad=False)


def test_missing_scores_are_told_because_policies_then_differ_in_queries(
    folder: Path, tmp_path: Path
) -> None:
    """An answer that was cut has no score, so the oracle itself may look worse than the router."""
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text("utf-8").splitlines()]
    for row in rows[:20]:
        if row["model"] == "sim-large":
            row["status"] = "truncated"
            del row["score"]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    train = ("--train", folder / "train.jsonl", "--resamples", 10)

    cut = run("evaluate", folder / "careful.toml", path, *train)

    assert "scores are missing: each policy's quality is over the queries it has" in cut.stderr
    assert "110 to 120; a gain is over those that both have" in cut.stderr
    assert "scores are missing" not in evaluated(folder).stderr


def compared(folder: Path, *more: object) -> Result:
    paths = (folder / "careful.toml", folder / "thrifty.toml", folder / "test.jsonl")
    return run("compare", *paths, "--train", folder / "train.jsonl", "--resamples", 50, *more)


def test_compare_says_which_is_better_and_at_which_cost(folder: Path) -> None:
    """As set, one is better and dearer; along the same knob they are the same router."""
    shown, told = compared(folder), json.loads(compared(folder, "--json").stdout)
    [duel] = told["duels"]

    assert shown.exit_code == 0, shown.stderr
    assert "careful minus thrifty: careful is better" in shown.stdout
    assert [row["policy"] for row in told["rows"]][:2] == ["careful", "thrifty"]
    assert duel["better"] == "careful"
    assert duel["cost"]["interval"][0] > 0
    assert {level["better"] for level in duel["levels"]} == {None}


@pytest.mark.parametrize(
    ("configs", "reason"),
    [
        (["careful.toml"], "give two or more configs, then the outcomes"),
        (["careful.toml", "careful.toml"], "a config is named twice"),
        (["careful.toml", "other.toml"], "the configs have different pools"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    configs: list[str], reason: str, folder: Path
) -> None:
    """And the exit code is that of a misuse."""
    other = 'selector = "smallest-llm"\ncaller = "sim"\n[model.sim-mini]\nsize = 2.0\n'
    (folder / "other.toml").write_text(other, encoding="utf-8")
    paths = [folder / name for name in configs]
    done = run("compare", *paths, folder / "test.jsonl", "--train", folder / "train.jsonl")

    assert done.exit_code == 2
    assert reason in done.stderr


def test_policies_that_answer_different_queries_are_named() -> None:
    """Means over different queries do not compare; whoever prints them says so."""
    from llmrouter_core.cli.report import missing
    from llmrouter_core.evaluation import Row

    def row(answered: int) -> Row:
        return Row(
            policy="p",
            quality=0.5,
            quality_interval=(0.4, 0.6),
            cost=None,
            cost_interval=None,
            gain=0.0,
            gain_interval=(0.0, 0.0),
            shares={},
            answered=answered,
        )

    assert missing([row(20), row(20)]) == []
    assert "14 to 20" in missing([row(20), row(14)])[0]
