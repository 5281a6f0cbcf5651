"""What each reader makes of a file of its shape, and what it says that it repaired."""

import csv
import gzip
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from llmrouter_core import Dataset, DatasetError
from llmrouter_core.catalogue import discover
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.outcomes import Repairs
from llmrouter_plugin_datasets import read, sources

READERS = {e.name for e in discover() if e.distribution == "llmrouter-plugin-datasets"}


def convert(name: str, source: Path, *options: str) -> tuple[Dataset, str]:
    """Return what a reader makes of *source* on the command line, and what it says."""
    out = source.parent / "converted" / "out.jsonl"
    out.parent.mkdir(exist_ok=True)
    result = run("convert", source, out, "--from", name, *options)
    assert result.exit_code == 0, result.stderr
    return Dataset.read(out), result.stderr


def run(*arguments: object) -> Result:
    return CliRunner().invoke(llmrouter, ["dataset", *(str(argument) for argument in arguments)])


def write_lines(path: Path, found: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in found).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_table(path: Path, header: list[str], *found: list[Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *found])
    return path


# ---------------------------------------------------------------------------- LLMRouter


def routed(model: str, response: str = "An answer", **changes: Any) -> dict[str, Any]:
    row = {
        "task_name": "capitals",
        "query": "Which is the capital?",
        "ground_truth": "B",
        "metric": "em_mc",
        "choices": json.dumps({"label": ["A", "B"], "text": ["Nice", "Paris"]}),
        "task_id": None,
        "model_name": model,
        "response": response,
        "input_tokens": 30,
        "output_tokens": 5,
        "token_num": 35,
        "response_time": 0.5,
        "performance": 1.0,
        "embedding_id": 0,
        "user_id": None,
    }
    return {**row, **changes}


def test_llmrouter_outages_are_failed_calls_again(tmp_path: Path) -> None:
    """They were scored as answers; a wrong answer stays one."""
    path = write_lines(
        tmp_path / "routing.jsonl",
        [
            routed("wrong", performance=0.0),
            routed("down", "API Error: 503 busy", performance=0.0),
            routed("broken", "ERROR: no route", performance=0.0),
            routed("empty", "", output_tokens=0, performance=0.0),
        ],
    )

    data, said = convert("llmrouter", path)

    assert data.quality[0, 0] == 0
    assert data.failures == 3
    assert "2 x a failed call that was scored as an answer, kept as error (rows 2, 3)" in said
    assert "1 x an empty answer of no tokens that was scored, kept as error (row 4)" in said


def test_llmrouter_queries_are_told_apart_by_their_whole_identity(tmp_path: Path) -> None:
    """Same stem, other options or reference; both spellings of the reference are one."""
    other = json.dumps({"label": ["A", "B"], "text": ["Rome", "Milan"]})
    old = routed("b")
    old["gt"] = old.pop("ground_truth")
    path = write_lines(
        tmp_path / "routing.jsonl",
        [routed("a"), routed("a", choices=other, ground_truth="A"), old, routed("a", "again")],
    )

    data, said = convert("llmrouter", path)

    assert len(data) == 2
    assert data.queries[0].text == "Which is the capital?\nA. Nice\nB. Paris"
    assert data.quality[0].tolist() == [1, 1]
    assert "1 x 'gt' is read as 'ground_truth' (row 3)" in said
    assert "1 x a repeated outcome, the first is kept (row 4)" in said


def test_llmrouter_candidates_price_the_tokens(tmp_path: Path) -> None:
    """A folder with routing data, queries and candidates."""
    folder = tmp_path / "data"
    tests = json.dumps(["assert f(1) == 2"])
    code = {"metric": "code_eval", "choices": tests, "query": "Write f."}
    write_lines(folder / "routing_train.jsonl", [routed("a"), routed("a", **code)])
    write_lines(folder / "query_train.jsonl", [{"query": "Which?", "ground_truth": "B"}])
    candidates = {"a": {"size": "7B", "input_price": 2, "output_price": 4, "model": "x/a"}}
    (folder / "candidates.json").write_text(json.dumps(candidates))

    data, said = convert("llmrouter", folder)

    assert data.cost[0, 0] == pytest.approx((30 * 2 + 5 * 4) / 1e6)
    assert data.queries[1].text == "Write f."
    assert "1 x a query without an outcome, left out (row 1)" in said


