"""What `llmrouter collect` asks, keeps, refuses and shows."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from click.testing import CliRunner, Result
from llmrouter_core import (
    Call,
    Chunk,
    Dataset,
    LLMRouter,
    Model,
    Price,
    RateLimited,
    Request,
    TimedOut,
    Unavailable,
    Usage,
    hookimpl,
)
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.tasks import Ask, Example
from llmrouter_plugin_collect import Journal, Lane, Plan, Question, Run
from llmrouter_plugin_collect.journal import JOURNAL, OUTCOMES
from llmrouter_plugin_collect.lanes import lanes
from llmrouter_plugin_collect.questions import Stated
from llmrouter_plugin_collect.running import GIVE_UP
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

SIM = 'selector = "smallest-llm"\n[caller.default]\nuse = "sim"\n'
PAIR = SIM + '[model.tiny]\nid = "sim-tiny"\nprice = { input = 0.03, output = 0.12 }\n'
PAIR += '[model.mini]\nid = "sim-mini"\nprice = { input = 0.1, output = 0.4 }\n'


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(llmrouter, ["collect", *map(str, arguments)])


def done(*arguments: str | Path) -> dict[str, Any]:
    """Run with --json and return what it found."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(PAIR)
    return path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / OUTCOMES).read_text("utf-8").splitlines()]


# ---------------------------------------------------------------- the command, on sim


def test_every_model_is_asked_every_query(config: Path, tmp_path: Path) -> None:
    """What comes out is a data set that core reads."""
    found = done(config, "sim", "--limit", 22, "--out", tmp_path / "out")
    dataset = Dataset.read(tmp_path / "out" / OUTCOMES)

    assert found["complete"] is True
    assert found["asked"] == found["rows"] == 44
    assert dataset.models == ("mini", "tiny")
    assert len(dataset) == 22
    assert set(dataset.tasks) == {"sim"}
    assert 0 < dataset.quality.mean() < 1
    assert dataset.cost.sum() == pytest.approx(found["spent"])


def test_a_finished_folder_asks_nothing_and_writes_the_same(config: Path, tmp_path: Path) -> None:
    """A second run is free."""
    done(config, "sim", "--limit", 5, "--out", tmp_path)
    first = (tmp_path / OUTCOMES).read_bytes()
    found = done(config, "sim", "--limit", 5, "--out", tmp_path)

    assert found["asked"] == 0
    assert (tmp_path / OUTCOMES).read_bytes() == first


def test_failures_are_kept_and_asked_again_until_all_is_as_without_them(tmp_path: Path) -> None:
    """With faults, runs and passes end where an undisturbed run ends."""
    calm, wild = tmp_path / "calm.toml", tmp_path / "wild.toml"
    calm.write_text(PAIR)
    wild.write_text(
        PAIR.replace('use = "sim"', 'use = "sim"\nfaults = { timeout = 0.2, cut = 0.2 }')
    )
    done(calm, "sim", "--limit", 15, "--out", tmp_path / "calm")
    first = done(wild, "sim", "--limit", 15, "--out", tmp_path / "wild")
    failed = [row for row in rows(tmp_path / "wild") if row["status"] != "ok"]
    last = done(wild, "sim", "--limit", 15, "--out", tmp_path / "wild", "--retry", 30)

    assert first["complete"] is False
    assert {row["status"] for row in failed} == {"timeout", "error"}
    assert all("score" not in row and row["error"].endswith("try again") for row in failed)
    assert last["complete"] is True
    assert last["asked"] >= len(failed)
    assert rows(tmp_path / "wild") == rows(tmp_path / "calm")


def test_the_budget_stops_the_run_and_more_money_goes_on(config: Path, tmp_path: Path) -> None:
    """Reservations keep the sum below the limit, over all runs of the folder."""
    arguments = (config, "sim", "--limit", 60, "--max-tokens", 60, "--out", tmp_path / "out")
    whole = done(*arguments[:-1], tmp_path / "whole")
    budget = whole["spent"] / 2
    first = done(*arguments, "--budget", budget)
    again = done(*arguments, "--budget", budget)
    last = done(*arguments, "--budget", 1)

    assert budget * 0.8 < first["spent"] <= budget
    assert first["complete"] is False
    assert "of --budget" in first["stopped"]
    assert again["spent"] <= budget
    assert last["complete"] is True
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")


