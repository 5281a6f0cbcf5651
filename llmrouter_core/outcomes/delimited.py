"""Outcomes as CSV: the columns of the format in any order, others ignored, blank is unknown."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from gzip import BadGzipFile
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes.checking import BadRow
from llmrouter_core.outcomes.jsonl import damaged
from llmrouter_core.outcomes.schema import COLUMNS, NUMBERS, Row
from llmrouter_core.outcomes.zipped import DAMAGES, created, opened

_LONGEST = 64 << 20  # characters of a field; Python's own limit of 131,072 is below a long prompt
_UNDECODED = re.compile("[\udc80-\udcff]")  # a byte that was not UTF-8, as it was kept
_TIES = {"true": True, "false": False}


def read(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each row as the columns of the format, with the line it begins on.

    Raises:
        DatasetError: A column is missing that every row needs.
    """
    for number, fields in records(path):
        if number == 0:
            twice = [name for name in COLUMNS if fields.count(name) > 1]
            if twice:
                raise DatasetError(f"{path}:1: the column '{twice[0]}' is there twice")
            lacking = [name for name in ("query", "model") if name not in fields]
            if lacking and "better" not in fields:
                raise DatasetError(
                    f"{path}:1: the column '{lacking[0]}' is missing; there are: "
                    f"{', '.join(fields)[:200]}"
                )
        else:
            yield number, fields if isinstance(fields, BadRow) else _typed(fields)


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the header as row 0, then each record as a dictionary of texts, or a BadRow.

    The number of a record is that of the line it begins on. A byte that is not UTF-8 stays in
    the text as half a surrogate pair, which the check of the row finds.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    with (
        opened(path) as file,
        TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        reader = csv.reader(text)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield number, BadRow("a row that is not CSV", f"is not CSV ({error})")
                continue
            except (*DAMAGES, BadGzipFile) as error:
                yield number, damaged(error)
                return
            if fields is None:
                return
            if header is None:
                header = fields
                yield 0, header
            elif fields:  # a blank line is no row
                yield number, _record(header, fields)


def number_of(text: str) -> Any:
    """Return *text* as the number it is, or as it stands."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def _typed(fields: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: fields[name] or None for name in COLUMNS if name in fields}
    for name in NUMBERS:
        if row.get(name) is not None:
            row[name] = number_of(row[name])
    if row.get("tie") is not None:
        row["tie"] = _TIES.get(row["tie"].lower(), row["tie"])
    return row


def _record(header: list[str], fields: list[str]) -> dict[str, str] | BadRow:
    if len(fields) != len(header):
        return BadRow(
            "a row with another number of fields than the header",
            f"has {len(fields)} fields, the header has {len(header)}",
        )
    if any(not field.isascii() and _UNDECODED.search(field) for field in fields):
        return BadRow("a row that is not UTF-8", "is not UTF-8; save the file as UTF-8")
    return dict(zip(header, fields, strict=True))


def write(found: Iterable[Row], path: Path, zipped: bool) -> int:
    """Write every column of the format; numbers are exact, an empty text is unknown.

    Raises:
        DatasetError: A text holds half of a surrogate pair, which UTF-8 has no bytes for.
    """
    count = 0
    with (
        created(path, zipped) as file,
        TextIOWrapper(file, "utf-8", newline="") as text,
    ):
        writer = csv.writer(text)  # ends rows as RFC 4180 does, so that a lone CR is quoted
        writer.writerow(COLUMNS)
        for row in found:
            count += 1
            try:
                writer.writerow([row.get(name) for name in COLUMNS])
            except UnicodeEncodeError:
                raise unwritable(count, "CSV") from None
    return count


def unwritable(count: int, kind: str) -> DatasetError:
    """Return what to say of a text that *kind* cannot hold."""
    return DatasetError(
        f"row {count}: a text holds half of a surrogate pair, which {kind} cannot; write .jsonl"
    )
