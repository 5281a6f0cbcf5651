"""Shadow calls: another model is asked what was answered already, and nobody waits for it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from llmrouter_core import Call, ConfigError, Model, Query, Refused, Request, Step, TimedOut, Usage
from llmrouter_core.errors import RateLimited
from llmrouter_core.types import estimate_tokens

if TYPE_CHECKING:
    from asyncio import Task

_log = logging.getLogger("llmrouter.experiment")


class Shadows:
    """The calls of one shadow model.

    Args:
        name: Name of the model.
        path: File to append to; None writes to the logger.
        texts: Whether questions and answers are written down.
        limit: Calls at a time.
    """

    def __init__(self, name: str, path: Path | None, *, texts: bool, limit: int) -> None:
        self._name = name
        self._path = path
        self._texts = texts
        self._limit = limit
        self._tasks: set[Task[None]] = set()
        self._called: dict[str, tuple[Model, Call]] = {}
        self.dropped = 0

    def learn(self, model: Model, call: Call) -> None:
        """Remember how *model* is called."""
        self._called[model.name] = (model, call)

    def start(self, query: Query, steps: Sequence[Step]) -> None:
        """Ask the shadow what *query* asked, beside this; *steps* were made for the answer."""
        answered = next((step for step in reversed(steps) if step.finish), None)
        if self._name not in self._called or answered is None or answered.model == self._name:
            return  # its own answer is no news
        region = query.facts.get("region")
        if region is not None and region not in self._called[self._name][0].regions:
            return  # whoever wants its question processed there means this call as well
        if len(self._tasks) >= self._limit:
            self.dropped += 1
            return
        import asyncio

        task = asyncio.get_running_loop().create_task(self._ask(query, answered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """End what is under way when the block ends.

        Raises:
            ConfigError: The pool has no such model.
        """
        import asyncio

        if self._called and self._name not in self._called:
            known = ", ".join(self._called)
            problem = f"no model '{self._name}' can be called; there are: {known} @ shadow"
            raise ConfigError("extension.experiment", [problem])
        try:
            yield
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, query: Query, answered: Step) -> None:
        import asyncio

        model, call = self._called[self._name]
        # An alternative is claimed so that nobody asks again: a shadow must not add to a storm.
        request = Request(payload=query.payload, alternatives=1)
        texts: list[str] = []
        row: dict[str, Any] = {
            "what": "shadow",
            "id": query.facts.get("id"),
            "when": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "conversation": query.facts.get("conversation"),
            "user": query.user,
            "model": model.name,
            "status": "ok",
            "first": None,
            "finish": None,
        }
        usage: Usage | None = None
        started = perf_counter()
        try:
            async with aclosing(call(request)) as chunks:
                async for chunk in chunks:
                    if row["first"] is None:
                        row["first"] = perf_counter() - started
                    row["finish"] = chunk.finish or row["finish"]
                    usage = chunk.usage or usage
                    if chunk.kind == "text":
                        texts.append(chunk.text)
            if row["finish"] == "length":
                row["status"] = "truncated"
        except Exception as error:  # noqa: BLE001 - whatever a shadow does harms nobody
            said = str(error) if self._texts else ""  # it may quote the question
            row |= {"status": _status(error), "error": said or type(error).__name__}
        text = "".join(texts)
        row |= {"seconds": perf_counter() - started, **_used(model, request, text, usage)}
        row["beside"] = {
            "model": answered.model,
            "cost": answered.cost,
            "seconds": answered.seconds,
            "output_tokens": answered.usage.output_tokens,
        }
        if self._texts:
            row |= {"query": query.text, "text": text}
            row["beside"]["text"] = answered.text
        await asyncio.to_thread(self._write, row)

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            line = json.dumps(row, default=str)
            if self._path is None:
                _log.info("%s", line)
            else:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
        except (OSError, ValueError) as error:
            self.dropped += 1
            _log.warning("a shadow call could not be written down: %s", error)


def _status(error: Exception) -> str:
    if isinstance(error, TimedOut):
        return "timeout"
    return "refused" if isinstance(error, Refused | RateLimited) else "error"


def _used(model: Model, request: Request, text: str, usage: Usage | None) -> dict[str, Any]:
    """Return the tokens and dollars of a call; without a report, tokens are estimated."""
    if usage is None:
        usage = Usage(
            input_tokens=request.input_tokens if text else 0,
            output_tokens=estimate_tokens(text) if text else 0,
        )
    cost = usage.cost
    if cost is None and model.price is not None:
        cost = model.price.of(usage)
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": cost,
    }