def test_llmrouter_queries_alone_are_no_outcomes(tmp_path: Path) -> None:
    """The message says which file to give."""
    path = write_lines(tmp_path / "query.jsonl", [{"query": "Which?", "ground_truth": "B"}])

    result = run("convert", path, tmp_path / "out.jsonl", "--from", "llmrouter")

    assert result.exit_code == 2
    assert "holds queries without outcomes; give the routing data" in result.stderr


# ---------------------------------------------------------------------------- RouterBench


PROMPT = """['Be brief.', 'Say "A"']"""


def test_routerbench_tables_are_unfolded(tmp_path: Path) -> None:
    """Prompts and answers written as Python lists are texts again."""
    models = ["WizardLM/W-13B", "gpt-4"]
    header = ["sample_id", "prompt", "eval_name", *models]
    header += [f"{m}|model_response" for m in models] + [f"{m}|total_cost" for m in models]
    path = write_table(
        tmp_path / "table.csv",
        [*header, "oracle_model_to_route_to"],
        ["arc.1", PROMPT, "arc", 0.0, 1.0, "['B']", "['A']", 1e-5, 0.002, "gpt-4"],
        ["mbpp.2", "Write f.", "mbpp", "", 0.25, "x", "y", "", 0.003, "gpt-4"],
    )

    data, said = convert("routerbench", path)

    assert data.models == tuple(models)
    assert [query.text for query in data.queries] == ['Be brief.\n\nSay "A"', "Write f."]
    assert (data.ids, data.tasks) == (("arc.1", "mbpp.2"), ("arc", "mbpp"))
    assert data.quality[0].tolist() == [0, 1]
    assert data.cost[:, 1].tolist() == [0.002, 0.003]
    assert data.status[1, 0] == 0
    assert "1 x a prompt written as a Python list, unwrapped (row 2)" in said
    assert "1 x a cell without a score, left out (row 3)" in said


def test_routerbench_lists_are_read_and_never_run() -> None:
    """What is no plain list of texts stays as it is."""
    assert sources.unwrapped("['a', 'b']") == "a\n\nb"
    for text in ("[__import__('os').getcwd()]", "[1]", "['a'", "plain", "[" * 5000):
        assert sources.unwrapped(text) is None


# ---------------------------------------------------------------------------- RouteLLM


def test_routellm_truth_values_are_scores(tmp_path: Path) -> None:
    """All tables of a folder, each its own task; of a repeated prompt the first is kept."""
    folder = tmp_path / "responses"
    folder.mkdir()
    header = ["prompt", "weak", "strong"]
    write_table(folder / "mmlu_anatomy.csv", header, ["Q1", False, True], ["Q1", True, True])
    write_table(
        folder / "gsm8k_responses.csv", [*header, "weak_response"], ["Q2", "True", "True", "42"]
    )

    data, said = convert("routellm", folder)

    assert data.tasks == ("gsm8k", "mmlu_anatomy")
    assert data.quality.tolist() == [[1, 1], [0, 1]]
    assert "1 x a repeated prompt, the first is kept (row 3)" in said


def test_routellm_judgements_are_put_on_one_scale(tmp_path: Path) -> None:
    """A judge who gives up to ten points."""
    path = write_table(
        tmp_path / "mt_bench.csv", ["prompt", "weak", "strong"], ["Q1", 3, 9.5], ["Q2", 1, ""]
    )

    data, said = convert("routellm", path)

    assert data.quality[0].tolist() == [0.3, 0.95]
    assert "scores of a table on a scale up to 10, divided by it" in said
    assert "a cell without a score, left out (row 3)" in said


# ---------------------------------------------------------------------------- RouterArena


def test_routerarena_cached_answers(tmp_path: Path) -> None:
    """Of single models; a failed call is one, an answer nobody judged has no score."""
    base = {
        "global_index": "Geo_7",
        "question": "Which river?",
        "llm_selected": "small",
        "generated_answer": "The Rhine",
        "token_usage": {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14},
        "success": True,
        "error": None,
        "evaluation_result": {"score": 0.5, "metric": "f1", "inference_cost": 0.0002},
    }
    failed = {"llm_selected": "down", "success": False, "error": "timeout", "generated_answer": ""}
    path = write_lines(
        tmp_path / "small.jsonl",
        [
            base,
            {**base, **failed},
            {**base, "llm_selected": "new", "evaluation_result": None},
            base,
        ],
    )

    data, said = convert("routerarena", path)

    assert (data.ids, data.tasks, data.models) == (("Geo_7",), ("Geo",), ("small", "down"))
    assert (data.quality[0, 0], data.cost[0, 0], data.output_tokens[0, 0]) == (0.5, 0.0002, 4)
    assert data.failures == 1
    assert "1 x an answer that was not judged, left out (row 3)" in said
    assert "1 x a repeated outcome, the first is kept (row 4)" in said


