"""Every way in which a provider can fail ends as docs/reliability.md says it does."""

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from llmrouter_plugin_openai import OpenaiCaller
from llmrouter_plugin_retry import RetryExtension
from llmrouter_plugin_smallest_llm import SmallestLlmSelector

from llmrouter_core import (
    AllModelsFailed,
    Answer,
    BadRequest,
    BadResponse,
    CallError,
    IncompleteStream,
    LLMRouter,
    Model,
    Price,
    RateLimited,
    Refused,
    Request,
    Secret,
    TimedOut,
    Unavailable,
)

from .faults import (
    ROLE,
    Provider,
    Reply,
    bomb,
    breaks,
    closed_port,
    completion,
    drips,
    endless,
    event,
    hangs_up,
    resets,
    says,
    sse,
    stalls,
    story,
    tells,
)

KEY = "sk-canary-0123456789abcdef"
HTML = b"<html><body>Bad gateway</body></html>"
CAP = 1 << 20


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def nothing_left() -> Iterator[None]:
    """Collect garbage once: an unclosed socket or stream is a warning, and that an error."""
    yield
    gc.collect()


def router(
    provider: Provider, *names: str, retry: bool = True, tight: bool = False, **options: Any
) -> LLMRouter:
    """Return a router over models of growing size.

    Only the first has limits that a test may wait for, and only if they are *tight*: a healthy
    answer is never late, however busy the machine is.
    """
    patient: dict[str, Any] = {"connect": 5.0, "first_byte": 10.0, "idle": 10.0, "deadline": 20.0}
    hasty = {"first_byte": 0.15, "idle": 0.15, "deadline": 0.4} if tight else {}
    common = {"base_url": provider.url, "largest_response": CAP, "api_key": Secret(KEY)}
    settings = patient | common
    again = [RetryExtension(base=0.001, longest=0.002, seed=0)] if retry else []
    price = Price(input=1.0, output=2.0)
    return LLMRouter(
        models=[
            Model(name=name, size=size, price=price, caller="rest" if size > 1 else "first")
            for size, name in enumerate(names, start=1)
        ],
        parts=[
            SmallestLlmSelector(),
            OpenaiCaller(name="first", **(settings | hasty | options)),
            OpenaiCaller(name="rest", **(settings | options)),
            *again,
        ],
    )


def ask(provider: Provider, built: LLMRouter, prompt: Any = "hi") -> Answer:
    """Return the answer; whatever happens, nothing may stay open or running."""

    async def asked() -> Answer:
        async with built:
            try:
                return await built.aroute(prompt)
            finally:
                await quiet()

    try:
        return asyncio.run(asked())
    finally:
        closed(provider)


