"""The plan of a run: every question at every model, and what makes two plans the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmrouter_core import DatasetError, Model
from llmrouter_core.outcomes import BadRow, Checker

from llmrouter_plugin_collect.questions import Question

VERSION = 1
"""The format of a journal; another one is refused."""


class Plan:
    """Questions by models. A cell is a number: question times models, plus model.

    Questions are ordered by task, models by name, so that the order of a command line or of a
    config changes nothing.

    Args:
        questions: What is asked; those of one task together.
        models: Who is asked.

    Raises:
        DatasetError: There is nothing to ask, or a question cannot stand in an outcome file.
    """

    def __init__(self, questions: Sequence[Question], models: Sequence[Model]) -> None:
        self.questions = tuple(sorted(questions, key=lambda one: one.name))
        self.models = tuple(sorted(models, key=lambda model: model.name))
        if not self.questions:
            raise DatasetError("there is no query to ask; check the task's source and --limit")
        self._check()
        self._row = {one.columns["id"]: i for i, one in enumerate(self.questions)}
        self._column = {model.name: j for j, model in enumerate(self.models)}

    def __len__(self) -> int:
        return len(self.questions) * len(self.models)

    def _check(self) -> None:
        """Find now, not when the file is read, what an outcome file refuses."""
        checker = Checker()
        for number, question in enumerate(self.questions, start=1):
            row = {**question.columns, "model": self.models[0].name, "status": "error"}
            try:
                checker.check(row, number)
            except BadRow as bad:
                raise DatasetError(
                    f"task '{question.name}': example '{question.example.id:.60}': {bad}; "
                    "the ids of a task's examples are all different"
                ) from None

    def at(self, cell: int) -> tuple[Question, Model]:
        """Return the question and the model of *cell*."""
        i, j = divmod(cell, len(self.models))
        return self.questions[i], self.models[j]

    def cell(self, row: Mapping[str, Any]) -> int | None:
        """Return the cell an outcome row belongs to, or None where the plan has none."""
        i, j = self._row.get(str(row.get("id"))), self._column.get(str(row.get("model")))
        return None if i is None or j is None else i * len(self.models) + j

    def header(self) -> dict[str, Any]:
        """Return what must be equal for two runs to share a folder."""
        return {
            "llmrouter": "collect",
            "version": VERSION,
            "models": {
                model.name: {
                    "id": model.id,
                    "price": model.price and [model.price.input, model.price.output],
                }
                for model in self.models
            },
            "tasks": dict(self._tasks()),
        }

    def _tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        names = sorted({question.name for question in self.questions})
        hashes = {name: hashlib.sha256() for name in names}
        counts = dict.fromkeys(names, 0)
        for question in self.questions:
            counts[question.name] += 1
            hashes[question.name].update(question.identity + b"\n")
        for name in names:
            yield name, {"queries": counts[name], "sha256": hashes[name].hexdigest()}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return in what two headers differ, as a sentence, or None where they are the same."""
    if old.get("version") != new["version"]:
        return f"it was written in format {old.get('version')}, and this is {new['version']}"
    pools, tasks = (old["models"], new["models"]), (old["tasks"], new["tasks"])
    for what, (was, now) in (("models", pools), ("tasks", tasks)):
        if was.keys() != now.keys():
            return f"it holds the {what} {_names(was)}, and you ask for {_names(now)}"
    for name, model in pools[0].items():
        if model["id"] != pools[1][name]["id"]:
            return f"model '{name}' was '{model['id']}' there, and is '{pools[1][name]['id']}' now"
        if model["price"] != pools[1][name]["price"]:
            return f"model '{name}' had another price"
    for name, task in tasks[0].items():
        if task != tasks[1][name]:
            return (
                f"task '{name}' had other queries ({task['queries']:,} there, "
                f"{tasks[1][name]['queries']:,} now); give the same source, --limit and --seed"
            )
    return None


def _names(found: Mapping[str, Any]) -> str:
    return ", ".join(sorted(found))