def test_routerarena_prediction_files(tmp_path: Path, monkeypatch: Any) -> None:
    """One JSON list, read piece by piece; a paraphrase stays with its original."""
    monkeypatch.setattr(sources, "_CHUNK", 37)
    rows = [
        {
            "global index": f"Geo_{n}",
            "prompt": f"Which river, {n}, [é]?",
            "prediction": "small",
            "generated_result": {
                "generated_answer": "The Rhine",
                "success": True,
                "token_usage": {"prompt_tokens": 10, "completion_tokens": 4},
            },
            "cost": 0.001,
            "accuracy": n % 2,
            "for_optimality": False,
        }
        for n in range(4)
    ]
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / "mine.json").write_text(json.dumps(rows, indent=1))
    (folder / "mine-robustness.json").write_text(
        json.dumps([{**rows[0], "prompt": "What river?"}], ensure_ascii=False)
    )

    data, _ = convert("routerarena", folder)

    assert data.ids == ("Geo_0-robustness", "Geo_0", "Geo_1", "Geo_2", "Geo_3")
    assert data.groups[0] == data.groups[1] == "Geo_0"
    assert data.quality[:, 0].tolist() == [0, 0, 1, 0, 1]
    assert data.queries[2].text == "Which river, 1, [é]?"


def test_a_json_list_that_is_cut_short_is_named(tmp_path: Path) -> None:
    """What came before is not passed off as all there is."""
    path = tmp_path / "mine.json"
    path.write_text('[{"global index": "A_1", "prompt": "Q"')

    result = run("convert", path, tmp_path / "out.jsonl", "--from", "routerarena")

    assert result.exit_code == 2
    assert f"{path}: is not JSON, or cut short" in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


# ---------------------------------------------------------------------------- GMTRouter


def interaction(judge: str, model: str, *ratings: Any) -> dict[str, Any]:
    return {
        "judge": judge,
        "model": model,
        "question_id": 7,
        "turn": 1,
        "model_emb": [0.1],
        "conversation": [
            {"query": f"Turn {n}?", "query_emb": [0.2], "response": "Yes", "rating": rating}
            for n, rating in enumerate(ratings)
        ],
    }


def test_gmtrouter_ratings_are_scores_and_preferences(tmp_path: Path) -> None:
    """Each turn is a query of its user; every two answers are compared; one group a question."""
    path = write_lines(
        tmp_path / "train.jsonl",
        [
            interaction("ada", "a", 8, 5),
            interaction("ada", "b", 6, 5),
            interaction("ada", "c", 9, None),
            interaction("bob", "a", 2),
        ],
    )

    data, said = convert("gmtrouter", path)

    assert data.users == ("ada", "ada", "bob")
    assert set(data.groups) == {"7"}
    assert data.quality[0].tolist() == [0.8, 0.6, 0.9]
    assert [(p.query, p.better, p.worse, p.tie) for p in data.preferences] == [
        (0, "a", "b", False),
        (0, "c", "a", False),
        (0, "c", "b", False),
        (1, "a", "b", True),
    ]
    assert {p.user for p in data.preferences} == {"ada"}
    assert "ratings of a file on a scale up to 10, divided by it" in said
    assert "1 x a turn without a rating, left out (row 3)" in said
    assert "1 x a question that one model answered, no preference (row 4)" in said


# ---------------------------------------------------------------------------- outcomes folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "set"
    queries = [
        {"query_id": f"q{n}", "task": "sums", "split": split, "query": f"{n} + {n}?"}
        for n, split in enumerate(("train", "train", "test"))
    ]
    write_lines(found / "queries.jsonl.gz", queries)
    text = (
        "query_id,model,score,input_tokens,output_tokens,cost_usd,latency_s,answer\n"
        "q0,a,1,10,2,0.001,0.5,0\nq1,a,0,,,,,3\nq1,b,,,,,,\nq2,a,0.5,1,1,,,4\n"
    )
    (found / "outcomes.csv.gz").write_bytes(gzip.compress(text.encode()))
    (found / "models.json").write_text('{"a": {"size_b": 7}}')
    return found


