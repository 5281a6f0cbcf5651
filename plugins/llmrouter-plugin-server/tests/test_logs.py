"""What is logged: one line for each event, without a secret, and without what strangers say."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llmrouter_core import (
    AllModelsFailed,
    BadResult,
    ConfigError,
    LLMRouterError,
    Refused,
    Secret,
    TimedOut,
    Unavailable,
)
from llmrouter_plugin_server.keeping.tokens import issue
from llmrouter_plugin_server.logs import REQUEST, Json, Text, redacted, told

TOKEN = issue()
LONG = "A1b2" * 6


def record(message: str, *arguments: Any, name: str = "llmrouter.server", **more: Any) -> Any:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
    made.__dict__.update(more)
    return made


def raised(error: BaseException) -> BaseException:
    """Return *error* with the places of having been raised here."""
    try:
        raise error
    except BaseException as found:  # noqa: BLE001 - it is what was asked for
        return found


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"no key {TOKEN} here", TOKEN),
        (f"'{TOKEN}'", TOKEN),
        ("Authorization: Bearer abcdefgh", "abcdefgh"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Authorization: secret", ": secret"),
        ("Authorization: Token abcdefgh", "abcdefgh"),
        ("client_secret=abcdefgh", "abcdefgh"),
        ("user=ada password=abcdefgh", "abcdefgh"),
        ("{'authorization': 'Bearer abcdefgh'}", "abcdefgh"),
        ("(b'x-api-key', b'abcdefgh')", "abcdefgh"),
        ('{"x-api-key": "abcdefgh"}', "abcdefgh"),
        ('{\\"x-api-key\\": \\"abcdefgh\\"}', "abcdefgh"),
        ("X-API-Key=abcdefgh", "abcdefgh"),
        ("said bearer abcdefgh.ij", "abcdefgh"),
        ("Incorrect API key provided: sk-abcde***wxyz.", "wxyz"),
        ("sk-proj-ab_cd-1234567890", "1234567890"),
        ("sk-ant-api03-abcdefgh", "abcdefgh"),
        (f"gsk_{LONG}", LONG),
        (f"hf_{LONG}", LONG),
        (f"tgp_v1_{LONG}", LONG),
        (f"AIza{LONG}", LONG),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_def", "abc-_def"),
        ("redis://:pass@host/0 is down", "pass"),
        ("https://user:p%40ss@host:80/v1", "p%40ss"),
        ("postgres://u:a@b@host", "a@b"),
        ("GET https://host/v1?key=abcdefgh&x=1", "abcdefgh"),
        ("/v1?api_key=abcdefgh", "abcdefgh"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, secret: str) -> None:
    """As it is sent, as Python shows it, and as providers repeat it."""
    found = redacted(text)

    assert secret not in found
    assert "•••" in found


@pytest.mark.parametrize(
    "text",
    [
        "model.small rests for 1.0 s after 5 failures in a row, the last: TimedOut",
        "the config was not reloaded: no selector 'nobody' is installed @ selector",
        "ValueError at llmrouter_plugin_server/keeping/limits.py:88 in key_account",
        "http://127.0.0.1:8080/v1?model=a said 401; check the api_key of its caller",
        "a task-key and sk- and hf_hub_download of the basic kind; bearer of news",
    ],
)
def test_what_does_not_is_left(text: str) -> None:
    assert redacted(text) == text


def test_a_key_that_was_used_is_known_whatever_it_looks_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But not what is too short to be one: some servers take any key."""
    monkeypatch.setenv("LOGS_CANARY", "wordlike and long")
    assert redacted("a wordlike and long story") == "a wordlike and long story"
    Secret(env="LOGS_CANARY").reveal()
    Secret("none").reveal()

    assert redacted("a wordlike and long story of none") == "a ••• story of none"


@given(st.text(), st.text())
@example("Authorization: Bearer ", "\n")
@example("key-", "-")
def test_a_key_of_ours_is_in_no_line(before: str, after: str) -> None:
    """Wherever it stands."""
    made = record("%s %s%s%s", "a", before, TOKEN, after)

    assert TOKEN not in Text().format(made)
    assert TOKEN not in Json().format(made)


@pytest.mark.parametrize(
    "text", ["a" * 20_000, "a://" * 5000, "?a-" * 7000, "authorization" * 1500, "sk_a_" * 4000]
)
def test_no_text_holds_the_log_up(text: str) -> None:
    began = time.perf_counter()
    redacted(text)

    assert time.perf_counter() - began < 2.0


def test_a_line_of_json_has_what_is_known() -> None:
    """Time in UTC, level, logger, message; the request and the type of the error where known."""
    plain = record("it %s", "works", name="llmrouter.breaker")
    failed = record("it failed", error=TimedOut("no"))
    token = REQUEST.set("4711")
    try:
        asked = json.loads(Json().format(failed))
    finally:
        REQUEST.reset(token)
    found = json.loads(Json().format(plain))

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {"level": "warning", "logger": "llmrouter.breaker", "message": "it works"}
    assert (asked["request"], asked["error"]) == ("4711", "TimedOut")


