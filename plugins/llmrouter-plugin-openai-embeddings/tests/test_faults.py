"""Whatever a provider does wrong becomes one typed error, in time and without the key."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    IncompleteStream,
    RateLimited,
    Refused,
    Secret,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai_embeddings.reading import rows_of

from .server import Answer, Server, embedding, running, send
from .test_openai_embeddings import KEY, rows, unit

PLACE = Place("m", "host", Secret(KEY))


def status(code: int, body: Any = None, **headers: str) -> Answer:
    return lambda handler, asked: send(handler, body or {}, code, **headers)


def says(body: Any) -> Answer:
    return lambda handler, asked: send(handler, body)


def cut(handler: Any, asked: Any) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data"')
    handler.close_connection = True


def drip(handler: Any, asked: Any) -> None:
    """Send a blank now and then, for as long as somebody listens."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    _dripping(handler, b" ")


def drip_headers(handler: Any, asked: Any) -> None:
    """Never come to an end of the headers."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    _dripping(handler, b"X-A: b\r\n")


def _dripping(handler: Any, piece: bytes) -> None:
    handler.close_connection = True
    try:
        while not handler.server.gone.wait(0.02):
            handler.wfile.write(piece)
            handler.wfile.flush()
    except OSError:
        pass


def silent(handler: Any, asked: Any) -> None:
    handler.close_connection = True
    handler.server.gone.wait(5)


def failing(server: Server, **options: Any) -> CallError:
    options = {"attempts": 1, "deadline": 5.0, "api_key": Secret(KEY), **options}
    with embedding(server, **options) as part, pytest.raises(CallError) as caught:
        rows(part, "a", "b")
    assert KEY not in repr(caught.value)
    assert "127.0.0.1" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    {
        400: BadRequest,
        401: Refused,
        402: Refused,
        404: Refused,
        429: RateLimited,
        500: Unavailable,
        503: Unavailable,
        204: BadResponse,
        307: BadResponse,
    }.items(),
)
def test_each_status_has_its_error(code: int, kind: type[CallError]) -> None:
    """What the provider says is quoted, but never the key."""
    said = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    with running(status(code, said, Location="http://127.0.0.1:9/")) as server:
        error = failing(server)

    assert type(error) is kind
    assert (error.status, error.model) == (code, "text-embedding-3-small")


@pytest.mark.parametrize(
    ("data", "reason"),
    {
        b"<html>": "not JSON",
        b"": "not JSON",
        b"[1]": "without a list of embeddings",
        b"{}": "without a list of embeddings",
        b'{"data": {}}': "without a list of embeddings",
        b'{"data": []}': "0 embeddings to 2 texts",
        b'{"data": [{"index": 0, "embedding": [1]}]}': "1 embeddings to 2 texts",
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}': "index",
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}': "index",
        b'{"data": [{"index": true, "embedding": [1]}]}': "index",
        b'{"data": [{"embedding": [1]}, {"embedding": [1]}]}': "index",
        b'{"data": [1, 2]}': "index",
        b'{"data": [{"index": 0, "embedding": [NaN, 1]}]}': "not finite",
        b'{"data": [{"index": 0, "embedding": [1e999, 1]}]}': "not finite",
        b'{"data": [{"index": 0, "embedding": [0, 0.0]}]}': "length zero",
        b'{"data": [{"index": 0, "embedding": []}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": ["1"]}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": [true]}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": [[1], [2, 3]]}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": "AAAA"}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": "%%%%"}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": null}]}': "no row of numbers",
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}': (
            "different lengths"
        ),
    }.items(),
)
def test_an_answer_that_is_none_is_a_bad_response(data: bytes, reason: str) -> None:
    """Status 200 proves nothing."""
    with running(says(data)) as server:
        error = failing(server)

    assert type(error) is BadResponse
    assert reason in str(error)


def test_an_error_in_a_good_status_keeps_its_meaning() -> None:
    """Its code counts like a status."""
    with running(says({"error": {"code": 429, "message": "slow down"}})) as server:
        error = failing(server)

    assert type(error) is RateLimited


def test_another_content_type_is_a_bad_response() -> None:
    """As from a web page on a wrong address."""
    with running(lambda handler, _: send(handler, b"hi", kind="text/html")) as server:
        assert "answered with text/html; check its base_url" in str(failing(server))


def test_an_answer_that_is_too_large_is_not_read() -> None:
    """The limit has a name."""
    with running() as server:
        assert "limit 'largest_response'" in str(failing(server, largest_response=100))


def test_a_connection_that_breaks_is_an_incomplete_answer() -> None:
    """Nothing is made of half an answer."""
    with running(cut) as server:
        assert type(failing(server)) is IncompleteStream


def test_nobody_there_is_unavailable() -> None:
    """A port that was just closed."""
    with running() as server:
        pass

    assert type(failing(server)) is Unavailable


@pytest.mark.parametrize("answer", [silent, drip, drip_headers])
def test_the_deadline_holds_for_the_whole_request(answer: Answer) -> None:
    """Also where something comes all the time, within the headers or the body."""
    with running(answer) as server:
        began = time.monotonic()
        error = failing(server, deadline=0.15, attempts=3)
        took = time.monotonic() - began

    assert type(error) is TimedOut
    assert "not finished within 0.15 s (limit 'deadline')" in str(error)
    assert took < 3
    assert len(server.asked) == 1


def test_what_may_pass_is_asked_again() -> None:
    """A rate limit with its wait, then an outage, then an answer."""
    answers = status(429, Retry_After="0.01"), status(500, Retry_After="0"), cut
    with running(*answers) as server, embedding(server, attempts=4) as part:
        assert rows(part, "a") == pytest.approx(unit("a")[None], abs=1e-6)
    assert len(server.asked) == 4


def test_retry_after_is_waited_for() -> None:
    """The second request does not come earlier."""
    with running(status(429, Retry_After="0.2")) as server, embedding(server) as part:
        began = time.monotonic()
        rows(part, "a")

        assert time.monotonic() - began >= 0.2


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    """The error comes at once and says how long to wait."""
    with running(status(429, Retry_After="600")) as server:
        began = time.monotonic()
        error = failing(server, attempts=3, deadline=5.0)

        assert time.monotonic() - began < 3
    assert (type(error), error.retry_after, len(server.asked)) == (RateLimited, 600.0, 1)


def test_what_does_not_pass_is_asked_once() -> None:
    """A wrong key stays wrong."""
    with running(status(401), status(401)) as server:
        assert type(failing(server, attempts=3)) is Refused
    assert len(server.asked) == 1


def test_attempts_are_counted() -> None:
    """The last error is raised."""
    with running(*[status(503, Retry_After="0")] * 9) as server:
        assert type(failing(server, attempts=2)) is Unavailable
    assert len(server.asked) == 2


def test_a_model_that_changes_its_length_is_refused() -> None:
    """Rows of two lengths cannot be compared; what is remembered stays good."""
    longer = {"data": [{"index": 0, "embedding": [1, 2, 3]}]}
    with running() as server, embedding(server) as part:
        first = rows(part, "a")
        server.answers.append(says(longer))
        with pytest.raises(BadResponse, match="embeddings of length 3, not 8"):
            rows(part, "b")

        assert (rows(part, "a") == first).all()
        assert rows(part, "b").shape == (1, 8)


def test_dimensions_that_are_not_kept_are_refused() -> None:
    """A server that ignores the option is found out with the first answer."""
    answer = says({"data": [{"index": 0, "embedding": [1, 2, 3]}]})
    refused = pytest.raises(BadResponse, match="length 3, not 4; check 'model' and 'dimensions'")
    with running(answer) as server, embedding(server, dimensions=4) as part, refused:
        rows(part, "a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
ITEM = st.fixed_dictionaries({"index": st.integers(-1, 3) | JSON, "embedding": JSON})


@settings(max_examples=60)
@given(st.lists(ITEM | JSON, max_size=3) | JSON)
def test_any_json_is_rows_or_a_bad_response(data) -> None:
    """Nothing else comes out, and rows have length one."""
    try:
        found = rows_of(PLACE, json.dumps({"data": data}).encode(), 1)
    except BadResponse:
        return
    assert found.shape[0] == 1
    assert abs((found.astype(float) ** 2).sum() - 1) < 1e-5


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=5).filter(any))
def test_no_size_of_numbers_is_too_much(numbers) -> None:
    """Neither tiny nor huge ones overflow on the way to length one."""
    body = json.dumps({"data": [{"index": 0, "embedding": numbers}]}).encode()
    found = rows_of(PLACE, body, 1).astype(float)

    assert abs((found**2).sum() - 1) < 1e-5


@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_an_error(body: bytes) -> None:
    """The body may be anything."""
    with pytest.raises(CallError):
        rows_of(PLACE, body, 1)