def test_a_stopped_run_has_asked_all_models_about_as_much(config: Path, tmp_path: Path) -> None:
    """Queries are finished one after the other, whoever is dear."""
    found = done(config, "sim", "--limit", 60, "--out", tmp_path, "--budget", 0.0005)
    counts = [row["ok"] for row in found["models"]]

    assert min(counts) > 0
    assert max(counts) - min(counts) <= 8


def test_a_model_without_a_price_is_no_match_for_a_budget(config: Path, tmp_path: Path) -> None:
    """Nothing is asked, and the sentence says what to add."""
    config.write_text(SIM + "[model.sim-tiny]\nsize = 1\n")
    result = invoke(config, "sim", "--out", tmp_path / "out", "--budget", "1")

    assert result.exit_code == 2
    assert "model 'sim-tiny' has no price" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_asks_nothing_and_learns_from_what_there_is(
    config: Path, tmp_path: Path
) -> None:
    """The estimate falls from 512 tokens an answer to what answers have had."""
    blind = done(config, "sim", "--limit", 40, "--dry-run", "--out", tmp_path / "out")
    existed = (tmp_path / "out").exists()
    done(config, "sim", "--limit", 40, "--out", tmp_path / "out", "--budget", 0.0005)
    seen = done(config, "sim", "--limit", 40, "--dry-run", "--out", tmp_path / "out")
    last = done(config, "sim", "--limit", 40, "--out", tmp_path / "out")

    assert not existed
    assert blind["calls"] == 80
    assert [row["output_tokens_each"] for row in blind["models"]] == [512, 512]
    assert 0 < seen["calls"] < 80
    assert seen["cost"] < blind["cost"] / 5
    assert seen["cost"] == pytest.approx(last["spent"] - seen["spent"], rel=0.3)


def test_an_estimate_is_a_table_for_people(config: Path) -> None:
    """It ends with the sum."""
    result = invoke(config, "sim", "--limit", 4, "--dry-run")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("together  8")
    assert "nothing was asked" in result.stderr


def test_a_cut_answer_is_truncated_and_not_wrong(config: Path, tmp_path: Path) -> None:
    """Its tokens and dollars count; it has no score, and is not asked again."""
    out = tmp_path / "out"
    found = done(config, "sim", "--limit", 6, "--max-tokens", 2, "--out", out, "--retry", 3)

    assert found["asked"] == 12
    assert {row["status"] for row in rows(out)} == {"truncated"}
    assert all("score" not in row and row["finish"] == "length" for row in rows(out))
    assert all(row["output_tokens"] == 2 and row["cost"] > 0 for row in rows(out))


def test_the_order_of_tasks_and_models_changes_nothing(tmp_path: Path) -> None:
    """Rows are sorted, and the same pool in another order is the same pool."""
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text(PAIR)
    tiny, mini = PAIR.index("[model.tiny]"), PAIR.index("[model.mini]")
    other.write_text(PAIR[:tiny] + PAIR[mini:] + PAIR[tiny:mini])
    (tmp_path / "mine.jsonl").write_text('{"query": "What is 2 + 2?", "reference": 4}\n')
    common = ("--queries", tmp_path / "mine.jsonl", "--limit", 3, "--out", tmp_path / "out")
    done(one, "sim", *common)
    again = done(other, "sim", *common)
    order = [(row["task"], row["model"]) for row in rows(tmp_path / "out")]

    assert again["asked"] == 0
    assert order == [("mine", "mini"), ("mine", "tiny"), *[("sim", "mini"), ("sim", "tiny")] * 3]


