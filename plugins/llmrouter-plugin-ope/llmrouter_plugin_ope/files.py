"""The files of a log: decisions and what was said of them, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import evolve
from llmrouter_core import DatasetError
from llmrouter_core.outcomes import BadRow, Repairs, jsonl

from llmrouter_plugin_ope.records import Feedback, Record, record_of

_ENDINGS = ("*.jsonl", "*.jsonl.gz")


def records(path: Path, *, skip_bad: bool = False, repairs: Repairs | None = None) -> list[Record]:
    """Return the decisions of a log, each with the reward that was last given to it.

    Args:
        path: A folder of JSONL files, or one file.
        skip_bad: Whether to leave out rows that are wrong.
        repairs: Where what was left out is counted.

    Raises:
        DatasetError: There is no log, or a row is wrong; the message has its place.
    """
    noted = repairs if repairs is not None else Repairs()
    found: dict[str, Record] = {}
    rewards: dict[str, float] = {}
    for one in _read(path, noted, skip_bad):
        if isinstance(one, Feedback):
            rewards[one.id] = one.reward
        elif one.id in found:
            noted.note("left out: a second decision of the same request")
        else:
            found[one.id] = one
    strangers = sum(name not in found for name in rewards)
    for _ in range(strangers):
        noted.note("left out: feedback on a request that is not in the log")
    return [
        evolve(one, reward=rewards[name]) if name in rewards else one
        for name, one in found.items()
    ]


def _read(path: Path, repairs: Repairs, skip_bad: bool) -> Iterator[Record | Feedback]:
    for file in _files(path):
        try:
            for number, raw in jsonl.read(file):
                try:
                    if isinstance(raw, BadRow):
                        raise raw
                    yield record_of(raw)
                except BadRow as bad:
                    if not skip_bad:
                        raise DatasetError(
                            f"{file}:{number}: {bad}; to go on without it: --skip-bad"
                        ) from None
                    repairs.note(f"dropped: {bad.kind}", line=number)
        except OSError as error:
            raise DatasetError(f"{file}: cannot be read: {error.strerror or error}") from None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for ending in _ENDINGS for file in path.glob(ending))
    if not found:
        raise DatasetError(
            f"{path}: holds no .jsonl files; give the folder that the server logs into"
        )
    return found
