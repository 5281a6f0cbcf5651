"""The runs that a page is about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from llmrouter_core.errors import DatasetError
from llmrouter_core.evaluation.report import Report, Row

from llmrouter_plugin_report import figures


@frozen(kw_only=True)
class Run:
    """One evaluation of one router.

    Attributes:
        name: What the page calls it.
        report: What was found; there is at least one row, the router's.
    """

    name: str
    report: Report

    @property
    def router(self) -> Row:
        """The figures of the router."""
        return self.report.rows[0]

    def row(self, policy: str) -> Row | None:
        """Return the figures of a baseline, or None if it is not there."""
        return next((row for row in self.report.rows[1:] if row.policy == policy), None)

    def model(self, policy: str) -> str | None:
        """Return the model that *policy* always asks, or None if it asks several."""
        row = self.row(policy)
        used = [] if row is None else [model for model, share in row.shares.items() if share > 0]
        return figures.name(used[0]) if len(used) == 1 else None


def read(paths: Sequence[Path]) -> list[Run]:
    """Return the runs in *paths*: folders with a `report.json`, or such files.

    Raises:
        DatasetError: One cannot be read, or is no report.
    """
    names = [_names(path) for path in paths]
    found = []
    for path, own in zip(paths, names, strict=True):
        same = sum(own[0] == other[0] for other in names)
        found.append(Run(name=figures.name(own[min(same, 2) - 1]), report=_report(path)))
    return found


def _names(path: Path) -> tuple[str, str]:
    """Return the short and the long name of the run at *path*."""
    folder = path.parent if path.suffix == ".json" else path
    return folder.resolve().name, str(path)


def _report(path: Path) -> Report:
    file = path / "report.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{file}: cannot be read: {error.strerror}; write it with: "
            "llmrouter evaluate … --out run"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}: is not JSON: {error}; evaluate again") from error
    return _structured(data, file)


def _structured(data: Any, file: Path) -> Report:
    try:
        report = Report.from_dict({"resamples": 0, "seed": 0, **data})
    except Exception as error:  # cattrs raises groups of whatever went wrong
        raise DatasetError(
            f"{file}: is not the report of an evaluation: {_reason(error)}; evaluate again"
        ) from error
    if not report.rows:
        raise DatasetError(f"{file}: holds no figures: its `rows` are empty; evaluate again")
    return report


def _reason(error: BaseException) -> str:
    """Return the first reason in nested groups of errors, with its place."""
    places = []
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        places += [str(note) for note in getattr(error, "__notes__", ())][:1]
    where = f" ({places[-1]})" if places else ""
    return f"{type(error).__name__}: {error}{where}"
