"""Outcomes as Parquet; it needs pyarrow, which is imported when such a file is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes.delimited import unwritable
from llmrouter_core.outcomes.schema import COLUMNS, NUMBERS, Row

_BATCH = 8192  # rows in memory at a time


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise DatasetError(
            "Parquet needs pyarrow, which is not installed: pip install llmrouter-core[parquet]"
        ) from None


def read(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the columns of the format of each row, with the row's number from 1.

    Raises:
        DatasetError: pyarrow is missing, the file is damaged, or it lacks a column.
    """
    arrow, parquet = _pyarrow()
    with path.open("rb") as file:  # a missing file is reported as any other is
        try:
            table = parquet.ParquetFile(file)
            names = [name for name in COLUMNS if name in table.schema_arrow.names]
            for name in ("query", "model"):
                if name not in names and "better" not in names:
                    raise DatasetError(
                        f"{path}: the column '{name}' is missing; there are: "
                        f"{', '.join(table.schema_arrow.names)[:200]}"
                    )
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH, columns=names):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except arrow.ArrowException as error:
            reason = " ".join(str(error).split())
            raise DatasetError(f"{path}: is not Parquet, or damaged ({reason:.200})") from None


def write(found: Iterable[Row], path: Path, zipped: bool) -> int:
    """Write every column of the format, in row groups of bounded size.

    Raises:
        DatasetError: pyarrow is missing, or a text holds half of a surrogate pair.
    """
    arrow, parquet = _pyarrow()
    if zipped:
        raise DatasetError("a Parquet file is packed within; name it .parquet, not .parquet.gz")
    types = {name: arrow.float64() for name in NUMBERS} | {"tie": arrow.bool_()}
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])
    remaining = iter(found)
    count = 0
    with parquet.ParquetWriter(str(path), schema, compression="snappy") as writer:
        while batch := list(islice(remaining, _BATCH)):
            try:
                columns = {name: [row.get(name) for row in batch] for name in COLUMNS}
                writer.write_table(arrow.Table.from_pydict(columns, schema=schema))
            except UnicodeEncodeError:
                raise unwritable(count + 1, "Parquet") from None
            count += len(batch)
    return count
