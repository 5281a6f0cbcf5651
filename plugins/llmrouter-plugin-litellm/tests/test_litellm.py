"""What is special about the litellm caller: what it lets through, and what it keeps quiet."""

import asyncio
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    LLMRouter,
    Model,
    RateLimited,
    Refused,
    Request,
    Secret,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_litellm import LitellmCaller, library

from .provider import EVENTS, KEY, PLAIN, Provider, provider

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def options() -> Iterator[dict[str, Any]]:
    with provider() as found:
        yield {**found, "api_key": Secret(KEY)}


def chunks(caller: LitellmCaller, asked: str = "lab/a-1", /, **payload: Any) -> list[Chunk]:
    call = caller.call(Model(name="a", id=asked))
    assert call is not None
    request = Request(payload={"messages": MESSAGES, **payload})

    async def read() -> list[Chunk]:
        async with caller.lifespan():
            return [chunk async for chunk in call(request)]

    return asyncio.run(read())


# ---------------------------------------------------------------------------- asking


def test_a_chat_is_asked_for_and_comes_back_as_openais_events(options: dict[str, Any]) -> None:
    """Text, calls of tools, usage with what was billed, and a finish; each event as JSON too."""
    found = chunks(LitellmCaller(**options), temperature=0.5, not_invented_yet={"x": [None]})
    headers, sent = Provider.asked[0]

    assert "".join(chunk.text for chunk in found) == "Paris"
    assert [chunk.finish for chunk in found if chunk.finish] == ["tool_calls"]
    assert found[-1].usage is not None
    assert (found[-1].usage.input_tokens, found[-1].usage.cost) == (5, 0.25)
    assert all(json.loads(chunk.data or b"") == chunk.event for chunk in found)
    assert found[0].event is not None
    assert found[0].event["id"] == EVENTS[0]["id"]
    called = [chunk.event["choices"][0]["delta"] for chunk in found[:-1] if chunk.event]
    assert any(delta.get("tool_calls", [{}])[0].get("id") == "t1" for delta in called)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert sent == {
        "messages": MESSAGES,
        "model": "lab/a-1",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "not_invented_yet": {"x": [None]},
    }


@pytest.mark.parametrize(("option", "payload"), [(False, {}), (True, {"stream": False})])
def test_an_answer_in_one_piece_is_one_chunk(
    options: dict[str, Any], option: bool, payload: dict[str, Any]
) -> None:
    """By option or by payload."""
    [chunk] = chunks(LitellmCaller(**options, stream=option), **payload)

    assert (chunk.text, chunk.finish) == ("Paris", "stop")
    assert chunk.usage is not None
    assert chunk.usage.output_tokens == 2
    assert chunk.event is not None
    assert chunk.event["choices"][0]["message"]["content"] == "Paris"
    assert chunk.event["id"] == PLAIN["id"]


def test_a_payload_cannot_steer_the_library(options: dict[str, Any]) -> None:
    """What would send the key elsewhere, or nothing at all, is only text for the provider."""
    steering = {
        "api_base": "http://127.0.0.1:1/evil",
        "base_url": "http://127.0.0.1:1/evil",
        "api_key": "another",
        "custom_llm_provider": "anthropic",
        "mock_response": "mocked",
        "fallbacks": ["openai/evil"],
        "max_retries": 9,
        "extra_headers": {"authorization": "none"},
    }
    found = chunks(LitellmCaller(**options), **steering)
    [(headers, sent)] = Provider.asked

    assert "".join(chunk.text for chunk in found) == "Paris"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert {name: sent[name] for name in steering} == steering


def test_the_payload_is_left_as_it_is(options: dict[str, Any]) -> None:
    """litellm changes messages; it gets its own."""
    messages = [{"role": "system", "content": "Be brief."}, *deepcopy(MESSAGES)]
    before = deepcopy(messages)
    chunks(LitellmCaller(**options), messages=messages, model="auto")

    assert messages == before


def test_another_protocol_comes_back_as_the_same_events(options: dict[str, Any]) -> None:
    """Anthropic's, which litellm translates in both directions."""
    del options["arguments"]
    options["base_url"] = options["base_url"].removesuffix("/v1")
    found = chunks(LitellmCaller(**options), "anthropic/claude-of-paris", max_tokens=9)
    headers, sent = Provider.asked[0]

    assert headers["x-api-key"] == KEY
    assert (sent["model"], sent["max_tokens"]) == ("claude-of-paris", 9)
    assert "".join(chunk.text for chunk in found) == "Paris"
    assert [chunk.finish for chunk in found if chunk.finish] == ["stop"]
    assert [chunk.usage.input_tokens for chunk in found if chunk.usage][-1] == 5


