"""Outcomes as one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from gzip import BadGzipFile
from pathlib import Path
from typing import IO, Any

from llmrouter_core.outcomes.checking import BadRow
from llmrouter_core.outcomes.schema import Row
from llmrouter_core.outcomes.zipped import DAMAGES, created, opened

_LONGEST = 64 << 20  # bytes of a line: without a limit one missing newline takes all memory


def read(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the value of each line with the line's number; blank lines count."""
    number = 0
    with opened(path) as file:
        try:
            for number, line in enumerate(_lines(file), start=1):
                if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    yield 1, BadRow("a file that is not UTF-8", "is UTF-16; save it as UTF-8")
                    return
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield number, _value(text)
        except (*DAMAGES, BadGzipFile) as error:
            yield number + 1, damaged(error)


def damaged(error: Exception) -> BadRow:
    """Return what to say of a gzipped file that cannot be unpacked any further."""
    reason = f"{error or type(error).__name__}".rstrip(".")
    return BadRow(
        "the rest of a gzipped file that is damaged or cut short",
        f"the file is damaged or cut short here, and nothing after it can be read ({reason})",
    )


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield each line, and the beginning of one that is too long."""
    while line := file.readline(_LONGEST):
        rest = line
        while len(rest) == _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST)
        yield line


def _value(line: bytes) -> Any:
    if len(line) >= _LONGEST:
        return BadRow("a row that is too long", f"is longer than {_LONGEST >> 20} MiB")
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError:
        return BadRow("a row that is not UTF-8", "is not UTF-8; save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return BadRow("a row that is not JSON", f"is not JSON ({error})")


def write(found: Iterable[Row], path: Path, zipped: bool) -> int:
    """Write each row as a line; half of a surrogate pair becomes its JSON escape."""
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
    count = 0
    with created(path, zipped) as file:
        for row in found:
            count += 1
            file.write(f"{encode(row)}\n".encode("utf-8", "backslashreplace"))
    return count
