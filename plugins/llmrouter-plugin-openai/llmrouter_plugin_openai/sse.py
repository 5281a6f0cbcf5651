"""Server-sent events, parsed as the HTML standard says, from bytes in pieces of any size."""

import re
from collections.abc import Iterator

LONGEST = 1 << 20
"""Bytes of the longest line that is accepted."""

_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class LineTooLong(ValueError):
    """A line is longer than `LONGEST` bytes."""


class EventParser:
    """A parser that is fed bytes and gives the data of each complete event.

    The same bytes give the same events, however they are cut. Event types, identifiers and
    reconnection times are read over: chat completions do not use them. What follows the last
    blank line is not an event, so nothing cut short is ever given.
    """

    def __init__(self) -> None:
        self._line = bytearray()  # what has arrived of the current line
        self._data: list[str] = []
        self._first = True
        self._after_return = False  # a line feed now would belong to the line that ended

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the data of every event that *piece* completes; read it to its end.

        Raises:
            LineTooLong: A line has more than `LONGEST` bytes.
        """
        if not piece:
            return
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        start = 0
        for end in _END.finditer(piece):
            self._grow(piece[start : end.start()])
            start = end.end()
            line = bytes(self._line)
            self._line.clear()
            data = self._take(line)
            if data is not None:
                yield data
        self._after_return = piece.endswith(b"\r")
        self._grow(piece[start:])

    def _grow(self, piece: bytes) -> None:
        self._line += piece
        if len(self._line) > LONGEST:
            raise LineTooLong(f"a line of more than {LONGEST} bytes")

    def _take(self, line: bytes) -> str | None:
        """Return the data of the event that *line* ends, if it ends one."""
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            data, self._data = self._data, []
            return "\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        return None
