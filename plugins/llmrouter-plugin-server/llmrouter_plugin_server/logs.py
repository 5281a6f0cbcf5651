"""What a server logs, as text or as JSON lines: no secret, and nothing that a prompt may be in.

Every line passes one formatter, whichever library wrote it. Secrets are taken out by value where
this process has revealed them, and by shape. A prompt has no shape, so what strangers say in their
errors is left out: a provider's message, and that of an exception which is not one of ours. The
type of an error and its place are told instead.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath

import msgspec
from llmrouter_core import AllModelsFailed, CallError, LLMRouterError
from llmrouter_core.secret import revealed

from llmrouter_plugin_server.settings import Format

LOGGER = logging.getLogger("llmrouter.server")

REQUEST: ContextVar[str | None] = ContextVar("llmrouter_request", default=None)
"""The id of the request that is answered in this context."""

_HIDDEN = "•••"
_LONGEST = 1000  # characters of a message
_READ = 20_000  # of what is looked through for it
_FRAMES = 3  # places that are told of an error, the innermost first
_WARNING = re.compile(r"(.{1,300}:\d+: \w+):")
_SHORT = 8  # characters below which a value is no secret: some servers take `none` for a key

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # whoever logs in by an address: scheme://user:password@host
    (re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s'\"<>]{0,300}@"), rf"\1{_HIDDEN}@"),
    # a key in the query of an address
    (
        re.compile(r"(?i)([?&](?:[\w-]{0,40}(?:key|token)|secret|password)=)[^\s&'\"]+"),
        rf"\1{_HIDDEN}",
    ),
    # headers, as they are sent or as Python shows them
    (
        re.compile(
            r"(?i)((?:authorization|api[-_]?key)\\?['\"]?\s*(?:[:=]|(?<=['\"])\s*,)"
            r"\s*(?:b(?=['\"]))?\\?['\"]?)(?:[A-Za-z]+ (?=[\w.~+/=-]))?[^\s'\",;\\]+"
        ),
        rf"\1{_HIDDEN}",
    ),
    (
        re.compile(r"(?i)\b((?:\w{1,30}_)?(?:password|secret|api_?key)\s*=\s*)[^\s,;&'\"]+"),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=*…-]{6,}"), rf"\1 {_HIDDEN}"),
    # keys by what providers begin them with, cut short or not; names of functions are left alone
    (re.compile(r"lr-[\w-]{43}"), _HIDDEN),
    (re.compile(r"(?i)\b(?:sk|pk|rk|lr|gsk|nvapi|pplx)-[\w*.…-]{6,}"), _HIDDEN),
    (re.compile(r"(?i)\b(?:key|hf|xai|tgp)-[\w*.…-]{16,}"), _HIDDEN),
    (
        re.compile(
            r"\b(?:sk|pk|rk|gsk|hf|r8|tgp|ghp)_(?:[A-Za-z0-9]{1,12}_){0,3}[A-Za-z0-9*…-]{16,}"
        ),
        _HIDDEN,
    ),
    (re.compile(r"\b(?:AIza[\w*…-]{8,}|A[KS]IA[A-Z0-9*…]{8,})"), _HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*"), _HIDDEN),  # a token of JSON (JWT)
)


def redacted(text: str) -> str:
    """Return *text* without any secret of this process, or what looks like one."""
    for secret in sorted(revealed(), key=len, reverse=True):  # one may begin with another
        if len(secret) >= _SHORT:
            text = text.replace(secret, _HIDDEN)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def told(error: BaseException) -> str:
    """Return what may be logged of *error*.

    That is our own sentence, unless it was made of another error's, or the type: with the status
    of a provider's answer, else with the places that it went through, the innermost first.
    """
    name = type(error).__name__
    if isinstance(error, AllModelsFailed):
        return f"{name}: {', '.join(map(told, error.failures))}"
    if isinstance(error, CallError):
        return name if error.status is None else f"{name} (status {error.status})"
    if isinstance(error, LLMRouterError):
        cause = error.__cause__
        return str(error) if cause is None else f"{name} from {told(cause)}"
    if isinstance(error, OSError) and error.strerror:
        name = f"{name}: {error.strerror}"
    places = _places(error)
    return f"{name} at {places}" if places else name


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " < ".join(
        f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}"
        for frame in reversed(frames)
    )


def configure(form: Format) -> None:
    """Let everything that is logged in this process go to stderr, in *form*."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form]())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(True)
    # Python would write these with all that they say.
    threading.excepthook = lambda found: _lost("a thread ended", found.exc_value)
    sys.unraisablehook = lambda found: _lost("an error was left behind", found.exc_value)


def _lost(what: str, error: BaseException | None) -> None:
    why = "unknown" if error is None else told(error)
    LOGGER.error("%s: %s", what, why, extra={"error": error})


class Text(logging.Formatter):
    """Lines for people: the level, the message, and the request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        message, request = _message(record), REQUEST.get()
        end = "" if request is None or request in message else f" (request {request})"
        return f"{record.levelname}: {message}{end}"


class Json(logging.Formatter):
    """Lines for programs: a JSON object each, as `docs/serve.md` describes it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        when = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if (request := REQUEST.get()) is not None:
            fields["request"] = request
        if (error := _error(record)) is not None:
            fields["error"] = error
        return msgspec.json.encode(fields).decode()


_FORMATTERS: dict[Format, type[logging.Formatter]] = {"text": Text, "json": Json}


def _message(record: logging.LogRecord) -> str:
    """Return what *record* says: one line of bounded length, without secrets."""
    root = record.name.partition(".")[0]
    said = _own(record) if root.startswith("llmrouter") else _foreign(record, root)
    if record.exc_info and record.exc_info[1] is not None:
        said = f"{said}: {told(record.exc_info[1])}"
    said = redacted("".join(sign if sign.isprintable() else " " for sign in said[:_READ]))
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _own(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - the arguments do not fit, and may be anything
        said = str(record.msg)
    return "; ".join(line for line in said.splitlines() if line.strip())


def _foreign(record: logging.LogRecord, root: str) -> str:
    """Return what is sure to be a library's own words, and where it said them.

    What it put into its words may be of a prompt, so it is left out.
    """
    said = str(record.msg)
    if root == "py":  # a warning; the place is told in it
        found = _WARNING.match(_own(record))
        return "a warning" if found is None else found[1]
    if root == "asyncio":  # what follows is a handle or a task, with its arguments
        said = re.split(r"[(<\n]", said, maxsplit=1)[0]
    elif root != "uvicorn" and not record.args:
        said = "a library has something to say"
    place = "/".join(PurePath(record.pathname).parts[-2:])
    return f"{said.strip().partition(chr(10))[0]} ({place}:{record.lineno})"


def _error(record: logging.LogRecord) -> str | None:
    """Return the type of the error that *record* is about: of `exc_info`, or its `error`."""
    if record.exc_info and record.exc_info[0] is not None:
        return record.exc_info[0].__name__
    error = getattr(record, "error", None)
    return None if error is None else type(error).__name__
