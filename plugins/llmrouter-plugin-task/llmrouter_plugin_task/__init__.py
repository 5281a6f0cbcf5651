"""Score models by how they did on the task a query belongs to."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from attrs import define, field, frozen, validators
from llmrouter_core import Arrays, Dataset, Floats, Ints, Query
from llmrouter_core.learning import LearnedScorer, Table

from llmrouter_plugin_task.posterior import Posterior

_MOST = 256  # tasks told apart; the outcomes of rarer ones count as those of no task


@frozen(kw_only=True, eq=False)
class _Learned:
    """What `TaskScorer` needs at hand."""

    kinds: dict[str, int]
    table: Table
    posterior: Posterior | None


@define(eq=False, kw_only=True)
class TaskScorer(LearnedScorer):
    """A table of mean scores by task and model, and a guess of the task where it is not told.

    `query.facts["task"]` names the task; where it names none of those in the outcomes, every task
    counts by its probability given the embedding. Looking up the task is about the most that any
    router gains on mixed benchmarks (LLMRouterBench 2026, arXiv 2601.07206). Queries
    without a task in the outcomes are one more kind; where no query has one, the table holds each
    model's mean.

    The standard error is that of the means, and how far the tasks in question lie apart.

    Attributes:
        name: See `LearnedScorer`.
        calibration: See `LearnedScorer`.
        folds: See `LearnedScorer`.
        targets: See `LearnedScorer`.
        seed: See `LearnedScorer`.
        shrinkage: How many outcomes the mean of the model and of the task counts for in a cell.
        caution: How many standard errors the guess of a task is held back by: with more of them,
            a query unlike all that were learned is judged by the mean of all tasks.
    """

    shrinkage: float = field(default=10.0, validator=[validators.gt(0), validators.lt(math.inf)])
    caution: float = field(default=2.0, validator=[validators.ge(0), validators.lt(math.inf)])

    def learn(self, dataset: Dataset) -> Arrays:
        """Return the names of the g tasks, the table (g, m), and what tells tasks apart."""
        assert dataset.embeddings is not None
        names = _names(dataset.tasks)
        kinds = _kinds(dataset.tasks, names)
        learned = {
            "tasks": np.array(names, dtype=np.str_),
            **Table.fit(dataset.quality, kinds, len(names), self.shrinkage).arrays(),
        }
        if len(names) > 1:
            told = Posterior.fit(dataset.embeddings, kinds, len(names), self.caution)
            learned |= told.arrays()
        return learned

    def prepare(self, learned: Arrays) -> _Learned:
        """Return the table, and what tells tasks apart, if anything does."""
        return _Learned(
            kinds={name: row for row, name in enumerate(learned["tasks"].tolist()) if name},
            table=Table.of(learned),
            posterior=Posterior.of(learned) if "sharpness" in learned else None,
        )

    def predict(
        self, learned: _Learned, queries: Sequence[Query], embeddings: Floats
    ) -> tuple[Floats, Floats]:
        """Return the mean over the tasks in question and its standard error, (n, m) each."""
        if learned.posterior is None:
            shares: Floats = np.ones((len(queries), 1))
        else:
            shares = learned.posterior.shares(embeddings, self.caution)
        for row, query in enumerate(queries):
            task = query.facts.get("task")
            if isinstance(task, str) and task in learned.kinds:
                shares[row] = 0.0
                shares[row, learned.kinds[task]] = 1.0
        return learned.table.mixed(shares, one=True)

    def notes(self) -> list[str]:
        """Return what is worth knowing of what was learned, as sentences."""
        notes = super().notes()
        if self._learned is None:
            return notes
        posterior, count = self._learned.posterior, len(self._learned.kinds)
        if not count:
            told = "no outcome names its task, so that every query gets the means of the models"
        elif posterior is None:
            told = "every outcome names the same task"
        else:
            told = f"tasks learned: {count}; the embedding tells "
            told += f"{posterior.recognised:.0%} of queries their own"
        return [*notes, f"scorer '{self.name}': {told}"]


def _names(tasks: Sequence[str]) -> list[str]:
    """Return the tasks that are told apart, by name; `""` stands for all other queries."""
    counts = Counter(task for task in tasks if task)
    common = sorted(counts, key=lambda task: (-counts[task], task))[:_MOST]
    rest = [""] if len(tasks) > sum(counts[task] for task in common) else []
    return rest + sorted(common)


def _kinds(tasks: Sequence[str], names: Sequence[str]) -> Ints:
    """Return the place of each query's task among *names*, (n,)."""
    place = {name: row for row, name in enumerate(names)}
    return np.array([place.get(task, 0) for task in tasks], dtype=np.intp)
