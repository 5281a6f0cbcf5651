"""The journal of a run: rows are appended, never changed, and survive whatever ends the process.

Each row is one line, written by one call of the system and checked by a sum at its end. A line
that was cut short when the process died is taken off; a damaged one is left out; either way its
call is made again. A later row of the same query and model stands in place of the earlier one.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from array import array
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import STATUSES, Repairs, write_rows

from llmrouter_plugin_collect.plan import Plan, difference
from llmrouter_plugin_collect.tally import Tally

JOURNAL = "journal.jsonl"
OUTCOMES = "outcomes.jsonl"
OWN = ("unscored", "rescored", "judge_cost")
"""Columns of the journal that outcomes do not have."""

_SUM = b',"sum":"'
_TAIL = len(_SUM) + 8 + len(b'"}')
_TORN = "the last row was cut short; its call is made again"
_BAD = "a row was damaged; its call is made again"


def encode(row: Mapping[str, Any]) -> bytes:
    """Return *row* as a line that ends with its checksum."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    body = text.encode("utf-8", "backslashreplace")
    return b'%b%b%08x"}\n' % (body[:-1], _SUM, zlib.crc32(body))


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line, or None where the line is not what was written."""
    line = line.rstrip(b"\n")
    body = line[:-_TAIL] + b"}"
    if line[-_TAIL:] != b'%b%08x"}' % (_SUM, zlib.crc32(body)):
        return None
    row = json.loads(body)
    return row if isinstance(row, dict) else None


class Journal:
    """The rows of one folder.

    Args:
        folder: Where they are.
        plan: What the folder is for.

    Attributes:
        status: What became of each cell: an index into `STATUSES`.
        tally: Tokens and dollars of all rows, those since replaced too.
        repairs: What was left out or cut off when the journal was opened.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.status = bytearray(len(plan))
        self.tally = Tally()
        self.repairs = Repairs()
        self._places = array("q", bytes(8 * len(plan)))  # where each cell's row starts
        self._file = -1
        self._guard = -1
        self._size = 0
        self._synced = 0
        self._syncing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "fsync")  # scorers must not keep it waiting

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / JOURNAL

    # ------------------------------------------------------------------ opening

    def look(self) -> Self:
        """Read what there is, and change nothing.

        Raises:
            DatasetError: The folder holds something else.
        """
        if self.path.exists():
            self._load()
        elif (self.folder / OUTCOMES).exists():
            raise DatasetError(
                f"{self.folder}: holds an {OUTCOMES} that was not collected here, and it would "
                "be replaced; choose another --out"
            )
        return self

    def __enter__(self) -> Self:
        """Open the journal to write, and keep every other process out.

        Raises:
            DatasetError: The folder holds something else, is in use or cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._guard = _lock(self.folder)
            self.look()
            if not self.path.exists():
                self._create()
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
            if os.fstat(self._file).st_size > self._size:
                os.ftruncate(self._file, self._size)
                os.fsync(self._file)
        except OSError as error:
            self.__exit__()
            reason = error.strerror or error
            raise DatasetError(f"{self.folder}: cannot be written: {reason}") from None
        except BaseException:
            self.__exit__()
            raise
        self._synced = self._size
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        for file in (self._file, self._guard):
            if file >= 0:
                os.close(file)
        self._file = self._guard = -1

    def _create(self) -> None:
        """Write the header; the journal appears with it, so that none is ever without."""
        part = self.path.with_name(f"{JOURNAL}.part")
        with part.open("wb") as file:
            self._size = file.write(encode(self.plan.header()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)
        os.fsync(self._guard)

    def _load(self) -> None:
        place = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    if number == 1:
                        raise self._foreign()
                    self.repairs.note(_TORN, line=number)
                    break
                row = decode(line)
                if number == 1:
                    self._check(row)
                elif row is None or (cell := self.plan.cell(row)) is None:
                    self.repairs.note(_BAD, line=number)
                else:
                    self._note(cell, row, place)
                place += len(line)
        if not place:
            raise self._foreign()
        self._size = place

    def _check(self, header: dict[str, Any] | None) -> None:
        if header is None or header.get("llmrouter") != "collect":
            raise self._foreign()
        problem = difference(header, self.plan.header())
        if problem is not None:
            raise DatasetError(f"{self.folder}: {problem}; choose another --out")

    def _foreign(self) -> DatasetError:
        return DatasetError(
            f"{self.path}: is not a journal of `llmrouter collect`, or its first line is "
            "damaged; choose another --out"
        )

    # ------------------------------------------------------------------ writing

    def _note(self, cell: int, row: Mapping[str, Any], place: int) -> None:
        self.status[cell] = STATUSES.index(row["status"])
        self._places[cell] = place
        self.tally.add(row)

    def append(self, cell: int, row: Mapping[str, Any]) -> None:
        """Write the row of *cell*; from here on a killed process does not lose it.

        Raises:
            DatasetError: The disk does not take it; what was written of it is taken back.
        """
        line = encode(row)
        try:
            written = os.write(self._file, line)
            if written != len(line):
                os.ftruncate(self._file, self._size)
                raise OSError(f"{written} of {len(line)} bytes were taken; is the disk full?")
        except OSError as error:
            reason = error.strerror or error
            raise DatasetError(
                f"{self.path}: cannot be written: {reason}; make room and run the same again"
            ) from None
        self._note(cell, row, self._size)
        self._size += len(line)

    async def sync(self) -> None:
        """Return when everything appended so far is on the disk, whatever the power does.

        Rows that arrive while one sync is under way share the next.
        """
        mine = self._size
        async with self._syncing:
            if self._synced >= mine:
                return
            reached = self._size
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, os.fsync, self._file)
            self._synced = reached

    # ------------------------------------------------------------------ reading

    def row(self, cell: int) -> dict[str, Any] | None:
        """Return the row that stands for *cell*, or None if it was never asked."""
        if not self.status[cell]:
            return None
        with self.path.open("rb") as file:
            return self._read(file, cell)

    def _read(self, file: Any, cell: int) -> dict[str, Any]:
        file.seek(self._places[cell])
        row = decode(file.readline())
        if row is None:
            raise DatasetError(f"{self.path}: was changed while it was read; run the same again")
        return row

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row that stands for each cell that was asked, by query and model."""
        with self.path.open("rb") as file:
            for cell in range(len(self.plan)):
                if self.status[cell]:
                    row = self._read(file, cell)
                    yield {name: value for name, value in row.items() if name not in OWN}

    def finish(self) -> int:
        """Write the outcomes so far as one sorted file, and return how many rows it has."""
        return write_rows(self.rows(), self.folder / OUTCOMES)


def _lock(folder: Path) -> int:
    """Return a handle on *folder* that no other process can have until it is closed."""
    file = os.open(folder, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise DatasetError(
            f"{folder}: another `llmrouter collect` is at work in it; wait until it ends"
        ) from None
    return file