def test_queries_of_a_file_are_scored_by_their_reference_or_by_a_task(
    config: Path, tmp_path: Path
) -> None:
    """Without a task, a right answer states the reference as whole words."""
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"id": "a", "query": "What is 17 * 23?", "reference": "391", "group": "g"}\n'
        '{"query": "What is the capital of France?", "reference": "Paris", "user": "ada"}\n'
    )
    done(config, "--queries", file, "--out", tmp_path / "one")
    done(config, "--queries", file, "--scored-by", "sim", "--out", tmp_path / "two")
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")

    assert [row["score"] for row in one] == [row["score"] for row in two]
    assert (one[0]["id"], one[0]["task"], one[0]["group"]) == ("mine/a", "mine", "g")
    assert one[-1]["user"] == "ada"


def test_a_task_reads_the_source_it_is_given(config: Path, tmp_path: Path) -> None:
    """With one task the name may be left out."""
    file = tmp_path / "asked.txt"
    file.write_text("What is 17 * 23?\n")
    for place, source in enumerate((str(file), f"sim={file}")):
        out = tmp_path / str(place)
        found = done(config, "sim", "--task-source", source, "--out", out)
        assert found["queries"] == 1
        assert rows(out)[0]["query"] == "What is 17 * 23?"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sim"], "add: --out"),
        (["--out", "x"], "name a task"),
        (["sum", "--out", "x"], "did you mean 'sim'?"),
        (["sim", "--out", "x", "--budget", "nan"], "got nan @ --budget"),
        (["sim", "--out", "x", "--concurrency", "0"], "with a whole number above 0; got '0'"),
        (["sim", "--out", "x", "--per-minute", "a=b"], "with a number above 0; got 'a=b'"),
        (["sim", "--out", "x", "--per-minute", "other=5"], "no [caller.other]"),
        (["sim", "--out", "x", "--judge", "nobody"], "add [model.nobody]"),
        (["sim", "--out", "x", "--scored-by", "sim"], "--scored-by is for --queries"),
        (["sim", "--out", "x", "--task-source", "none.txt"], "none.txt: cannot be read"),
        (["--queries", "none.jsonl", "--out", "x"], "none.jsonl: cannot be read"),
        (["--queries", "sim.jsonl", "sim", "--out", "x"], "rename it"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    arguments: list[str], sentence: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, exit code 2, no folder."""
    monkeypatch.chdir(config.parent)
    result = invoke(config, *arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ('{"reference": "4"}', "'query' is missing"),
        ('{"query": "What is 2 + 2?"}', "'reference' is missing"),
        ("[]", "is not a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_a_bad_row_of_a_file_is_named(
    row: str, sentence: str, config: Path, tmp_path: Path
) -> None:
    """With its number."""
    file = tmp_path / "mine.jsonl"
    file.write_text('{"query": "What is 2 + 2?", "reference": "4"}\n' + row)
    result = invoke(config, "--queries", file, "--out", tmp_path / "x")

    assert result.exit_code == 2
    assert f"{file}:2: {sentence}" in result.stderr


def test_two_examples_of_one_id_are_refused(config: Path, tmp_path: Path) -> None:
    """Their rows could not be told apart."""
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": 1, "query": "one?", "reference": "a"}\n' * 2)
    result = invoke(config, "--queries", file, "--out", tmp_path / "x")

    assert result.exit_code == 2
    assert "a second outcome" in result.stderr


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("The answer is 35.", 1.0),
        ("It is 3.5.", 0.0),
        ("It is 1,35.", 0.0),
        ("-35", 0.0),
        ("35,", 1.0),
        ("235", 0.0),
        ("35.0", 0.0),
        ("", 0.0),
    ],
)
def test_a_reference_is_stated_as_whole_words(answer: str, right: float) -> None:
    """A number is not found within another."""
    assert Stated().score(Example(id="1", text="?", reference="35"), answer) == right


# ---------------------------------------------------------------- calls of every kind


@define(eq=False, kw_only=True)
class ScriptCaller:
    """Does what the next function in line says; the last one for good."""

    name: str = "default"
    script: list[Callable[[Request], Chunk]]
    asked: list[tuple[str, float]] = field(init=False, factory=list)
    at_once: int = field(init=False, default=0)
    most_at_once: int = field(init=False, default=0)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        if model.caller not in (None, self.name):
            return None

        async def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            self.asked.append((model.name, asyncio.get_running_loop().time()))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(0.001)
                yield (self.script.pop(0) if len(self.script) > 1 else self.script[0])(request)
            finally:
                self.at_once -= 1

        return answer


def says(text: str, finish: str = "stop") -> Callable[[Request], Chunk]:
    usage = Usage(input_tokens=5, output_tokens=2, seconds=0.5)
    return lambda request: Chunk(text=text, finish=finish, usage=usage)


def fails(error: Exception) -> Callable[[Request], Chunk]:
    def fail(request: Request) -> Chunk:
        raise error

    return fail


def question(number: int, task: Any = None) -> Question:
    example = Example(id=str(number), text=f"question {number}", reference="yes")
    return Question(name="quiz", task=task or Stated(), example=example)


def collected(
    folder: Path,
    caller: ScriptCaller | list[ScriptCaller],
    *,
    queries: int = 1,
    models: tuple[Model, ...] = (Model(name="one", price=Price(input=1, output=1)),),
    task: Any = None,
    judge: Model | None = None,
    lane: dict[str, dict[str, float]] | None = None,
    **options: Any,
) -> tuple[Run, list[dict[str, Any]]]:
    """Run once over *folder* and return the run and the rows."""
    callers = caller if isinstance(caller, list) else [caller]
    router = LLMRouter(models=[*models], parts=[SmallestLlmSelector(), *callers])
    plan = Plan([question(i, task) for i in range(queries)], router.pipeline.models)
    made = lanes(
        router,
        router.models,
        (lane or {}).get("concurrency", {}),
        (lane or {}).get("per_minute", {}),
    )
    with Journal(folder, plan) as journal:
        run = Run(router=router, journal=journal, lanes=made, judge=judge, **options)
        asyncio.run(run.run())
        journal.finish()
    return run, rows(folder)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (says("yes"), "ok"),
        (says("ye", "length"), "truncated"),
        (says("", "content_filter"), "refused"),
        (fails(TimedOut("too slow; try again")), "timeout"),
        (fails(Unavailable("it is down; try again")), "error"),
    ],
    ids=["ok", "truncated", "refused", "timeout", "error"],
)
def test_each_end_of_a_call_has_its_status(
    result: Callable[[Request], Chunk], status: str, tmp_path: Path
) -> None:
    """Only an answer that is whole has a score."""
    _, [row] = collected(tmp_path, ScriptCaller(script=[result]))

    assert row["status"] == status
    assert ("score" in row) == (status == "ok")
    assert ("error" in row) == (status in ("timeout", "error"))


def test_a_provider_that_asks_to_wait_is_waited_for(tmp_path: Path) -> None:
    """`Retry-After` holds every call of that caller, and the call does not fail."""
    limited = fails(RateLimited("slow down; wait", retry_after=0.1))
    caller = ScriptCaller(script=[limited, says("yes")])
    models = (Model(name="one"), Model(name="two"))
    _, found = collected(tmp_path, caller, queries=2, models=models, lane={"concurrency": {"": 1}})
    times = [when for _, when in caller.asked]

    assert [row["status"] for row in found] == ["ok"] * 4
    assert len(times) == 5
    assert times[1] - times[0] >= 0.1


def test_a_wait_holds_one_caller_and_not_another(tmp_path: Path) -> None:
    """Providers are strangers to each other."""
    limited = fails(RateLimited("slow down; wait", retry_after=0.15))
    slow = ScriptCaller(name="slow", script=[limited, says("yes")])
    fast = ScriptCaller(name="fast", script=[says("yes")])
    models = (Model(name="one", caller="slow"), Model(name="two", caller="fast"))
    collected(tmp_path, [slow, fast], queries=5, models=models)

    assert max(when for _, when in fast.asked) < slow.asked[-1][1]


def test_calls_of_a_caller_are_spread_over_the_minute(tmp_path: Path) -> None:
    """6,000 a minute are one every 10 ms."""
    caller = ScriptCaller(script=[says("yes")])
    collected(tmp_path, caller, queries=8, lane={"per_minute": {"default": 6000}})
    times = [when for _, when in caller.asked]

    assert times[-1] - times[0] >= 0.069


def test_after_a_wait_calls_are_spread_again(tmp_path: Path) -> None:
    """Those that had a place in the line when the provider asked to wait take new ones."""
    limited = fails(RateLimited("slow down; wait", retry_after=0.1))
    caller = ScriptCaller(script=[limited, says("yes")])
    collected(tmp_path, caller, queries=8, lane={"per_minute": {"": 6000}})
    times = [when for _, when in caller.asked if when - caller.asked[0][1] >= 0.1]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]

    assert len(gaps) >= 5
    assert min(gaps) > 0.004


def test_no_more_calls_run_at_once_than_allowed(tmp_path: Path) -> None:
    """As many as that do."""
    caller = ScriptCaller(script=[says("yes")])
    collected(tmp_path, caller, queries=20, lane={"concurrency": {"": 3}})

    assert caller.most_at_once == 3


def test_all_models_advance_together(tmp_path: Path) -> None:
    """Whoever is slow, the queries are asked one after the other."""
    caller = ScriptCaller(script=[says("yes")])
    models = tuple(Model(name=name) for name in "abc")
    collected(tmp_path, caller, queries=10, models=models, lane={"concurrency": {"": 1}})

    assert [name for name, _ in caller.asked] == [*"abc"] * 10


def test_a_model_that_always_fails_is_left_for_the_next_run(tmp_path: Path) -> None:
    """The other model is asked everything."""
    down = ScriptCaller(name="down", script=[fails(Unavailable("it is down; try again"))])
    up = ScriptCaller(name="up", script=[says("yes")])
    models = (Model(name="dead", caller="down"), Model(name="live", caller="up"))
    run, found = collected(
        tmp_path, [down, up], queries=60, models=models, lane={"concurrency": {"": 1}}
    )

    assert run.given_up == {"dead": "it is down; try again"}
    assert Counter(row["model"] for row in found) == {"live": 60, "dead": GIVE_UP}


def test_a_mistake_in_the_config_ends_the_run_at_once(tmp_path: Path) -> None:
    """Going on would make the same mistake for every row; what there is, is kept."""
    from llmrouter_core import ConfigError

    broken = fails(ConfigError("environment", ["KEY is not set; set it: export KEY=…"]))
    caller = ScriptCaller(script=[says("yes"), broken])
    with pytest.raises(ConfigError, match="KEY is not set"):
        collected(tmp_path, caller, queries=50, lane={"concurrency": {"": 1}})
    caller.script = [says("yes")]
    run, found = collected(tmp_path, caller, queries=50)

    assert run.asked == 49
    assert len(found) == 50


@define(eq=False, kw_only=True)
class JudgedQuiz:
    """A task whose answers the judge calls good or not."""

    name: str = "quiz"

    def examples(self, source: Path | None = None, limit: int | None = None, seed: int = 0) -> Any:
        return iter(())

    def prompt(self, example: Example) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": example.text}]}

    async def judge(self, example: Example, answer: str, ask: Ask) -> float | None:
        verdict = await ask([{"role": "user", "content": f"is '{answer}' good?"}])
        return {"good": 1.0, "bad": 0.0}.get(verdict)


JUDGE = Model(name="judge", caller="court", routable=False, price=Price(input=1, output=1))


def test_a_judge_is_asked_through_the_router_and_paid_for(tmp_path: Path) -> None:
    """Its dollars count for the folder, not for the model."""
    court = ScriptCaller(name="court", script=[says("good"), says("bad")])
    caller = ScriptCaller(name="default", script=[says("an answer")])
    models = (Model(name="one", caller="default", price=Price(input=1, output=1)), JUDGE)
    run, found = collected(
        tmp_path, [caller, court], queries=2, models=models, task=JudgedQuiz(), judge=JUDGE
    )

    assert sorted(row["score"] for row in found) == [0.0, 1.0]
    assert all(row["cost"] == pytest.approx(7e-6) for row in found)
    assert all("judge_cost" not in row for row in found)
    assert run.journal.tally.judged == pytest.approx(14e-6)
    assert run.journal.tally.spent == pytest.approx(28e-6)


def test_an_answer_that_nobody_could_score_is_scored_later_without_asking_again(
    tmp_path: Path,
) -> None:
    """The model is paid once."""
    court = ScriptCaller(name="court", script=[fails(Unavailable("down; try again"))])
    caller = ScriptCaller(name="default", script=[says("an answer")])
    models = (Model(name="one", caller="default", price=Price(input=1, output=1)), JUDGE)
    _, [broken] = collected(
        tmp_path, [caller, court], models=models, task=JudgedQuiz(), judge=JUDGE
    )
    court.script = [says("good")]
    last, [mended] = collected(
        tmp_path, [caller, court], models=models, task=JudgedQuiz(), judge=JUDGE
    )

    assert broken["status"] == "error"
    assert broken["error"] == "the judge did not answer: down; try again"
    assert len(caller.asked) == 1
    assert mended["status"] == "ok"
    assert mended["score"] == 1.0
    assert mended["cost"] == pytest.approx(7e-6)
    assert last.journal.tally.spent == pytest.approx(14e-6)


@pytest.mark.parametrize("score", [1.5, -1.0, float("nan"), None])
def test_a_task_that_scores_nonsense_is_named(score: Any, tmp_path: Path) -> None:
    """The answer is kept, as an error."""

    class Odd(Stated):
        def score(self, example: Example, answer: str) -> float:
            if score is None:
                raise KeyError("surprise")
            return float(score)

    _, [row] = collected(tmp_path, ScriptCaller(script=[says("yes")]), task=Odd())

    assert row["status"] == "error"
    assert row["text"] == "yes"
    assert "task 'quiz'" in row["error"]


def test_an_answer_with_a_nul_can_be_read_again(tmp_path: Path) -> None:
    """Outcome files take NUL for damage, so it is replaced; half a surrogate pair is kept."""
    _, [row] = collected(tmp_path, ScriptCaller(script=[says("yes\0\ud800")]))

    assert row["text"] == "yes�\ud800"
    assert len(Dataset.read(tmp_path / OUTCOMES)) == 1


def test_a_cancelled_run_keeps_every_row_and_ends_every_call(tmp_path: Path) -> None:
    """As on Ctrl-C: calls under way are cancelled, and nothing is left open."""
    caller = ScriptCaller(script=[says("yes")])
    router = LLMRouter(models=[Model(name="one")], parts=[SmallestLlmSelector(), caller])
    plan = Plan([question(i) for i in range(500)], router.pipeline.models)
    with Journal(tmp_path, plan) as journal:
        lane = {"one": Lane(name="default")}
        run = Run(router=router, journal=journal, lanes=lane)

        async def interrupted() -> None:
            task = asyncio.create_task(run.run())
            while run.asked < 20:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(interrupted())
    kept = Journal(tmp_path, plan).look()

    assert caller.at_once == 0
    assert 20 <= run.asked == len(plan) - kept.status.count(0) < 500
    assert (tmp_path / JOURNAL).read_bytes().endswith(b"\n")


def test_a_model_is_served_by_its_own_caller_or_by_the_first_that_takes_it() -> None:
    """Lanes follow callers."""
    first = ScriptCaller(name="first", script=[says("yes")])
    last = ScriptCaller(name="last", script=[says("yes")])
    models = [Model(name="any"), Model(name="own", caller="last")]
    router = LLMRouter(models=models, parts=[SmallestLlmSelector(), first, last])
    made = lanes(router, models, {"": 4, "last": 2}, {"first": 60})

    assert (made["any"].name, made["any"].concurrency, made["any"].per_minute) == ("first", 4, 60)
    assert (made["own"].name, made["own"].concurrency, made["own"].per_minute) == ("last", 2, None)
