"""Who may ask for what: nobody without a key, and a key only what it is for."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Chunk, ConfigError, Model, Request
from llmrouter_plugin_server.app import ServerOptions
from llmrouter_plugin_server.keeping import Bounds, Keeper, Limits, new, store_at

from .gateways import HELLO, Running, polite

CANARY = "lr-canary"
PATHS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
    "/v1/route",
    "/v1/feedback",
    "/v1/models",
    "/v1/models/small",
    "/v1/stats",
    "/metrics",
    "/",
    "/anything",
]


class Keys:
    """A store, and a gateway that asks it."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "keys.db")
        keeper = Keeper(store=store_at(self.address), fresh=0.0)
        self.running = Running(options=ServerOptions(), keeper=keeper)

    def add(self, name: str, *, models: tuple[str, ...] | None = None, **bounds: float) -> str:
        """Return the token of a new key."""
        limits = Limits(key=Bounds(**bounds))  # type: ignore[arg-type]
        record, token = new(name, models=models, limits=limits)
        self._with(lambda store: store.add(record))
        return token

    def revoke(self, name: str) -> None:
        self._with(lambda store: store.revoke(name))

    def _with(self, use):  # type: ignore[no-untyped-def]
        async def work() -> None:
            store = store_at(self.address)
            await store.open()
            await use(store)
            await store.aclose()

        asyncio.run(work())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    found = Keys(tmp_path_factory.mktemp("keys"))
    with found.running:
        yield found


@pytest.fixture
def served(keys: Keys) -> Running:
    keys.running.behave()
    return keys.running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_server_without_keys_answers_nobody() -> None:
    with Running(options=ServerOptions()) as served:
        for path in PATHS:
            found = served.ask(path, {"messages": HELLO})
            assert found.status == 401, path
        assert served.ask("/healthz").status == served.ask("/readyz").status == 200
        assert served.caller.asked == []


def test_insecure_is_for_loopback_only() -> None:
    for host in ("0.0.0.0", "192.168.1.1", "example.com", "::"):
        with pytest.raises(ConfigError, match="loopback only"):
            ServerOptions(insecure=True, host=host)
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1"):
        ServerOptions(insecure=True, host=host)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    path=st.sampled_from(PATHS)
    | st.text("/.%2eabcv1", min_size=1, max_size=20).map(lambda text: "/" + text),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    scheme=st.sampled_from(["Bearer", "bearer", "Basic", ""]),
)
@settings(max_examples=100, deadline=None)
def test_without_a_valid_key_nothing_is_answered(
    keys: Keys, method: str, path: str, token: str | None, scheme: str
) -> None:
    headers = {} if token is None else {"Authorization": f"{scheme} {token}", "X-Api-Key": token}
    found = keys.running.ask(path, b"{}", method=method, headers=headers)

    assert found.status in (400, 401)
    assert keys.running.caller.asked == []


def test_both_ways_to_send_a_key(keys: Keys, served: Running) -> None:
    token = keys.add("both")

    assert served.chat(headers=bearer(token)).status == 200
    assert served.chat(headers={"X-Api-Key": token}).status == 200
    assert served.chat(headers=bearer(token[:-1])).status == 401
    assert served.chat(headers=bearer(token + "a")).status == 401
    assert served.chat(headers=bearer(token.upper())).status == 401


def test_a_revoked_key_is_refused(keys: Keys, served: Running) -> None:
    token = keys.add("revoked")
    assert served.chat(headers=bearer(token)).status == 200
    keys.revoke("revoked")

    found = served.chat(headers=bearer(token))
    assert (found.status, found.code) == (401, "invalid_api_key")
    assert found.headers["www-authenticate"] == "Bearer"


def test_a_refusal_has_the_shape_of_its_protocol(served: Running) -> None:
    found = served.ask("/v1/messages", {})

    assert found.status == 401
    assert found.json["type"] == "error"
    assert found.json["error"]["type"] == "authentication_error"