def test_a_line_for_people() -> None:
    """The request stands in it once."""
    assert Text().format(record("it works")) == "WARNING: it works"
    token = REQUEST.set("4711")
    try:
        assert Text().format(record("it works")) == "WARNING: it works (request 4711)"
        assert Text().format(record("request 4711 failed")) == "WARNING: request 4711 failed"
    finally:
        REQUEST.reset(token)


def test_an_event_is_one_line_of_bounded_length() -> None:
    """Of asyncio the first line only: what follows is an object, or source."""
    ours = record("one\ntwo\r\n\x1b[31mthree")
    theirs = record("never retrieved\nfuture: <Task exception='a prompt'>", name="asyncio")
    wrong = record("%d of %d", "a prompt")

    assert Text().format(ours) == "WARNING: one; two;  [31mthree"
    assert Text().format(theirs) == "WARNING: never retrieved (tests/test_logs.py:1)"
    assert Text().format(wrong) == "WARNING: %d of %d"
    for form in (Text(), Json()):
        assert len(form.format(record("a" * 10**6))) < 1200
        assert "\n" not in form.format(ours)
    assert json.loads(Json().format(record("\ud800 é")))["message"] == "  é"


@pytest.mark.parametrize(
    ("name", "message", "arguments", "expected"),
    [
        ("other", "cannot read %r", ("the prompt",), "cannot read %r (tests/test_logs.py:1)"),
        ("other", "cannot read the prompt", (), "a library has something to say (tests/test_log"),
        (
            "uvicorn.error",
            "Invalid HTTP request received.",
            (),
            "Invalid HTTP request received. (",
        ),
        ("asyncio", "Exception in callback f('the prompt')", (), "Exception in callback f (tests"),
        ("py.warnings", "/a/b.py:7: UserWarning: the prompt\n  s", (), "/a/b.py:7: UserWarning"),
        ("py.warnings", "the prompt", (), "a warning"),
    ],
)
def test_of_others_only_what_are_their_own_words_is_told(
    name: str, message: str, arguments: tuple[Any, ...], expected: str
) -> None:
    line = Text().format(record(message, *arguments, name=name))
    assert line.startswith(f"WARNING: {expected}")
    assert "prompt" not in line


def test_of_secrets_that_begin_alike_no_end_is_left() -> None:
    for number in range(20):
        short = f"abcdefgh{number}"
        long = f"{short}-private-{number}-tail"
        for value in (short, long):
            Secret(value).reveal()
        assert redacted(f"it is {long}") == "it is •••"


def test_an_exception_is_told_by_its_type_and_its_place() -> None:
    """Whoever logs it with its traceback: no line of source, and nothing it says."""
    error = raised(ValueError("the prompt"))
    made = record("it failed", exc_info=(ValueError, error, error.__traceback__))
    text, fields = Text().format(made), json.loads(Json().format(made))

    assert re.search(r"it failed: ValueError at tests/test_logs\.py:\d+ in raised", text)
    assert fields["error"] == "ValueError"
    assert "prompt" not in f"{text}{fields}"


def _from(error: LLMRouterError, cause: BaseException) -> LLMRouterError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("the prompt", status=503), "Unavailable (status 503)"),
        (TimedOut("the prompt"), "TimedOut"),
        (
            AllModelsFailed([Refused("the prompt", status=401), TimedOut("the prompt")]),
            "AllModelsFailed: Refused (status 401), TimedOut",
        ),
        (ConfigError("a.toml", ["it is wrong @ b"]), "a.toml: it is wrong @ b"),
        (BadResult("scorer 'a' returned shape 1"), "scorer 'a' returned shape 1"),
        (_from(BadResult("the prompt"), KeyError("the prompt")), "BadResult from KeyError"),
        (FileNotFoundError(2, "No such file", "the prompt"), "FileNotFoundError: No such file"),
        (ValueError("the prompt"), "ValueError"),
    ],
)
def test_only_our_own_sentences_are_told(error: BaseException, expected: str) -> None:
    """What a provider says, or an exception of a stranger, may quote a prompt."""
    assert told(error) == expected


def test_nothing_is_written_around_the_log() -> None:
    """Not by a thread that ends with an error, nor by an object that fails where nobody waits."""
    program = """if True:
        import logging, threading, warnings
        from llmrouter_plugin_server.logs import configure
        configure("json")
        class Left:
            def __del__(self): raise ValueError("the prompt")
        def fails(): raise ValueError("the prompt")
        thread = threading.Thread(target=fails); thread.start(); thread.join()
        Left()
        warnings.warn("the prompt is deprecated")
        logging.getLogger("other").error("%d", "the prompt")
        logging.getLogger("llmrouter.server").info("ready")
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stderr.splitlines()]

    assert [row["logger"] for row in rows] == [
        *("llmrouter.server", "llmrouter.server", "py.warnings", "other", "llmrouter.server")
    ]
    assert "prompt" not in done.stderr
    assert done.stdout == ""