async def quiet() -> None:
    """Check that no task but this one is left, once the loop has turned."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def closed(provider: Provider, within: float = 1) -> None:
    """Check that the client closes every connection in time."""
    until = time.monotonic() + within
    while provider.open and time.monotonic() < until:
        time.sleep(0.005)
    assert provider.open == 0


ERROR = {"error": {"message": f"key {KEY} is over its limit", "code": 429}}

SLOW = {"no first byte", "no first word", "dripping comments", "stall", "drip"}

# The fault, what it becomes, and how often a lone model is asked.
FAULTS: dict[str, tuple[Reply, type[CallError], int]] = {
    "429": (says(429, ERROR, Retry_After="0"), RateLimited, 3),
    "429 for a day": (says(429, ERROR, Retry_After="86400"), RateLimited, 1),
    "409": (says(409, {}), RateLimited, 3),
    "408": (says(408, {}), TimedOut, 3),
    "500": (says(500, {"error": "oops"}), Unavailable, 3),
    "503 in HTML": (says(503, HTML, kind="text/html"), Unavailable, 3),
    "529": (says(529, {"type": "error"}), Unavailable, 3),
    "401": (says(401, {"error": {"message": f"Incorrect API key: {KEY}"}}), Refused, 1),
    "402": (says(402, {}), Refused, 1),
    "404": (says(404, b"no such model", kind="text/plain"), Refused, 1),
    "429 without credit": (
        says(429, {"error": {"code": "insufficient_quota", "message": "pay"}}),
        Refused,
        1,
    ),
    "closed at once": (hangs_up(), Unavailable, 3),
    "reset": (resets(), Unavailable, 3),
    "no first byte": (stalls(), TimedOut, 3),
    "no first word": (stalls(sse([ROLE])), TimedOut, 3),
    "dripping comments": (drips(0.02), TimedOut, 3),
    "ends before a word": (breaks(sse([ROLE]), "clean"), IncompleteStream, 3),
    "empty stream": (breaks(b"", "eof"), IncompleteStream, 3),
    "done without a word": (breaks(sse([ROLE, "[DONE]"]), "clean"), IncompleteStream, 3),
    "cut before a word": (breaks(sse([ROLE]), "cut"), IncompleteStream, 3),
    "shorter than promised": (breaks(sse([ROLE]), "length"), IncompleteStream, 3),
    "malformed event": (breaks(b"data: {nonsense\n\n", "clean"), BadResponse, 1),
    "event without choices": (breaks(sse([{}]), "clean"), BadResponse, 1),
    "error in the stream": (breaks(sse([ROLE, ERROR]), "clean"), RateLimited, 3),
    "error nobody knows": (breaks(sse([{"error": "boom"}]), "clean"), BadResponse, 1),
    "error in the body": (says(200, {"error": {"code": 503}}), Unavailable, 3),
    "HTML": (says(200, HTML, kind="text/html"), BadResponse, 1),
    "HTML called JSON": (says(200, HTML), BadResponse, 1),
    "wrong content type": (says(200, completion(), kind="text/plain"), BadResponse, 1),
    "empty object": (says(200, {}), BadResponse, 1),
    "empty choices": (says(200, {"choices": []}), BadResponse, 1),
    "a list": (says(200, b"[]"), BadResponse, 1),
    "deeply nested": (says(200, b"[" * 200_000), BadResponse, 1),
    "100 MB": (endless(), BadResponse, 1),
    "100 MB of JSON": (endless("application/json"), BadResponse, 1),
    "gzip bomb": (bomb(50 << 20), BadResponse, 1),
    "redirect": (says(307, b"", Location="/elsewhere"), BadResponse, 1),
    "201": (says(201, {}), BadResponse, 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_another_model_answers_instead_at_once(provider: Provider, fault: str) -> None:
    """With an alternative left, a fault before the first word costs one attempt and no cent."""
    provider.replies("small", FAULTS[fault][0])
    provider.replies("large", tells("Paris"))
    answer = ask(provider, router(provider, "small", "large", tight=fault in SLOW))

    assert (answer.text, answer.model, answer.finish) == ("Paris", "large", "stop")
    assert [len(provider.asked[name]) for name in ("small", "large")] == [1, 1]
    assert [step.cost for step in answer.steps] == [0.0, pytest.approx(0.000125)]
    assert answer.cost == pytest.approx(provider.billed)
    assert KEY not in repr(answer)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lone_model_is_asked_again_only_if_that_may_help(provider: Provider, fault: str) -> None:
    """Without an alternative the fault is a typed error, after as many attempts as make sense."""
    reply, kind, attempts = FAULTS[fault]
    provider.replies("small", reply)
    with pytest.raises(kind) as raised:
        ask(provider, router(provider, "small", tight=fault in SLOW))

    assert type(raised.value) is kind
    assert raised.value.model == "small"
    assert "model 'small' at 127.0.0.1:" in str(raised.value)
    assert KEY not in str(raised.value)
    assert "canary" not in str(raised.value)
    assert len(provider.asked["small"]) == attempts
    assert provider.billed == 0


def test_a_bad_request_is_sent_to_nobody_else(provider: Provider) -> None:
    """What is wrong with the request itself, no other model can mend."""
    provider.replies("small", says(400, {"error": {"message": "temperature is too high"}}))
    with pytest.raises(BadRequest, match="400 bad request: temperature is too high"):
        ask(provider, router(provider, "small", "large"))

    assert "large" not in provider.asked


def test_a_lone_model_that_recovers_is_paid_once(provider: Provider) -> None:
    """Attempts that failed before their first word are not charged."""
    provider.replies("small", says(500), hangs_up(), tells("Paris"))
    answer = ask(provider, router(provider, "small"))

    assert answer.text == "Paris"
    assert len(provider.asked["small"]) == 3
    assert answer.cost == pytest.approx(provider.billed) == pytest.approx(0.000125)


def test_all_models_failing_tells_each_reason(provider: Provider) -> None:
    """The error names every model and what it did; the last one was tried again."""
    provider.replies("small", says(500))
    provider.replies("large", says(429, Retry_After="0"))
    with pytest.raises(AllModelsFailed, match=r"'small'.* 500 unavailable; .*'large'.* 429 rate"):
        ask(provider, router(provider, "small", "large"))

    assert [len(provider.asked[name]) for name in ("small", "large")] == [1, 3]


def test_a_closed_port_is_passed_over(provider: Provider) -> None:
    """A provider that refuses connections costs milliseconds."""
    provider.replies("large", tells("Paris"))
    down = {"use": "openai", "base_url": f"http://127.0.0.1:{closed_port()}/v1"}
    built = LLMRouter(
        {
            "selector": "smallest-llm",
            "caller": {"down": down, "up": {"use": "openai", "base_url": provider.url}},
            "model": {
                "small": {"size": 1.0, "caller": "down"},
                "large": {"size": 2.0, "caller": "up"},
            },
        }
    )
    answer = ask(provider, built)

    assert answer.text == "Paris"
    assert "cannot be reached" in (answer.steps[0].error or "")
    assert answer.steps[0].seconds < 1


def test_a_host_that_never_accepts_passes_the_connect_limit(provider: Provider) -> None:
    """A full backlog drops connections like a black hole; the limit is named."""
    with ExitStack() as sockets:
        deaf = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fill the backlog
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        built = router(provider, "small", base_url=url, connect=0.1, retry=False)
        with pytest.raises(TimedOut, match=r"not connected within 0\.1 s \(limit 'connect'\)"):
            ask(provider, built)


def test_a_provider_without_tls_never_sees_the_key(provider: Provider) -> None:
    """An https URL is never asked in plain text."""
    with socket.create_server(("127.0.0.1", 0)) as plain:
        seen: list[bytes] = []

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{plain.getsockname()[1]}"
        built = router(provider, "small", base_url=url, retry=False)
        with pytest.raises(Unavailable, match=r"cannot be reached: .*SSL"):
            ask(provider, built)
        thread.join()

    assert seen
    assert KEY.encode() not in seen[0]


@pytest.mark.parametrize(
    ("fault", "kind"),
    {
        "stall": (stalls(sse(story()[:3])), TimedOut),
        "clean end": (breaks(sse(story()[:3]), "clean"), IncompleteStream),
        "cut": (breaks(sse(story()[:3]), "cut"), IncompleteStream),
        "eof": (breaks(sse(story()[:3]), "eof"), IncompleteStream),
        "short": (breaks(sse(story()[:3]), "length"), IncompleteStream),
        "done": (breaks(sse([*story()[:3], "[DONE]"]), "clean"), IncompleteStream),
        "malformed": (breaks(sse([*story()[:3], "{"]), "clean"), BadResponse),
        "error": (breaks(sse([*story()[:3], {"error": {"code": 502}}]), "clean"), Unavailable),
        "drip": (drips(0.02, sse(story()[:3])), TimedOut),
    }.items(),
)
def test_a_fault_after_the_first_word_is_an_error_and_never_an_answer(
    provider: Provider, fault: str, kind: Any
) -> None:
    """What has been said cannot be taken back: no fallback, no retry, no silent end."""
    reply, error = kind
    provider.replies("small", reply)
    built = router(provider, "small", "large", tight=fault in SLOW)
    texts = []

    async def read() -> None:
        async with built:
            try:
                async for chunk in built.astream("hi"):
                    texts.append(chunk.text)
            finally:
                await quiet()

    with pytest.raises(error):
        asyncio.run(read())

    assert "".join(texts) == "Pa"
    assert (len(provider.asked["small"]), "large" in provider.asked) == (1, False)
    closed(provider)


def test_a_stream_that_breaks_after_its_finish_reason_is_whole(provider: Provider) -> None:
    """Only the bill is missing then, and is estimated from the model's price."""
    provider.replies("small", breaks(sse([event("Paris"), event(finish="stop")]), "cut"))
    answer = ask(provider, router(provider, "small"))

    assert (answer.text, answer.finish) == ("Paris", "stop")
    assert answer.usage.estimated
    assert answer.cost is not None
    assert answer.cost > 0