@pytest.mark.parametrize(("said", "finished"), [(None, False), ("stop", True)])
def test_a_finish_that_litellm_makes_up_does_not_count(
    monkeypatch: pytest.MonkeyPatch, said: str | None, finished: bool
) -> None:
    """It says `stop` where a provider's stream just ends; what the provider said stands aside."""

    class Event:
        def __init__(self, text: str, finish: str | None) -> None:
            delta = {"content": text}
            self.fields = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        def model_dump(self, **_: Any) -> dict[str, Any]:
            return self.fields

    class Stream:
        received_finish_reason = said
        closed = False

        def __init__(self) -> None:
            self.events = [Event("Par", None), Event("is", "stop")]

        async def __anext__(self) -> Event:
            if not self.events:
                raise StopAsyncIteration
            return self.events.pop(0)

        async def aclose(self) -> None:
            Stream.closed = True

    class Library:
        @staticmethod
        async def acompletion(**_: Any) -> Stream:
            return Stream()

    monkeypatch.setattr(library, "import_module", lambda name: Library)
    if finished:
        assert "".join(chunk.text for chunk in chunks(LitellmCaller())) == "Paris"
    else:
        with pytest.raises(IncompleteStream, match="ended without a finish_reason"):
            chunks(LitellmCaller())

    assert Stream.closed


def test_one_caller_serves_one_loop_after_the_other(options: dict[str, Any]) -> None:
    """No client of a loop that has ended is used again."""
    caller = LitellmCaller(**options)

    assert [len(chunks(caller)) > 1 for _ in range(3)] == [True] * 3


def test_keys_take_turns(options: dict[str, Any]) -> None:
    """A key that is rate limited rests, and the call goes to the next."""
    del options["api_key"]
    keys = (Secret("key-one-0123456789"), Secret("key-two-0123456789"))
    Provider.does = staticmethod(
        lambda headers: (429, {"message": "slow"}) if "one" in headers["Authorization"] else None
    )
    found = chunks(LitellmCaller(**options, api_keys=keys))

    assert "".join(chunk.text for chunk in found) == "Paris"
    assert len(Provider.asked) == 2


