"""Server-sent events, parsed as the HTML standard says, from bytes in pieces of any size."""

LONGEST = 1 << 20
"""Bytes of the longest line that is accepted."""

_BOM = b"\xef\xbb\xbf"


class EventParser:
    """A parser that is fed bytes and gives the data of each complete event.

    The same bytes give the same events, however they are cut. Event types, identifiers and
    reconnection times are read over: chat completions do not use them. What follows the last
    blank line is not an event, so nothing cut short is ever given.

    Attributes:
        overlong: Whether a line had more than `LONGEST` bytes; it and what follows is not read.
    """

    def __init__(self) -> None:
        self.overlong = False
        self._line = bytearray()  # what has arrived of the current line
        self._data: list[bytes] = []
        self._first = True
        self._after_return = False  # a line feed now would belong to the line that ended

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of every event that *piece* completes, with line feeds between lines."""
        if (  # a single event, as they come where each is sent once it is there
            piece.startswith(b"data: ")
            and piece.endswith(b"\n\n")
            and piece.find(b"\n") == len(piece) - 2
            and b"\r" not in piece
            and len(piece) <= LONGEST
            and not (self._line or self._data or self.overlong)
        ):
            self._first = self._after_return = False
            return [piece[6:-2]]
        if not piece or self.overlong:
            return []
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if len(self._line) + len(piece) > LONGEST:
            piece = self._accepted(piece)
        end = piece.rfind(b"\n") + 1
        if not end:
            self._line += piece
            return []
        lines = piece[:end]
        if self._line:
            lines = bytes(self._line) + lines
            self._line.clear()
        if end < len(piece):
            self._line += piece[end:]
        if self._first:
            self._first = False
            lines = lines.removeprefix(_BOM)
        return self._events(lines)

    def _accepted(self, piece: bytes) -> bytes:
        """Return *piece* up to its first line that is too long."""
        start, line = 0, len(self._line)
        while start < len(piece):
            end = piece.find(b"\n", start)
            if line + (len(piece) if end < 0 else end) - start > LONGEST:
                self.overlong = True
                return piece[:start]
            if end < 0:
                break
            start, line = end + 1, 0
        return piece

    def _events(self, lines: bytes) -> list[bytes]:
        """Return the data of the events that whole *lines* complete."""
        found: list[bytes] = []
        *blocks, rest = lines.split(b"\n\n")
        for block in blocks:
            if b"\n" not in block and not self._data and block.startswith(b"data:"):
                found.append(block[6:] if block.startswith(b" ", 5) else block[5:])
                continue
            for line in block.split(b"\n"):
                self._take(line, found)
            self._take(b"", found)
        if rest:
            for line in rest[:-1].split(b"\n"):
                self._take(line, found)
        return found

    def _take(self, line: bytes, found: list[bytes]) -> None:
        """Keep the data of *line*, or add that of the event which it ends to *found*."""
        if not line:
            if self._data:
                found.append(b"\n".join(self._data))
                self._data.clear()
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