@pytest.mark.parametrize("framing", ["clean", "cut", "eof"])
def test_no_cut_at_any_byte_is_silent(provider: Provider, framing: str) -> None:
    """A good body cut at each offset is either the whole answer or an error."""
    body = sse([event("Pa"), event("ris"), event(finish="stop"), "[DONE]"])
    whole = len(sse([event("Pa"), event("ris"), event(finish="stop")]))
    provider.replies("small", *(breaks(body[:cut], framing) for cut in range(len(body) + 1)))
    built = router(provider, "small", retry=False)
    complete = []

    async def read() -> None:
        async with built:
            for cut in range(len(body) + 1):
                try:
                    step = await built.session().ask("small", Request.of("hi"))
                except IncompleteStream:
                    continue
                complete.append((cut, step.text, step.finish))

    asyncio.run(read())

    assert complete == [(cut, "Paris", "stop") for cut in range(whole, len(body) + 1)]
    closed(provider)


@pytest.mark.parametrize("reply", [endless(), bomb(100 << 20)], ids=["plain", "compressed"])
def test_a_huge_body_is_not_held_in_memory(provider: Provider, reply: Reply) -> None:
    """Reading stops at the limit, in bytes sent and in bytes kept."""
    provider.replies("small", reply)
    built = router(provider, "small", retry=False)
    tracemalloc.start()
    try:
        with pytest.raises(BadResponse, match="larger than 1048576 bytes"):
            ask(provider, built)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * CAP + (10 << 20)
    assert provider.sent < 30 << 20  # what the sockets' buffers took


