"""Decide whether two mathematical expressions are the same, within a time limit.

Simplifying an expression may take for ever, and cannot be interrupted from within a thread. So
it is done by a helper process that is kept, and killed and replaced when it takes too long.
"""

import atexit
import json
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from attrs import define, field

from llmrouter_plugin_tasks.extras import MissingExtra
from llmrouter_plugin_tasks.metrics.number import Value, numbers
from llmrouter_plugin_tasks.metrics.spoken import spoken

_WORKER = Path(__file__).with_name("equivalence_worker.py")
_START = 60.0  # seconds the helper may take to import its library
_LONGEST = 2_000  # characters of an expression worth simplifying


def same_mathematics(answer: str, reference: str, seconds: float = 5.0) -> bool:
    """Return whether *answer* ends in the expression that *reference* ends in.

    What is boxed last counts, else what is said to be the answer, else the whole text.

    Args:
        answer: What the model wrote.
        reference: A solution, or only its result.
        seconds: How long comparing may take; two expressions not found equal by then differ.

    Raises:
        MissingExtra: The library that compares expressions is not installed.
    """
    mine, theirs = result(spoken(answer)), result(reference)
    if not mine or not theirs:
        return False
    one, other = tidy(mine), tidy(theirs)
    if one == other:
        return True
    plain = _only_number(mine), _only_number(theirs)
    if plain[0] is not None and plain[1] is not None:
        return bool(plain[0].readings & plain[1].readings)
    if max(len(mine), len(theirs)) > _LONGEST:
        return False
    return _helper.same(mine, theirs, seconds)


def result(text: str) -> str:
    """Return the expression *text* ends in."""
    places = [match.end() for match in re.finditer(r"\\f?boxed\s*\{", text)]
    if places:
        return _until_closed(text[places[-1] :])
    stated = re.findall(
        r"\banswer\s*(?:is|:|=)?\s*:?\s*(\S.*?)\s*(?:\.(?=\s|$)|\n|$)", text, re.IGNORECASE
    )
    return _strip(stated[-1] if stated else text)


def _until_closed(text: str) -> str:
    depth = 1
    for place, mark in enumerate(text):
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return text[:place].strip()
    return ""


def _strip(text: str) -> str:
    text = text.strip().strip("*").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inner = text.rstrip(".")
        if inner.startswith(opening) and inner.endswith(closing) and len(inner) > 2:
            text = inner[len(opening) : -len(closing)]
            break
    return text.strip().rstrip(".").strip()


def tidy(expression: str) -> str:
    """Return *expression* without what only changes its looks."""
    text = re.sub(r"\\(?:left|right|displaystyle|[!,;: ])", "", expression)
    text = re.sub(r"\\[dtc]frac", r"\\frac", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{\s*([^{}]*?)\s*\}", r"\1", text)
    text = re.sub(r"\^\{?\\circ\}?|°|\\%|\\\$", "", text).replace("{,}", "")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))(?![^()\[\]]*[)\]])", "", text)
    return re.sub(r"\s+", "", text).strip("$").rstrip(".").replace("−", "-")


def _only_number(expression: str) -> Value | None:
    """Return the number *expression* is, or None where it is more than one number."""
    text = re.sub(r"\\(?:left|right|[!,;: ])|\\?\$|\{,\}|\\text\{[^{}]*\}", "", expression).strip()
    if not re.fullmatch(r"[-−+]?(?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d+)?(?:/\d+)?\s*(?:\\?%)?", text):
        return None
    found = numbers(text)
    return found[0] if len(found) == 1 else None


@define(eq=False)
class _Helper:
    """The process that compares, started when it is first needed."""

    _process: subprocess.Popen[bytes] | None = None
    _lock: threading.Lock = field(factory=threading.Lock)

    def same(self, answer: str, reference: str, seconds: float) -> bool:
        """Return whether two expressions were found equal in *seconds*."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            message = json.dumps({"answer": answer, "reference": reference}) + "\n"
            reply = self._exchange(message.encode(), seconds)
            if reply is None:  # it hangs, or it ran out of memory
                self.stop()
                return False
            return json.loads(reply)["same"] is True

    def _start(self) -> None:
        self.stop()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
            [sys.executable, "-I", "-W", "ignore", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        ready = self._exchange(b"", _START)
        if ready is None or not json.loads(ready)["ready"]:
            self.stop()
            raise MissingExtra(
                "comparing mathematical expressions needs the library 'math_verify', which is not "
                "installed; run: pip install 'llmrouter-plugin-tasks[math]'"
            )

    def _exchange(self, message: bytes, seconds: float) -> bytes | None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + seconds
        try:
            process.stdin.write(message)
            process.stdin.flush()
        except BrokenPipeError:
            return None
        left = until - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return None
        return process.stdout.readline() or None

    def stop(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


_helper = _Helper()
atexit.register(_helper.stop)
