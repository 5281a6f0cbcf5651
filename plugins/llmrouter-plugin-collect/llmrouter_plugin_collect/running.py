"""The run: workers take cells in order, and every row is on the disk before the next is asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping

from attrs import define, field
from llmrouter_core import BudgetExceeded, LLMRouter, Model
from llmrouter_core.outcomes import FAILED, STATUSES
from llmrouter_plugin_budget.ledger import Ledger

from llmrouter_plugin_collect.asking import Asker
from llmrouter_plugin_collect.journal import Journal
from llmrouter_plugin_collect.lanes import Lane

GIVE_UP = 25
"""Failures in a row after which a model is left for the next run."""

_FAILED = frozenset(STATUSES.index(status) for status in FAILED)
_OPEN = _FAILED | {0}


@define(eq=False, kw_only=True)
class Run:
    """One run over a journal.

    Attributes:
        router: Whose models are asked.
        journal: Where rows go; it is open.
        lanes: The lane of each model, by name.
        judge: The model that judges, for tasks that want one.
        budget: Dollars that all runs of the folder together may cost; None for any sum.
        expected_output: Tokens of an answer before anything is known of its model.
        passes: How often failed calls are asked again before the run ends.
        tell: Called after every row.
        asked: Rows written so far.
        stopped: Why the run ended early; "" if it did not.
        given_up: The last error of each model that failed too often in a row, by name.
    """

    router: LLMRouter
    journal: Journal
    lanes: Mapping[str, Lane]
    judge: Model | None = None
    budget: float | None = None
    expected_output: int = 512
    passes: int = 0
    tell: Callable[[], None] = lambda: None
    asked: int = field(init=False, default=0)
    stopped: str = field(init=False, default="")
    given_up: dict[str, str] = field(init=False, factory=dict)
    _streaks: dict[str, int] = field(init=False, factory=dict)
    _under_way: int = field(init=False, default=0)

    async def run(self) -> None:
        """Ask everything that is open, then again what failed.

        Raises:
            LLMRouterError: The config or a plugin is wrong, or the disk is full.
        """
        limit = math.inf if self.budget is None else self.budget
        ledger = Ledger(limit)
        ledger.settle(0.0, self.journal.tally.spent)
        settled = asyncio.Condition()
        asker = Asker(router=self.router, lanes=self.lanes, judge=self.judge)

        async def work(cells: Iterator[int]) -> None:
            for cell in cells:
                question, model = self.journal.plan.at(cell)
                if model.name in self.given_up:
                    continue
                needed = self._most(cell)
                if not await self._reserve(ledger, settled, needed):
                    return
                spent = 0.0
                try:
                    row = await asker.row(question, model, self.journal.row(cell))
                    self.journal.append(cell, row)
                    paid = 0.0 if row.get("rescored") else row.get("cost") or 0.0
                    spent = paid + (row.get("judge_cost") or 0.0)
                    self.asked += 1
                    self._watch(model.name, row.get("error"), row["status"])
                except BudgetExceeded as error:
                    self.stopped = str(error)
                    return
                finally:
                    async with settled:
                        self._under_way -= 1
                        ledger.settle(needed, spent)
                        settled.notify_all()
                await self.journal.sync()
                self.tell()

        async with self.router:
            for number in range(self.passes + 1):
                try:
                    async with asyncio.TaskGroup() as group:
                        for lane in set(self.lanes.values()):
                            cells = self._cells(lane, _FAILED if number else _OPEN)
                            for _ in range(lane.concurrency):
                                group.create_task(work(cells))
                except ExceptionGroup as failures:
                    raise failures.exceptions[0] from None
                if self.stopped or not any(map(_FAILED.__contains__, self.journal.status)):
                    break

    def _cells(self, lane: Lane, wanted: frozenset[int]) -> Iterator[int]:
        """Yield the cells of the models of *lane*, query by query, so that all models keep up."""
        models = self.journal.plan.models
        mine = [j for j, model in enumerate(models) if self.lanes[model.name] is lane]
        for start in range(0, len(self.journal.plan), len(models)):
            for j in mine:
                if self.stopped:
                    return
                if self.journal.status[start + j] in wanted:
                    yield start + j

    def _most(self, cell: int) -> float:
        """Return the dollars to set aside before *cell* is asked."""
        if self.budget is None:
            return 0.0
        question, model = self.journal.plan.at(cell)
        tally, request = self.journal.tally, question.request
        needed = tally.most(model, request, self.expected_output)
        if self.judge is not None:  # it reads the question and the answer
            needed += 2 * tally.most(self.judge, request, self.expected_output)
        return needed

    async def _reserve(self, ledger: Ledger, settled: asyncio.Condition, needed: float) -> bool:
        """Set *needed* dollars aside; return False, and stop the run, if they will never fit."""
        async with settled:
            while not ledger.reserve(needed):
                if not self._under_way and not self.stopped:
                    self.stopped = (
                        f"the next call could cost ${needed:.4g}, and of the ${self.budget:.6g} "
                        f"of --budget ${ledger.spent:.6g} is spent; raise it to go on"
                    )
                if self.stopped:
                    return False
                await settled.wait()  # a call under way may cost less than was set aside for it
            self._under_way += 1
        return True

    def _watch(self, model: str, error: str | None, status: str) -> None:
        """Count failures in a row; whoever fails all the time is not asked any more."""
        self._streaks[model] = self._streaks.get(model, 0) + 1 if status in FAILED else 0
        if self._streaks[model] >= GIVE_UP:
            self.given_up[model] = error or status
