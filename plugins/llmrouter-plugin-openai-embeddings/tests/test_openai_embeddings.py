"""What is special about the openai-embeddings embedder: what it sends, keeps and closes."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from llmrouter_core import ConfigError, LLMRouter, Model, Query, Secret
from llmrouter_core.testing import EchoCaller, ToyScorer, ToySelector
from llmrouter_plugin_openai_embeddings import OpenaiEmbeddingsEmbedder

from .server import Server, embedding, numbers, running

Make = Callable[..., OpenaiEmbeddingsEmbedder]

KEY = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture
def embedder(server: Server) -> Iterator[Make]:
    """What makes embedders that ask the server and are closed after the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(embedding(server, **options))


def rows(part: OpenaiEmbeddingsEmbedder, *texts: str) -> np.ndarray:
    return part.embed([Query(text=text) for text in texts])


def unit(text: str, length: int = 8) -> np.ndarray:
    row = np.array(numbers(text, length))
    return (row / np.linalg.norm(row)).astype(np.float32)


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_rows_are_in_the_order_of_the_texts_and_of_length_one(
    server: Server, embedder: Make, encoding_format: str
) -> None:
    """The server answers last text first, in either format."""
    found = rows(embedder(encoding_format=encoding_format), "a", "b", "c")

    assert found.dtype == np.float32
    assert found == pytest.approx(np.stack([unit("a"), unit("b"), unit("c")]), abs=1e-6)
    assert server.asked == [
        {"model": "text-embedding-3-small", "encoding_format": encoding_format, "input": [*"abc"]}
    ]


def test_dimensions_are_asked_for_and_checked(server: Server, embedder: Make) -> None:
    """They travel only if they are given."""
    part = embedder(dimensions=3, model="m")

    assert rows(part).shape == (0, 3)
    assert rows(part, "a") == pytest.approx(unit("a", 3)[None], abs=1e-6)
    assert (server.asked[0]["dimensions"], server.asked[0]["model"]) == (3, "m")


def test_the_key_and_headers_are_sent_and_the_key_is_never_shown(
    server: Server, embedder: Make
) -> None:
    """One header, and nothing else, has the key."""
    part = embedder(api_key=Secret(KEY), headers={"X-Team": "a"})
    rows(part, "a")
    sent = server.headers[0]

    assert sent["path"] == "/v1/embeddings"
    assert sent["Authorization"] == f"Bearer {KEY}"
    assert sent["X-Team"] == "a"
    assert KEY not in f"{part!r} {part._provider!r}"


def test_without_a_key_there_is_no_header(server: Server, embedder: Make) -> None:
    """A local server needs none."""
    rows(embedder(), "a")

    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("key", ["line\nbreak-canary", "ümlaut-canary"])
def test_a_key_that_cannot_be_sent_is_not_quoted(server: Server, embedder: Make, key: str) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(ConfigError, match="holds characters that HTTP cannot send") as caught:
        rows(embedder(api_key=Secret(key)), "a")

    assert "canary" not in str(caught.value)
    assert server.asked == []


