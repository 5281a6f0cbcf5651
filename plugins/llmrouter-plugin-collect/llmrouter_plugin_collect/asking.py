"""From one question and one model to one row: ask, score, and say what went wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define
from llmrouter_core import (
    BadRequest,
    BudgetExceeded,
    CallError,
    LLMRouter,
    Model,
    RateLimited,
    Refused,
    Request,
    Step,
    TimedOut,
)
from llmrouter_core.tasks import JudgedTask
from llmrouter_core.types import Message

from llmrouter_plugin_collect.lanes import Lane
from llmrouter_plugin_collect.questions import Question

_ATTEMPTS = 6  # calls that a provider turns away before it counts as a failure
_FIRST_WAIT = 1.0  # seconds after a rate limit that does not say how long; then twice as long
_FILTERED = ("content_filter", "safety", "refusal")


@define(eq=False, kw_only=True)
class Asker:
    """Makes rows.

    Attributes:
        router: Whose models are asked.
        lanes: The lane of each model, by name.
        judge: The model that judges answers, for tasks that want one.
    """

    router: LLMRouter
    lanes: Mapping[str, Lane]
    judge: Model | None = None

    async def row(
        self, question: Question, model: Model, known: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the outcome of *question* at *model*.

        Args:
            question: What is asked.
            model: Who is asked.
            known: The row of an earlier run; an answer in it that nobody scored is scored now.

        Raises:
            BudgetExceeded: An extension of the config allows no more.
            LLMRouterError: The config or a plugin is wrong, so going on makes no sense.
        """
        if known is not None and known.get("unscored"):
            kept = {k: v for k, v in known.items() if k not in ("unscored", "error", "judge_cost")}
            return await self._scored(question, {**kept, "rescored": True})
        try:
            step = await self._ask(model, question.request)
        except BudgetExceeded:
            raise
        except _Failed as failed:
            return {**question.columns, "model": model.name, **_failure(failed)}
        row = {**question.columns, "model": model.name, **_answer(step)}
        return await self._scored(question, row) if row["status"] == "ok" else row

    async def _ask(self, model: Model, request: Request) -> Step:
        """Return the answer; a provider that asks to wait is waited for.

        Raises:
            _Failed: There is none.
        """
        lane = self.lanes[model.name]
        for attempt in range(1, _ATTEMPTS + 1):
            await lane.turn()
            session = self.router.session()
            try:
                return await session.ask(model, request)
            except BudgetExceeded:
                raise
            except CallError as error:
                step = session.steps[-1] if session.steps else None
                wait = error.retry_after
                if wait is None and isinstance(error, RateLimited):
                    wait = _FIRST_WAIT * 2 ** (attempt - 1)
                if wait is not None:
                    lane.hold(wait)
                if wait is None or attempt == _ATTEMPTS or (step is not None and step.text):
                    raise _Failed(error, step) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _scored(self, question: Question, row: dict[str, Any]) -> dict[str, Any]:
        """Return *row*, an answer, with its score; or as an error that a later run mends."""
        spent = 0.0

        async def ask(messages: Sequence[Message]) -> str:
            nonlocal spent
            if self.judge is None:
                raise CallError("no model judges; name one: --judge MODEL")
            try:
                step = await self._ask(self.judge, Request(payload={"messages": list(messages)}))
            except _Failed as failed:
                raise failed.error from None
            spent += step.cost or 0.0
            return step.text

        task, text = question.task, row["text"]
        score: float | None
        try:
            if isinstance(task, JudgedTask):
                score = await task.judge(question.example, text, ask)
                problem = "the judge gave no usable verdict"
            else:
                score = await asyncio.to_thread(task.score, question.example, text)
                problem = f"task '{question.name}' scored it {score!r}, not from 0 to 1"
        except BudgetExceeded:
            raise
        except CallError as error:
            score, problem = None, f"the judge did not answer: {error}"
        except Exception as error:  # noqa: BLE001 - a task may raise anything; the answer is kept
            score, problem = None, f"task '{question.name}' could not score the answer: {error}"
        if spent:
            row["judge_cost"] = spent
        if score is None or not (math.isfinite(score) and 0 <= score <= 1):
            return {**row, "status": "error", "error": _plain(problem), "unscored": True}
        return {**row, "status": "ok", "score": float(score)}


class _Failed(Exception):
    """A call that brought no answer; `error` says why, `step` what it used."""

    def __init__(self, error: CallError, step: Step | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.step = step


def _answer(step: Step) -> dict[str, Any]:
    """Return the columns of a call that was answered, but for the score."""
    status = "ok"
    if step.finish == "length":
        status = "truncated"
    elif step.finish in _FILTERED:
        status = "refused"
    return {"status": status, **_used(step), "finish": step.finish, "text": _plain(step.text)}


def _failure(failed: _Failed) -> dict[str, Any]:
    """Return the columns of a call that failed."""
    status = "error"
    if isinstance(failed.error, TimedOut):
        status = "timeout"
    elif isinstance(failed.error, Refused | BadRequest):
        status = "refused"
    row: dict[str, Any] = {"status": status}
    if failed.step is not None and failed.step.text:
        row |= {**_used(failed.step), "text": _plain(failed.step.text)}
    return row | {"error": _plain(str(failed))}


def _used(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {
        "input_tokens": step.usage.input_tokens,
        "output_tokens": step.usage.output_tokens,
    }
    if step.cost is not None:
        row["cost"] = step.cost
    return row | {"latency": step.seconds}


def _plain(text: str) -> str:
    """Return *text* without NUL, which outcome files take for damage."""
    return text.replace("\0", "�")
