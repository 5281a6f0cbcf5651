"""What the replay caller answers, and when it says that it cannot."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from llmrouter_core import (
    AllModelsFailed,
    ConfigError,
    DatasetError,
    LLMRouter,
    Model,
    NoRecording,
    Price,
    Request,
)
from llmrouter_plugin_replay import ReplayCaller
from llmrouter_plugin_replay.recordings import recorded
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

ROWS = [
    {"query": "two?", "model": "small", "score": 1, "text": "2", "task": "sums", "cost": 0.25,
     "input_tokens": 7, "output_tokens": 3, "latency": 1.5},
    {"query": "two?", "model": "small", "score": 0, "text": "II", "task": "latin"},
    {"query": "two?", "model": "large", "score": 1, "text": "two"},
    {"query": "three?", "model": "large", "score": 1, "text": "three"},
    {"query": "scored?", "model": "small", "score": 1},
    {"query": "empty?", "model": "small", "score": 0, "text": ""},
    {"query": "down?", "model": "small", "text": "503", "status": "error"},
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "outcomes.jsonl", ROWS)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def router_with(path: Path, *models: Model) -> LLMRouter:
    models = models or (Model(name="small", size=1), Model(name="large", size=2))
    return LLMRouter(models=models, parts=[SmallestLlmSelector(), ReplayCaller(path=path)])


def test_an_answer_has_its_recorded_text_usage_cost_and_time(path: Path) -> None:
    """Of the same text in two tasks, the first counts."""
    with router_with(path) as router:
        answer = router.route("two?")

    assert (answer.text, answer.model, answer.finish) == ("2", "small", "stop")
    assert (answer.cost, answer.seconds) == (0.25, 1.5)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)
    assert not answer.usage.estimated


def test_what_was_not_recorded_is_estimated_and_priced(path: Path) -> None:
    """Tokens are estimated from the texts, and the price of the pool applies."""
    with router_with(path, Model(name="large", price=Price(input=1e6, output=1e6))) as router:
        answer = router.route("three?")

    assert answer.usage.estimated
    assert answer.cost == 2.0
    assert answer.seconds < 1


def test_a_query_nobody_recorded_is_said_so(path: Path) -> None:
    """The error names the model and the beginning of the query."""
    question = "why " * 30

    refused = pytest.raises(NoRecording, match=r"model 'small' to 'why why .* was not recorded")
    with router_with(path, Model(name="small")) as router, refused as info:
        router.route(question)

    assert question[:60] in str(info.value)
    assert question[:61] not in str(info.value)
    assert info.value.elsewhere


def test_another_model_may_have_a_recording(path: Path) -> None:
    """The router falls back along its ranking."""
    with router_with(path) as router:
        assert router.route("three?").model == "large"
        with pytest.raises(AllModelsFailed):
            router.route("four?")


@pytest.mark.parametrize(
    ("query", "reason"), [("scored?", "has no recorded text"), ("down?", "was not recorded")]
)
def test_no_answer_is_made_up(path: Path, query: str, reason: str) -> None:
    """A score is not an answer, and neither is a failure."""
    refused = pytest.raises(NoRecording, match=reason)
    with router_with(path, Model(name="small")) as router, refused:
        router.route(query)


def test_an_empty_text_is_an_answer(path: Path) -> None:
    """The model said nothing, and finished."""
    with router_with(path, Model(name="small")) as router:
        answer = router.route("empty?")

    assert (answer.text, answer.finish) == ("", "stop")


def test_the_last_user_message_is_looked_up(path: Path) -> None:
    """The rest of the conversation does not matter."""
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "two?"}]

    with router_with(path) as router:
        assert router.route(messages).text == "2"


def test_recorded_models_are_offered_as_the_pool(path: Path) -> None:
    """A config without models gets those of the file, served by this caller alone."""
    config = {"selector": "smallest-llm", "caller": {"old": {"use": "replay", "path": str(path)}}}

    with LLMRouter(config) as router:
        answer = router.route("three?")

    assert [(model.name, model.caller) for model in router.models] == [
        ("small", "old"),
        ("large", "old"),
    ]
    assert answer.text == "three"


def test_the_path_is_relative_to_the_config(path: Path) -> None:
    """A config and its recordings can be moved together."""
    config = path.with_name("router.toml")
    config.write_text(
        'selector = "smallest-llm"\n[caller.default]\nuse = "replay"\npath = "outcomes.jsonl"\n'
    )

    with LLMRouter(config) as router:
        assert router.route("three?").text == "three"


def test_a_stranger_is_left_to_other_callers(path: Path) -> None:
    """It serves neither a model of another caller nor one that was not recorded."""
    caller = ReplayCaller(path=path)

    assert caller.call(Model(name="small", caller="other")) is None
    assert caller.call(Model(name="unheard-of")) is None
    with pytest.raises(ConfigError, match="no caller serves model 'unheard-of'"):
        router_with(path, Model(name="unheard-of"))


def test_the_file_is_read_once(path: Path) -> None:
    """What was read is kept, whatever becomes of the file."""
    router = router_with(path)
    path.unlink()

    async def ask(name: str) -> str:
        async with router:
            return (await router.session().ask(name, Request.of("two?"))).text

    assert asyncio.run(ask("large")) == "two"


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    """By its ending, as everywhere."""
    path = write(tmp_path / "outcomes.jsonl.gz", ROWS)

    with router_with(path) as router:
        assert router.route("two?").text == "2"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"query": "q", "model": "small", "score": 2}, ":2: 'score' must be from 0 to 1"),
        ({"query": "q", "model": "small", "score": 1, "text": 5}, ":2: 'text' must be a text"),
        ({"query": "q", "model": "", "score": 1}, ":2: 'model' must be a text"),
        (["q"], ":2: is not a JSON object"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, row: Any, problem: str) -> None:
    """The rules are those of every outcome file, and a text is a text."""
    path = write(tmp_path / "outcomes.jsonl", [ROWS[0], row])

    with pytest.raises(DatasetError, match=problem):
        router_with(path)


def test_a_file_that_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    """There must be a file, and a text in it."""
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        router_with(tmp_path / "missing.jsonl")
    with pytest.raises(DatasetError, match="no row has a 'text'"):
        router_with(write(tmp_path / "scores.jsonl", [ROWS[4]]))


def test_a_path_may_be_a_text_and_an_error_stays_one_line(path: Path) -> None:
    """What is quoted of a query cannot break the line it is quoted in."""
    caller = ReplayCaller(path=str(path))
    models = [Model(name="small")]
    router = LLMRouter(models=models, parts=[SmallestLlmSelector(), caller])

    with router, pytest.raises(NoRecording) as info:
        router.route("first\nsecond\x1b[31m")

    assert str(info.value).isprintable()


def test_a_row_with_an_answer_counts_before_one_without(tmp_path: Path) -> None:
    """Of one text in two tasks, the row whose answer was kept is the one that is replayed."""
    rows = [
        {"query": "Why?", "task": "a", "model": "m", "score": 1},
        {"query": "Why?", "task": "b", "model": "m", "score": 1, "text": "Because."},
    ]
    path = tmp_path / "outcomes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    assert recorded(path)["m"]["Why?"].text == "Because."