def test_a_client_that_leaves_takes_the_upstream_call_along(provider: Provider) -> None:
    """Cancelling the task closes the provider's connection at once."""
    provider.replies("small", stalls(sse(story()[:3])))
    built = router(provider, "small")

    async def leave() -> None:
        async with built:
            task = asyncio.create_task(built.aroute("hi"))
            while not provider.asked["small"]:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert provider.open == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            started = time.monotonic()
            while provider.open:
                await asyncio.sleep(0.005)
            assert time.monotonic() - started < 1
            await quiet()

    asyncio.run(leave())
    assert len(provider.asked["small"]) == 1


def test_a_reader_that_stops_early_closes_the_stream(provider: Provider) -> None:
    """Closing the iterator, in a script without a loop, closes the connection."""
    provider.replies("small", stalls(sse(story()[:3])))
    with router(provider, "small") as built:
        chunks = built.stream("hi")
        assert next(chunks).text == ""  # the role, which waited for the first word
        assert next(chunks).text == "P"
        chunks.close()  # type: ignore[attr-defined]
        closed(provider)


def test_a_healthy_provider_keeps_its_connection(provider: Provider) -> None:
    """Answers one after another share one connection, and closing the router closes it."""
    provider.replies("small", tells("Paris"))
    built = router(provider, "small")
    seen = []

    async def several() -> None:
        async with built:
            for _ in range(5):
                await built.aroute("hi")
                seen.append(provider.open)

    asyncio.run(several())

    assert seen == [1] * 5
    assert len({id(exchange.writer) for exchange in provider.asked["small"]}) == 1
    closed(provider)


def test_many_calls_at_once_leave_nothing_behind(provider: Provider) -> None:
    """Forty calls, half of them failing over, share at most four connections a caller."""
    provider.replies("small", *(says(500) if n % 2 else tells("a") for n in range(40)))
    provider.replies("large", tells("b"))
    built = router(provider, "small", "large", connections=4)
    most = 0

    async def flood() -> list[Answer]:
        nonlocal most
        async with built:
            calls = [asyncio.create_task(built.aroute("hi")) for _ in range(40)]
            while not all(call.done() for call in calls):
                most = max(most, provider.open)
                await asyncio.sleep(0.005)
            await quiet_after(calls)
            return [call.result() for call in calls]

    async def quiet_after(calls: list[asyncio.Task[Answer]]) -> None:
        await asyncio.gather(*calls)
        await quiet()

    answers = asyncio.run(flood())

    assert len(answers) == 40
    assert {answer.text for answer in answers} == {"a", "b"}
    assert most <= 8
    assert sum(answer.cost or 0 for answer in answers) == pytest.approx(provider.billed)
    closed(provider)
