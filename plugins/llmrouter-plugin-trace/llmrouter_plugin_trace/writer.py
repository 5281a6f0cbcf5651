"""Where lines go: a file or a logger. Nobody waits for them, and nothing fails with them."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import TypeAlias

LOGGER = logging.getLogger("llmrouter.trace")

_WAITING = 10_000  # lines that may wait for the disk before further ones are dropped
_PATIENCE = 5.0  # seconds that closing waits for the disk

_Item: TypeAlias = str | Event | None  # a line, a point to tell of, or the end


class Losses:
    """Counts the lines that were dropped, and says so once.

    Attributes:
        dropped: How many there were.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._lock = Lock()

    def add(self, lines: int, reason: str) -> None:
        """Count *lines* as dropped; the first time, log a warning with the *reason*."""
        with self._lock:
            first = self.dropped == 0
            self.dropped += lines
        if first:
            LOGGER.warning("the trace is incomplete: %s; answers are not affected", reason)


class FileWriter:
    """Appends lines to a file from a thread of its own, so that a slow disk delays nobody.

    Args:
        path: The file; it is created if needed, its folder is not.
        losses: Where lines that could not be written are counted.
    """

    def __init__(self, path: Path, losses: Losses) -> None:
        self._path, self._losses = path, losses
        self._queue: Queue[_Item] = Queue(_WAITING)
        self._lock = Lock()
        self._thread: Thread | None = None

    def write(self, line: str) -> None:
        """Hand *line* over; if too many are waiting, it is dropped."""
        self._start()
        try:
            self._queue.put_nowait(line)
        except Full:
            self._losses.add(1, f"{self._path} takes longer to write than to fill")

    def flush(self) -> None:
        """Wait until all lines so far are written, though not forever."""
        if self._thread is not None and self._thread.is_alive():
            _wait(self._queue)

    def _start(self) -> None:
        """Start the thread at the first line, and again in a process that was forked off."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                arguments = self._path, self._queue, self._losses
                thread = Thread(target=_run, args=arguments, name="llmrouter-trace", daemon=True)
                thread.start()
                self._thread = thread
                # Also at exit, when the lines that still wait would be lost with the thread.
                weakref.finalize(self, _end, self._queue, thread)


class LogWriter:
    """Logs lines at level INFO to `llmrouter.trace`, whose handlers are the application's."""

    def write(self, line: str) -> None:
        """Log *line*."""
        LOGGER.info(line)

    def flush(self) -> None:
        """Return at once: a logger keeps nothing back."""


def _wait(queue: Queue[_Item]) -> None:
    reached = Event()
    try:
        queue.put(reached, timeout=_PATIENCE)
    except Full:
        return
    reached.wait(_PATIENCE)


def _end(queue: Queue[_Item], thread: Thread) -> None:
    if not thread.is_alive():
        return
    _wait(queue)
    try:
        queue.put_nowait(None)
    except Full:  # the disk hangs; the thread ends with the process
        return


def _run(path: Path, queue: Queue[_Item], losses: Losses) -> None:
    """Append what comes through *queue* to *path*, all that waits at a time."""
    ended = torn = False
    while not ended:
        items = [queue.get()]
        try:
            while True:
                items.append(queue.get_nowait())
        except Empty:
            lines = [item for item in items if isinstance(item, str)]
        ended = None in items
        if lines:
            torn = _append(path, lines, losses, torn)
        for item in items:
            if isinstance(item, Event):
                item.set()


def _append(path: Path, lines: list[str], losses: Losses, torn: bool) -> bool:
    """Append *lines* to *path*, and return whether its last line may be cut short now.

    Args:
        path: The file.
        lines: What to append.
        losses: Where they are counted if they cannot be written.
        torn: Whether the file's last line may be cut short already: it is then ended first.
    """
    content = "".join(f"{line}\n" for line in lines).encode()
    try:
        with path.open("ab") as file:
            content, torn = (b"\n" if torn else b"") + content, True
            file.write(content)
        torn = False
    except (OSError, ValueError) as error:  # a path with a NUL byte is a ValueError
        reason = getattr(error, "strerror", None) or type(error).__name__
        losses.add(len(lines), f"{path} cannot be written: {reason}")
    return torn
