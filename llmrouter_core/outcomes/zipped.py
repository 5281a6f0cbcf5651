"""Files of bytes, gzipped or not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

DAMAGES = (EOFError, zlib.error)
"""What reading a gzipped file raises where it is cut short or changed, beside OSError."""


def opened(path: Path) -> IO[bytes]:
    """Return *path*, open for reading, unpacked if its name ends in .gz."""
    import gzip

    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def created(path: Path, zipped: bool) -> Iterator[IO[bytes]]:
    """Yield *path*, open for writing; a gzipped file has no time stamp and no name within."""
    import gzip

    with path.open("wb") as file:
        if not zipped:
            yield file
            return
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)