def test_a_key_for_some_models_gets_no_other(keys: Keys, served: Running) -> None:
    """Not by name, not by the knob, and not by a fallback."""
    head = bearer(keys.add("small only", models=("small",)))
    pinned = served.chat(model="large", headers=head)
    begged = served.chat(model="auto:best", headers=head).json["llmrouter"]

    assert (pinned.status, pinned.code) == (403, "model_not_allowed")
    assert (begged["model"], begged["reason"]) == ("small", "routed")
    assert [m["id"] for m in served.ask("/v1/models", headers=head).json["data"]][3:] == ["small"]
    assert served.ask("/v1/route", {"query": "Hi"}, headers=head).json["ranking"] == ["small"]

    async def broken(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        raise RuntimeError("a bug")
        yield

    served.caller.asked.clear()
    served.caller.script = broken
    assert served.chat(headers=head).status == 502
    assert {name for name, _ in served.caller.asked} == {"small"}


def test_a_router_that_fails_does_not_get_around_a_key(keys: Keys, served: Running) -> None:
    def wrong() -> None:
        raise ValueError("a bug")

    served.scorer.wrong = wrong
    head = bearer(keys.add("large only", models=("large",)))

    assert served.chat(headers=head).json["llmrouter"]["model"] == "large"


def test_a_key_with_limits_does_not_see_the_whole_server(keys: Keys, served: Running) -> None:
    limited = bearer(keys.add("limited", dollars=1.0))
    free = bearer(keys.add("free"))

    for path in ("/metrics", "/v1/stats"):
        assert served.ask(path, headers=limited).status == 403
        assert served.ask(path, headers=free).status == 200


def test_a_budget_holds_whatever_the_prompt_begs_for(keys: Keys, served: Running) -> None:
    """The dearest model could cost 20 dollars a million tokens, and 512 are reserved."""
    head = bearer(keys.add("poor", dollars=0.011))
    beg = [{"role": "user", "content": "Use the largest model, whatever it costs!"}]

    assert served.chat(beg, headers=head).status == 200
    dear = served.chat(beg, headers=head, max_tokens=5000)
    assert (dear.status, dear.code) == (429, "insufficient_quota")
    assert served.chat(beg, headers=head, max_tokens=100).status == 200  # it still has money


def test_exactly_as_many_calls_as_a_key_has(keys: Keys, served: Running) -> None:
    head = bearer(keys.add("ten", calls=10))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(served.chat(headers=head).status))
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [200] * 10 + [429] * 20


def test_what_was_never_called_is_given_back(keys: Keys, served: Running) -> None:
    head = bearer(keys.add("one", calls=1))

    assert served.chat([], headers=head).status == 400
    assert served.chat(model="nothing", headers=head).status == 404
    assert served.chat(headers=head).status == 200
    assert served.chat(headers=head).status == 429


def test_a_client_that_leaves_pays_what_was_said_and_no_more(keys: Keys, served: Running) -> None:
    """The reservation is given back at once, so that the next request fits."""
    import socket

    token = keys.add("leaver", dollars=0.012)
    begun, ended = threading.Event(), threading.Event()

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk(text="word ")
            begun.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    served.caller.script = script
    body = json.dumps({"messages": HELLO, "stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(head.encode() + body)
        assert begun.wait(5)
        assert served.chat(headers=bearer(token)).status == 429
    assert ended.wait(1)
    served.caller.script = polite
    for _ in range(100):
        if (found := served.chat(headers=bearer(token))).status == 200:
            break

    assert found.status == 200


def test_a_key_is_in_no_log_and_no_answer(
    keys: Keys, served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    token = keys.add("secret")

    async def script(model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        raise RuntimeError("a bug")
        yield

    served.caller.script = script
    wrong = f"{CANARY}{token}"
    with caplog.at_level(logging.DEBUG):
        answers = [
            served.chat(headers=bearer(token)),
            served.chat(headers=bearer(wrong)),
            served.ask("/nowhere", headers=bearer(token)),
            served.ask("/metrics", headers=bearer(token)),
        ]
    seen = caplog.text + "".join(str(a.headers) + a.body.decode() for a in answers)

    assert token not in seen
    assert CANARY not in seen
