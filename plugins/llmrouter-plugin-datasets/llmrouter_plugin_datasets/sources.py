"""Rows of files that others wrote, one at a time."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import BadRow, Repairs, refuse_pickle
from llmrouter_core.outcomes.delimited import records
from llmrouter_core.outcomes.jsonl import read as lines
from llmrouter_core.outcomes.zipped import opened

_CHUNK = 1 << 20  # characters


def files(path: Path, *endings: str) -> list[Path]:
    """Return *path*, or the files below it whose names end so; none may be a pickle.

    Raises:
        DatasetError: There is none, or one is a pickle.
    """
    found = [path]
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(endings))
    elif not path.exists():
        raise DatasetError(f"{path}: cannot be read: there is no such file or folder")
    if not found:
        raise DatasetError(f"{path}: holds no file that ends in {' or '.join(endings)}")
    for file in found:
        refuse_pickle(file)
    return found


def json_rows(path: Path, repairs: Repairs) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object of a JSONL file, or of a JSON file that is one list, with its number."""
    listed = path.suffix == ".json"
    for number, row in enumerate(_listed(path), start=1) if listed else lines(path):
        if isinstance(row, dict):
            yield number, row
        else:
            kind = row.kind if isinstance(row, BadRow) else "a row that is not a JSON object"
            repairs.note(f"dropped: {kind}", line=number)


def _listed(path: Path) -> Iterator[Any]:
    """Yield the values of a JSON list without reading all of it; of an object, the object."""
    decode = json.JSONDecoder().raw_decode
    with opened(path) as file:
        buffer = file.read(_CHUNK).decode("utf-8-sig", "surrogateescape").lstrip()
        if not buffer.startswith("["):
            rest = file.read().decode("utf-8", "surrogateescape")
            try:
                yield json.loads(buffer + rest)
            except ValueError as error:
                raise DatasetError(f"{path}: is not JSON ({error})") from None
            return
        buffer = buffer[1:]
        while True:
            buffer = buffer.lstrip(" \t\r\n,")
            if buffer.startswith("]"):
                return
            try:
                value, end = decode(buffer)
            except ValueError as error:
                more = file.read(max(_CHUNK, len(buffer)))
                if not more:
                    raise DatasetError(f"{path}: is not JSON, or cut short ({error})") from None
                buffer += more.decode("utf-8", "surrogateescape")
                continue
            yield value
            buffer = buffer[end:]


def header(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file.

    Raises:
        DatasetError: It is empty.
    """
    for _, names in records(path):
        if isinstance(names, list):
            return names
        break
    raise DatasetError(f"{path}: is empty or not CSV")


def table(path: Path, repairs: Repairs) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each record of a CSV file with the number of its line."""
    for number, row in records(path):
        if isinstance(row, BadRow):
            repairs.note(f"dropped: {row.kind}", line=number)
        elif number:
            yield number, row


def score_of(value: Any) -> float | None:
    """Return a score, be it a number, a number in text or a truth value; None if it is none."""
    if isinstance(value, str):
        value = {"true": 1.0, "false": 0.0}.get(value.strip().lower(), value)
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def scale_of(largest: float) -> float:
    """Return the end of the scale that scores up to *largest* are on: 1, 5, 10 or 100."""
    return next((end for end in (1.0, 5.0, 10.0, 100.0) if largest <= end), largest)


def unwrapped(text: str) -> str | None:
    """Return the texts in *text* where it is a Python list of texts written out, else None."""
    if not text.startswith("["):
        return None
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return None
    return "\n\n".join(parts)


def identity(*parts: Any) -> str:
    """Return a hash of all *parts*, which are plain data."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
