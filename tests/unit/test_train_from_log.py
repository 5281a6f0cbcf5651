"""`llmrouter train --from-log`: a server's log becomes what a router learns from."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llmrouter_core import LLMRouter, catalogue
from llmrouter_core.catalogue import Entry
from llmrouter_core.cli.group import llmrouter

CONFIG = """
router = { artefacts = "learned" }
embedder = "hashing"
selector = "utility"
caller = "sim"
[scorer.quality]
use = "knn"
k = 10
[scorer.cost]
use = "price"
[model.small]
id = "sim-tiny"
price = { input = 0.1, output = 0.2 }
[model.large]
id = "sim-large"
price = { input = 0.1, output = 0.2 }
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(llmrouter, ["train", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Requests of which each went to one model, and feedback: only large proves lemmas."""
    folder = tmp_path / "log"
    folder.mkdir()
    decisions, feedback = [], []
    for i in range(160):
        proof, large = i % 2, i // 2 % 2
        decisions.append(
            {
                "id": f"r{i}",
                "text": f"prove lemma {i} of the theory"
                if proof
                else f"add {i} to {i + 1} please",
                "models": ["small", "large"],
                "chosen": "large" if large else "small",
                "propensities": [0.5, 0.5],
                "input_tokens": 10,
                "output_tokens": 20,
                "cost": 0.000005,
                "seconds": 0.1,
                "status": 200,
            }
        )
        feedback.append({"id": f"r{i}", "reward": float(bool(large) or not proof)})
    decisions[0]["text"] = None
    for name, rows in (("decisions-1", decisions), ("feedback-1", feedback[:-1])):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_rated_requests_are_learned_from(config: Path, log: Path) -> None:
    """The router knows afterwards whom its users were content with."""
    result = run(config, "--from-log", log, "--all")
    router = LLMRouter(config)

    assert result.exit_code == 0, result.stderr
    assert "from 158 queries" in result.stderr
    assert "1 x left out: a request without its text" in result.stderr
    assert "1 x left out: a request that nobody rated" in result.stderr
    found = router.decide("prove lemma 5 of the theory")
    assert found.model.name == "large"
    assert found.scores["quality"].values.tolist() == pytest.approx([0, 1], abs=0.25)


@pytest.mark.parametrize("both", [True, False])
def test_outcomes_come_from_one_place(config: Path, log: Path, both: bool) -> None:
    """From a file or from a log, not from both and not from nowhere."""
    result = run(config, *([log / "decisions-1.jsonl", "--from-log", log] if both else []))

    assert result.exit_code == 2
    assert "give either DATA or --from-log DIR" in result.stderr


def test_messages_name_the_log(config: Path, log: Path, tmp_path: Path) -> None:
    """And no file that is gone again."""
    (log / "feedback-1.jsonl").write_text('{"id": "r1", "reward": 1}\n', encoding="utf-8")
    few, gone = run(config, "--from-log", log), run(config, "--from-log", tmp_path / "gone")
    with (log / "decisions-1.jsonl").open("a", encoding="utf-8") as file:
        file.write("{torn\n")
    torn, left = run(config, "--from-log", log), run(config, "--from-log", log, "--skip-bad")

    assert few.stderr.splitlines()[-1].startswith(f"error: {log}: no outcomes for large")
    assert f"{tmp_path / 'gone'}: cannot be read" in gone.stderr
    assert "a row that is not JSON (row 161); to go on: --skip-bad" in torn.stderr
    assert "warning: 1 x dropped: a row that is not JSON (row 161)" in left.stderr
    assert {few.exit_code, gone.exit_code, torn.exit_code, left.exit_code} == {2}


def test_the_house_that_reads_logs_is_named(
    config: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not installed."""

    def others() -> Iterator[Entry]:
        return (entry for entry in found if entry.kind != "dataset")

    found = catalogue.discover()
    monkeypatch.setattr(catalogue, "discover", lambda: tuple(others()))
    result = run(config, "--from-log", log)

    assert result.exit_code == 2
    assert "pip install llmrouter-plugin-ope" in result.stderr