def test_a_folder_of_measured_outcomes(folder: Path) -> None:
    """Blank is unknown, and a cell without a score is no outcome."""
    data, said = convert("outcomes-folder", folder)
    train, _ = convert("outcomes-folder", folder / "train")

    assert (data.ids, data.models) == (("q0", "q1", "q2"), ("a",))
    assert data.quality[:, 0].tolist() == [1, 0, 0.5]
    assert (data.cost[0, 0], data.latency[0, 0], data.input_tokens[0, 0]) == (0.001, 0.5, 10)
    assert "1 x a cell without a score, left out (row 4)" in said
    assert train.ids == ("q0", "q1")


def test_an_outcome_of_an_unlisted_query_is_damage(folder: Path) -> None:
    """It stops the conversion, or is skipped and counted."""
    write_lines(folder / "queries.jsonl.gz", [{"query_id": "q0", "query": "0?", "task": "t"}])

    strict = run("convert", folder, folder / "out.jsonl", "--from", "outcomes-folder")
    data, said = convert("outcomes-folder", folder, "--skip-bad")

    assert strict.exit_code == 2
    assert "an outcome of a query that is not listed (rows 3, 4, 5); to go on" in strict.stderr
    assert data.ids == ("q0",)
    assert "3 x dropped: an outcome of a query that is not listed (rows 3, 4, 5)" in said


# ---------------------------------------------------------------------------- all readers


def test_the_shape_is_told_by_the_columns(folder: Path, tmp_path: Path) -> None:
    """Each shape by itself, and a sentence for what has none."""
    seven = tmp_path / "seven"
    seven.mkdir()
    shapes = {
        "folder": folder,
        "routing": write_lines(seven / "a.jsonl", [routed("a")]),
        "routerbench": write_table(
            seven / "b.csv", ["prompt", "m", "m|total_cost"], ["Q", 1, 0.1]
        ),
        "routellm": write_table(seven / "c.csv", ["prompt", "m"], ["Q", True]),
        "gmtrouter": write_lines(seven / "d.jsonl", [interaction("ada", "a", 1)]),
    }
    for shape, path in shapes.items():
        repairs = Repairs()

        assert list(read(path, repairs))
        assert repairs.counts[f"read as {shape}"] == 1
    with pytest.raises(DatasetError, match="is of no known shape; name a reader: --from"):
        list(read(write_lines(seven / "e.jsonl", [{"x": 1}]), Repairs()))


@pytest.mark.parametrize("name", sorted(READERS - {"outcomes-folder"}))
@pytest.mark.parametrize("file", ["table.pkl", "table.pt", "table.csv"])
def test_every_reader_refuses_pickles(tmp_path: Path, name: str, file: str) -> None:
    """By name, and where the name lies, by the first bytes."""
    path = tmp_path / file
    path.write_bytes(pickle.dumps({"prompt": ["Q"]}))

    result = run("convert", path, tmp_path / "out.jsonl", "--from", name)

    assert result.exit_code == 2
    assert "is a pickle or an archive of pickles" in result.stderr


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_reader_says_that_a_file_is_missing(tmp_path: Path, name: str) -> None:
    """In one line."""
    result = run("convert", tmp_path / "none.csv", tmp_path / "out.jsonl", "--from", name)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {tmp_path}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["llmrouter", "routerarena", "gmtrouter"])
def test_damaged_lines_are_named_and_can_be_skipped(tmp_path: Path, name: str) -> None:
    """With the number of the line."""
    arena = {"global_index": "A_1", "question": "Q?", "llm_selected": "a", "success": True}
    good = {
        "llmrouter": routed("a"),
        "routerarena": {**arena, "evaluation_result": {"score": 1}},
        "gmtrouter": interaction("ada", "a", 1),
    }[name]
    path = tmp_path / "rows.jsonl"
    path.write_text("{broken\n" + json.dumps(good) + "\n")

    strict = run("convert", path, tmp_path / "out.jsonl", "--from", name)
    data, said = convert(name, path, "--skip-bad")

    assert strict.exit_code == 2
    assert "a row that is not JSON (row 1)" in strict.stderr
    assert len(data) == 1
    assert "1 x dropped: a row that is not JSON (row 1)" in said