def test_a_key_that_is_not_set_says_which(
    server: Server, embedder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable has a name."""
    monkeypatch.delenv("EMBEDDING_KEY", raising=False)
    with pytest.raises(ConfigError, match="EMBEDDING_KEY is not set"):
        rows(embedder(api_key=Secret(env="EMBEDDING_KEY")), "a")


def test_what_was_embedded_is_not_asked_again(server: Server, embedder: Make) -> None:
    """Not within a batch, not in the next one; the answers are the same."""
    part = embedder()
    first = rows(part, "a", "b", "a")
    second = rows(part, "b", "c")

    assert [asked["input"] for asked in server.asked] == [["a", "b"], ["c"]]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[1], second[0])


def test_the_memory_is_bounded_and_forgets_what_was_used_longest_ago(
    server: Server, embedder: Make
) -> None:
    """Two places: b is forgotten because a was used after it."""
    part = embedder(remembered=2)
    for texts in ("a", "b", "a", "c", "a", "b"):
        rows(part, texts)

    assert [asked["input"] for asked in server.asked] == [["a"], ["b"], ["c"], ["b"]]
    assert len(part._memory) == 2


def test_without_a_memory_each_query_is_asked(server: Server, embedder: Make) -> None:
    """But no text twice in one batch."""
    part = embedder(remembered=0)
    rows(part, "a", "a")
    rows(part, "a")

    assert [asked["input"] for asked in server.asked] == [["a"], ["a"]]


def test_many_texts_are_asked_in_batches_over_one_connection(
    server: Server, embedder: Make
) -> None:
    """Each batch is full but the last."""
    found = rows(embedder(batch=2), *"abcde")

    assert [asked["input"] for asked in server.asked] == [["a", "b"], ["c", "d"], ["e"]]
    assert found == pytest.approx(np.stack([unit(text) for text in "abcde"]), abs=1e-6)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a" * 9 + "b" * 9, "aaaaaaaa bbbbbbbb"),
        ("a" * 16, "a" * 16),
        ("", " "),
        (" \n", " "),
        ("lone \ud800", "lone ?"),
    ],
)
def test_a_text_is_cut_and_never_empty(
    server: Server, embedder: Make, text: str, sent: str
) -> None:
    """Providers refuse empty texts and broken Unicode, and long ones cost."""
    rows(embedder(longest=16), text)

    assert server.asked[0]["input"] == [sent]


def test_a_router_asks_once_for_a_decision_and_its_explanation(
    server: Server, embedder: Make
) -> None:
    """And closes the connections when it is closed; a later question opens them again."""
    part = embedder()
    models = [Model(name="a"), Model(name="b")]
    router = LLMRouter(models=models, parts=[part, ToyScorer(), ToySelector(), EchoCaller()])
    with router:
        assert str(router.route("hi")) == "hi"
        router.explain(router.decide("hi"))
        assert len(server.asked) == 1
        assert part._provider._client is not None
    assert part._provider._client is None
    router.decide("something else")

    assert len(server.asked) == 2


def test_connections_close_when_the_last_router_closes(server: Server, embedder: Make) -> None:
    """Two lifespans share them, on any loops."""
    part = embedder()

    async def live() -> None:
        async with part.lifespan():
            async with part.lifespan():
                await asyncio.to_thread(rows, part, "a")
            assert part._provider._client is not None
        assert part._provider._client is None

    asyncio.run(live())


def test_a_part_that_is_thrown_away_leaves_no_thread(server: Server) -> None:
    """Even if no router ever closed it."""
    before = set(threading.enumerate())
    part = OpenaiEmbeddingsEmbedder(base_url=server.url)
    rows(part, "a")
    [thread] = [one for one in set(threading.enumerate()) - before if one.name == "llmrouter"]
    del part
    gc.collect()
    thread.join(5)

    assert not thread.is_alive()


def test_threads_share_the_embedder(embedder: Make) -> None:
    """Each gets the rows of its own texts."""
    part, found = embedder(), dict[str, np.ndarray]()
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: rows(part, text)}))
        for text in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    for text in "abcdefgh":
        assert found[text] == pytest.approx(unit(text)[None], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"base_url": "localhost:8000"}, "'base_url' is a URL"),
        ({"base_url": "http://key@host/v1"}, "'base_url' ends with its path"),
        ({"headers": {"Authorization": "Bearer x"}}, "'headers' is no place for a key"),
        ({"deadline": 0.0}, "'deadline' must be > 0"),
        ({"attempts": 0}, "'attempts' must be >= 1"),
        ({"model": ""}, "Length of 'model' must be >= 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], reason: str) -> None:
    """When the part is built."""
    with pytest.raises(ValueError, match=reason):
        OpenaiEmbeddingsEmbedder(**options)
