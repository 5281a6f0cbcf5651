"""Files of outcomes: the format a name means, checked reading, writing all or nothing."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes.checking import BadRow, Checker
from llmrouter_core.outcomes.repairs import Repairs
from llmrouter_core.outcomes.schema import Row

_PICKLES = {".pkl", ".pickle", ".pt", ".pth", ".joblib"}
_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


class Format(Protocol):
    """A module that knows one format of files."""

    def read(self, path: Path) -> Iterator[tuple[int, Any]]:
        """Yield each row with its number; a BadRow in place of one that cannot be read."""

    def write(self, found: Iterable[Row], path: Path, zipped: bool) -> int:
        """Write the rows and return how many there were."""


def rows(
    path: str | Path,
    *,
    models: Collection[str] | None = None,
    repairs: Repairs | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the columns of each row of a file, checked, as they are read.

    Every row has `id` and `query`. An outcome has `model` and `status`, a preference `better`,
    `worse` and `tie`; what else is known of it is there too, and what is unknown is absent.

    Args:
        path: `.jsonl`, `.csv` (both also `.gz`) or `.parquet`; any other name is read as JSONL.
        models: The only models there may be; None allows any.
        repairs: Where bad rows are counted, to go on with the rest; None raises at the first.

    Raises:
        DatasetError: The file cannot be read, or a row is wrong; the message has its number.
    """
    path = Path(path)
    refuse_pickle(path)
    kind, _ = _format(path)
    try:
        yield from checked(kind.read(path), str(path), models=models, repairs=repairs)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from None


def checked(
    numbered: Iterable[tuple[int, Any]],
    source: str,
    *,
    models: Collection[str] | None = None,
    repairs: Repairs | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each of the *numbered* rows once it is checked, alone and against those before it.

    Args:
        numbered: Rows with their numbers; a BadRow stands for one that could not be read.
        source: What messages call the place the rows come from.
        models: The only models there may be; None allows any.
        repairs: Where bad rows are counted, to go on with the rest; None raises at the first.

    Raises:
        DatasetError: A row is wrong.
    """
    checker = Checker(models)
    for number, raw in numbered:
        try:
            if isinstance(raw, BadRow):
                raise raw
            if not isinstance(raw, Mapping):
                raise BadRow("a row that is not a JSON object", "is not a JSON object")
            row = checker.check(raw, number)
        except BadRow as bad:
            if repairs is None:
                raise DatasetError(f"{source}:{number}: {bad}") from None
            repairs.note(f"dropped: {bad.kind}", line=number)
            continue
        yield number, row


def write_rows(found: Iterable[Row], path: str | Path) -> int:
    """Write rows as JSONL, CSV or Parquet, whichever the name says, and return how many.

    The file appears when it is complete: a run that breaks leaves no half of one. Equal rows are
    equal bytes.

    Raises:
        DatasetError: The file cannot be written, or its format cannot hold a text.
    """
    path = Path(path)
    kind, zipped = _format(path)
    part = path.with_name(f"{path.name}.part")
    try:
        try:
            count = kind.write(found, part, zipped)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror or error}") from None
    return count


def refuse_pickle(path: Path) -> None:
    """Raise DatasetError if *path* is a pickle, by its name or by its first bytes.

    Raises:
        DatasetError: It is one.
    """
    named = {suffix.lower() for suffix in path.suffixes} & _PICKLES
    start = b""
    if not named and path.is_file():
        with path.open("rb") as file:
            start = file.read(4)
    if named or start.startswith(_MAGIC):
        raise DatasetError(
            f"{path}: is a pickle or an archive of pickles, and to read one is to run the code in "
            "it; open it where you trust it, and save it there as CSV, JSONL or Parquet"
        )


def _format(path: Path) -> tuple[Format, bool]:
    """Return the module that knows the format of *path*, and whether it is gzipped."""
    from llmrouter_core.outcomes import delimited, jsonl, parquet

    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    last = (suffixes[:-1] if zipped else suffixes)[-1:]
    if last == [".csv"]:
        return delimited, zipped
    if last in ([".parquet"], [".pq"]):
        return parquet, zipped
    return jsonl, zipped
