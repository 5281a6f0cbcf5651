"""What `llmrouter demo` prints, keeps and promises."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from llmrouter_core import Dataset, LLMRouter
from llmrouter_core.catalogue import discover, find
from llmrouter_plugin_sim.demo import demo
from llmrouter_plugin_sim.trial import questions


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(demo, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_json_is_one_object_that_says_it_is_simulated() -> None:
    """A program can read what the demo found."""
    found = json.loads(run("--queries", "60", "--json").stdout)
    policies = [row["policy"] for row in found["report"]["rows"]]

    assert found["simulated"] is True
    assert found["train"] + found["test"] == 60
    assert policies[:3] == ["router 0.1", "router 0.5", "router 0.9"]
    assert {"cheapest", "best single", "random", "oracle"} <= set(policies)
    assert found["example"]["model"] == found["example"]["decision"]["model"]


def test_the_router_beats_the_best_single_model_at_lower_cost() -> None:
    """With the documented defaults the interval of the gain lies above zero."""
    rows = {row["policy"]: row for row in json.loads(run("--json").stdout)["report"]["rows"]}
    router, best = rows["router 0.1"], rows["best single"]

    assert router["gain_interval"][0] > 0
    assert router["cost"] < best["cost"]
    assert rows["router 0.9"]["cost"] < rows["router 0.5"]["cost"] < router["cost"]
    assert rows["oracle"]["quality"] >= router["quality"]


def test_the_table_is_headed_simulated_and_says_what_to_type_next() -> None:
    """A newcomer sees what the figures are, and how to go on."""
    shown = run("--queries", "60").stdout

    assert shown.startswith("SIMULATED")
    assert "best single" in shown
    assert "llmrouter init auto > router.toml" in shown
    assert "llmrouter train router.toml" in shown


def test_what_is_kept_can_be_used(tmp_path: Path) -> None:
    """The folder holds outcomes, a config and artefacts that fit together."""
    folder = tmp_path / "trial"
    run("--queries", "66", "--keep", str(folder))
    decision = LLMRouter(folder / "router.toml").decide("What is 17 * 23?")

    assert len(decision.ranking) == 6
    assert len(Dataset.read(folder / "train.jsonl")) > len(Dataset.read(folder / "test.jsonl"))


def test_an_occupied_folder_is_refused(tmp_path: Path) -> None:
    """Nothing of the user's is overwritten."""
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(demo, ["--queries", "60", "--keep", str(tmp_path)])

    assert result.exit_code != 0
    assert "choose a new one" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_has_an_example() -> None:
    """The command is found by its entry point, and helps."""
    assert find(discover(), "command", "demo").load() is demo
    assert "llmrouter demo --keep trial" in run("--help").output


def test_questions_are_all_different_and_of_all_families() -> None:
    """Equal seeds ask the same questions, and no question comes twice."""
    asked = questions(220, 1)

    assert asked == questions(220, 1)
    assert len({text for text, _ in asked}) == 220
    assert len({problem.family for _, problem in asked}) == 11


def test_the_caller_needs_neither_rich_nor_click() -> None:
    """Answering loads no command line."""
    program = "import sys, llmrouter_plugin_sim as s; s.SimCaller().pool(); " + (
        "print(sorted({'rich', 'click', 'asyncio', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.split() == [b"[]"]
