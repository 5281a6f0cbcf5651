"""Call simulated models: no key, no network, no cost, and honest about it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from itertools import count
from random import Random
from typing import Any

from attrs import Attribute, define, field
from llmrouter_core import BadRequest, Call, Chunk, Model, Request, Usage, hookimpl

from llmrouter_plugin_sim.answers import Reply, pieces, reply
from llmrouter_plugin_sim.faults import FAULTS, raise_fault
from llmrouter_plugin_sim.pool import Card, cards, models

_SLOWDOWN = 10


def _known(_: Any, attribute: Attribute[Any], value: Mapping[str, float]) -> None:
    """Check that every fault exists and that together they happen at most always."""
    unknown = sorted(set(value) - set(FAULTS))
    if unknown:
        raise ValueError(f"there is no fault '{unknown[0]}'; there are: {', '.join(FAULTS)}")
    if any(not share >= 0 for share in value.values()) or sum(value.values()) > 1 + 1e-9:
        raise ValueError(f"'{attribute.name}' are probabilities: each from 0, together up to 1")


@define(eq=False, kw_only=True)
class SimCaller:
    """Answer for the simulated models, each as skilled, dear and fast as its card says.

    Attributes:
        name: Name of the `[caller.NAME]` table.
        seed: Seed of the outcomes and of the faults.
        realtime: Sleep as long as a real model would; otherwise the seconds are only reported.
        faults: Probability per call of each fault, such as `{"rate_limit": 0.1}`.
    """

    name: str = "sim"
    seed: int = 0
    realtime: bool = False
    faults: Mapping[str, float] = field(factory=dict, validator=_known)
    _draw: Random = field(init=False, repr=False)
    _calls: count[int] = field(init=False, repr=False, factory=count)

    @_draw.default
    def _seeded(self) -> Random:
        return Random(f"faults {self.seed}")  # noqa: S311 - a simulation, not cryptography

    def pool(self) -> tuple[Model, ...]:
        """Return the simulated models; core uses them when a config lists none."""
        return models()

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the function that simulates *model*, or None where there is no such card."""
        card = cards().get(model.id)
        if card is None or model.caller not in (None, self.name):
            return None

        def answer(request: Request) -> AsyncGenerator[Chunk, None]:
            return self._stream(model, card, request)

        return answer

    async def _stream(
        self, model: Model, card: Card, request: Request
    ) -> AsyncGenerator[Chunk, None]:
        limit = request.limit
        if limit is not None and limit < 1:
            raise BadRequest(
                f"model '{model.name}' must be allowed at least one token, not {limit}; "
                "raise max_tokens",
                model=model.name, status=400,
            )  # fmt: skip
        fault = self._fault()
        said = reply(self.seed, model.id, request.text.strip())
        parts, tokens, finish = _cut(said, limit)
        pace = said.pace * (_SLOWDOWN if fault == "slow" else 1)
        first, each = card.first_token * pace, tokens * pace / card.speed / len(parts)
        if self.realtime:
            await _sleep(first)
        if fault not in (None, "slow", "cut"):
            raise_fault(fault, model.name)
        head = {
            "id": f"chatcmpl-sim-{next(self._calls)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model.id,
            "simulated": True,
        }
        for place, text in enumerate(parts):
            if fault == "cut" and place >= len(parts) // 2:
                raise_fault(fault, model.name)
            if self.realtime:
                await _sleep(each)
            delta = {"content": text} if place else {"role": "assistant", "content": text}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield Chunk(text=text, event={**head, "choices": [choice]})
        usage = Usage(
            input_tokens=request.input_tokens,
            output_tokens=tokens,
            seconds=None if self.realtime else first + each * len(parts),
        )
        yield Chunk(finish=finish, usage=usage, event=_last(head, finish, usage))

    def _fault(self) -> str | None:
        """Return the fault of this call, drawn anew each time so that a retry can succeed."""
        if not self.faults:
            return None
        drawn = self._draw.random()
        for fault, share in self.faults.items():
            drawn -= share
            if drawn < 0:
                return fault
        return None


def _cut(said: Reply, limit: int | None) -> tuple[tuple[str, ...], int, str]:
    """Return the pieces that *limit* tokens allow, how many tokens they are, and the finish."""
    if limit is None or said.tokens <= limit:
        return said.pieces, said.tokens, "stop"
    return pieces(said.text[: 4 * limit]), limit, "length"


def _last(head: Mapping[str, Any], finish: str, usage: Usage) -> dict[str, Any]:
    return {
        **head,
        "choices": [{"index": 0, "delta": {}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


async def _sleep(seconds: float) -> None:
    import asyncio  # costs 40 ms, and only real time needs it

    await asyncio.sleep(seconds)
