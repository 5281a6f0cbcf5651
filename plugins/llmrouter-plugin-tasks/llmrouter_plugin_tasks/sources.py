"""Where examples come from: a local file, or the `datasets` library and a network."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import evolve, frozen
from llmrouter_core import DatasetError, Example

from llmrouter_plugin_tasks.extras import need

Row: TypeAlias = Mapping[str, Any]
Read: TypeAlias = Callable[[Row], Example | None]


@frozen
class Hub:
    """Where a benchmark is published.

    Attributes:
        id: Its name on the hub.
        configs: Its parts, all of which are read.
        split: The split that is read.
    """

    id: str
    configs: tuple[str | None, ...]
    split: str

    def rows(self) -> Iterator[Row]:
        """Yield every row, fetching it where needed.

        Raises:
            MissingExtra: The library `datasets` is not installed.
        """
        library = need("datasets", "hub", f"fetching {self.id}")
        for config in self.configs:
            yield from library.load_dataset(self.id, name=config, split=self.split)


def examples(
    hub: Hub, read: Read, source: Path | None, limit: int | None, seed: int
) -> Iterator[Example]:
    """Yield the examples of a file or of *hub*, each once, or *limit* of them drawn by *seed*.

    Raises:
        DatasetError: A row has not the fields of the benchmark; the message says where.
    """
    if limit is not None and limit < 0:
        raise DatasetError(f"a limit of {limit} examples means nothing; give 0 or more")
    found = _read(hub, read, source)
    if limit is None:
        yield from found
        return
    everything = list(found)
    chosen = random.Random(seed).sample(range(len(everything)), min(limit, len(everything)))  # noqa: S311
    for place in sorted(chosen):
        yield everything[place]


def _read(hub: Hub, read: Read, source: Path | None) -> Iterator[Example]:
    seen: set[str] = set()
    rows = enumerate(hub.rows(), start=1) if source is None else _lines(source)
    for line, row in rows:
        place = f"row {line} of {hub.id}" if source is None else f"{source}:{line}"
        try:
            example = read(row)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            lacks = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(
                f"{place}: {lacks}; expected the fields of {hub.id} or of an LLMRouter query file"
            ) from error
        if example is not None:
            example = evolve(example, id=identify(example))
            if example.id not in seen:
                seen.add(example.id)
                yield example


def _lines(source: Path) -> Iterator[tuple[int, Row]]:
    """Yield each row of a JSONL file, with the number of its line."""
    try:
        with source.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise DatasetError(f"{source}:{line}: not a JSON object; write one a line")
                    yield line, row
    except OSError as error:
        raise DatasetError(f"{source} cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not UTF-8 text; convert it first") from error
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{source}:{line}: not JSON ({error.msg}); write one object a line"
        ) from error


def identify(example: Example) -> str:
    """Return an id made from what is asked: text, options and reference."""
    content = json.dumps([example.text, example.choices, example.reference])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def upstream(row: Row, task: str) -> tuple[str, str, Any] | None:
    """Return the query, the truth and the options of a row in the spelling of LLMRouter 1.

    None where the row is spelt otherwise.

    Raises:
        LookupError: It is of a task other than *task*, and to be left out.
    """
    truth = row.get("ground_truth", row.get("gt"))
    if "query" not in row or truth is None:
        return None
    if row.get("task_name", task) != task:
        raise OtherTask
    options = row.get("choices")
    if isinstance(options, str):
        options = json.loads(options)
    return str(row["query"]), truth if isinstance(truth, str) else json.dumps(truth), options


class OtherTask(Exception):
    """A row of a query file that belongs to another task."""