# ---------------------------------------------------------------------------- failing


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {}, BadRequest),
        (400, {"code": "context_length_exceeded"}, Refused),
        (401, {}, Refused),
        (403, {}, Refused),
        (404, {}, Refused),
        (408, {}, TimedOut),
        (422, {}, BadRequest),
        (429, {}, RateLimited),
        (429, {"code": "insufficient_quota"}, Refused),
        (500, {}, Unavailable),
        (502, {}, Unavailable),
        (503, {}, Unavailable),
    ],
)
def test_each_status_has_its_error_after_a_single_request(
    options: dict[str, Any],
    status: int,
    error: dict[str, Any],
    kind: type[CallError],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without litellm's retries, without its advice, and without the key that it quotes."""
    Provider.does = (status, {"message": f"Something about {KEY} is wrong", **error})
    with pytest.raises(CallError) as raised:
        chunks(LitellmCaller(**options))

    assert type(raised.value) is kind
    assert len(Provider.asked) == 1
    if kind is RateLimited:
        assert raised.value.retry_after == 7.0
    told = "".join(traceback.format_exception(raised.value)) + "".join(capfd.readouterr())
    assert "Something about" in str(raised.value)
    assert "canary" not in told
    assert "Give Feedback" not in told


@pytest.mark.parametrize("asked", ["openai/a-1", "anthropic/claude-of-paris"])
def test_a_stream_that_is_cut_is_not_finished(options: dict[str, Any], asked: str) -> None:
    """What was said comes first; then the error."""
    del options["arguments"]
    if asked.startswith("anthropic"):
        options["base_url"] = options["base_url"].removesuffix("/v1")
    Provider.does = "cut"
    caller = LitellmCaller(**options)
    call = caller.call(Model(name="a", id=asked))
    assert call is not None
    said: list[str] = []

    async def read() -> None:
        async with caller.lifespan():
            async for chunk in call(Request.of("hi")):
                said.append(chunk.text)

    with pytest.raises(IncompleteStream, match="broke within the answer"):
        asyncio.run(read())

    assert "".join(said) == "Paris"


@pytest.mark.parametrize(
    ("does", "limit"), [("wait", "first_byte"), ("wait", "deadline"), ("pause", "idle")]
)
def test_every_wait_is_limited(options: dict[str, Any], does: str, limit: str) -> None:
    """By our clock, which names the limit."""
    caller = LitellmCaller(**options)
    chunks(caller)  # so that what litellm loads with its first call is loaded
    Provider.does = does

    with pytest.raises(TimedOut, match=f"limit '{limit}'"):
        chunks(LitellmCaller(**options, **{limit: 0.5}))


def test_an_endless_answer_is_cut(options: dict[str, Any]) -> None:
    """By the size of its events."""
    with pytest.raises(BadResponse, match="limit 'largest_response'"):
        chunks(LitellmCaller(**options, largest_response=300))


def test_a_provider_that_is_not_there_is_unavailable(options: dict[str, Any]) -> None:
    """Nothing listens on port 1."""
    with pytest.raises(Unavailable, match=r"model 'a' at 127\.0\.0\.1:1: "):
        chunks(LitellmCaller(**{**options, "base_url": "http://127.0.0.1:1/v1"}))


def test_an_unknown_provider_says_what_to_check(options: dict[str, Any]) -> None:
    """It is this model's mistake: another may answer."""
    with pytest.raises(Refused, match="check the id of the model"):
        chunks(LitellmCaller(), "nobody-of-that-name/x")


def test_a_payload_that_is_no_json_is_a_bad_request(options: dict[str, Any]) -> None:
    """Nothing is sent."""
    for payload in ({"seed": {1, 2}}, {"stream_options": "all"}, {"messages": "hi"}):
        with pytest.raises(BadRequest, match="payload"):
            chunks(LitellmCaller(**options), **payload)

    assert Provider.asked == []


# ---------------------------------------------------------------------------- keeping quiet


def test_litellm_is_loaded_without_its_side_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    """No price table is fetched, no .env is read, and environment and log are as before."""
    logger, mine = logging.getLogger("LiteLLM"), logging.NullHandler()
    monkeypatch.setattr(logger, "handlers", [mine])
    seen: dict[str, str] = {}

    class Library:
        telemetry = True
        suppress_debug_info = False

    def imported(name: str) -> Any:
        seen.update(library.os.environ)
        logger.addHandler(logging.StreamHandler())
        return Library

    monkeypatch.setattr(library, "import_module", imported)
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP", raising=False)
    monkeypatch.setenv("LITELLM_MODE", "DEV")

    assert library.load() is Library
    assert (Library.telemetry, Library.suppress_debug_info) == (False, True)
    assert seen["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert seen["LITELLM_MODE"] == "DEV"  # as the user says
    assert "LITELLM_LOCAL_MODEL_COST_MAP" not in library.os.environ
    assert logger.handlers == [mine]


def test_without_litellm_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says what to install."""

    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(library, "import_module", absent)

    with pytest.raises(ConfigError, match=r"caller\.mine: litellm is not installed; pip install"):
        chunks(LitellmCaller(name="mine"))


def test_what_litellm_logs_is_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    """The caller's own, and whatever looks like one; in messages and in tracebacks."""
    with library.scrubbed((Secret("opensesame-42"), Secret(env="NOT_SET_ANYWHERE"))):
        try:
            raise ValueError("opensesame-42 in an error")
        except ValueError:
            logging.getLogger("LiteLLM").exception("%s and %s", "opensesame-42", KEY)
    logging.getLogger("LiteLLM").warning("afterwards %s", "opensesame-42")

    first, second = caplog.text.splitlines()
    assert "••• and " in first
    assert first.endswith("(ValueError)")
    assert "opensesame" not in first
    assert "canary" not in first
    assert second.endswith("afterwards opensesame-42")


def test_importing_and_composing_do_not_load_litellm() -> None:
    """It takes seconds, so it waits until a router opens."""
    code = (
        "import sys; from llmrouter_core import LLMRouter;"
        "LLMRouter({'selector': 'smallest-llm', 'caller': {'default': {'use': 'litellm'}},"
        "'model': {'a': {'size': 1.0}}}).decide('hi');"
        "sys.exit('litellm' in sys.modules or 'openai' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_call_outside_the_lifespan_says_where_it_belongs() -> None:
    """Nothing is loaded behind the user's back."""
    call = LitellmCaller(name="mine").call(Model(name="a"))
    assert call is not None

    async def read() -> None:
        async for _ in call(Request.of("hi")):
            pass

    with pytest.raises(ConfigError, match=r"caller\.mine: is not open here; ask within"):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base_url": "ftp://a"}, "'base_url' is a URL that starts with http"),
        ({"base_url": "http://me:secret@a"}, "a key belongs into api_key"),
        ({"headers": {"authorization": "secret"}}, "set api_key instead"),
        ({"arguments": {"aws_secret_access_key": "secret"}}, "is no place for a secret"),
        ({"arguments": {"vertex_credentials": "secret"}}, "is no place for a secret"),
        ({"arguments": {"api_key": "secret"}}, "'arguments' cannot set 'api_key'"),
        ({"arguments": {"num_retries": 3}}, "'arguments' cannot set 'num_retries'"),
        ({"idle": 0.0}, "'idle' must be > 0"),
        ({"api_key": "secret"}, "never as a literal"),
    ],
)
def test_a_wrong_option_is_a_sentence(given: dict[str, Any], message: str) -> None:
    """The message names the option and its table, and quotes nothing that may be secret."""
    config = {
        "selector": "smallest-llm",
        "model": {"a": {"size": 1.0}},
        "caller": {"mine": {"use": "litellm", **given}},
    }
    with pytest.raises(ConfigError, match=message) as raised:
        LLMRouter(config)

    assert "@ caller.mine" in str(raised.value)
    assert "'secret'" not in str(raised.value)
    assert ":secret@" not in str(raised.value)
