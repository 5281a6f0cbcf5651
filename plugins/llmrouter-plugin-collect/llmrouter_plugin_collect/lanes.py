"""One lane per caller: how many calls at once, how many a minute, and when to hold off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from attrs import define
from llmrouter_core import LLMRouter, Model

_EVERYONE = ""


@define(eq=False, kw_only=True)
class Lane:
    """The way to one caller.

    Attributes:
        name: Name of the `[caller.NAME]`.
        concurrency: Calls under way at a time.
        per_minute: Calls that may start within a minute, evenly spread; None for any number.
    """

    name: str
    concurrency: int = 8
    per_minute: float | None = None
    _next: float = 0.0
    _held: float = 0.0

    async def turn(self) -> None:
        """Return when a call may start."""
        clock = asyncio.get_running_loop().time
        while True:
            while (wait := self._held - clock()) > 0:  # it may be held again meanwhile
                await asyncio.sleep(wait)
            if self.per_minute is None:
                return
            mine = max(clock(), self._next)
            self._next = mine + 60 / self.per_minute
            await asyncio.sleep(max(0.0, mine - clock()))
            if self._held <= clock():  # else everyone takes a new place in the line
                return

    def hold(self, seconds: float) -> None:
        """Let no call start for *seconds*: the provider asked for it."""
        self._held = max(self._held, asyncio.get_running_loop().time() + seconds)

    @property
    def held(self) -> float:
        """Seconds until calls may start again."""
        return max(0.0, self._held - asyncio.get_running_loop().time())


def lanes(
    router: LLMRouter,
    models: Sequence[Model],
    concurrency: Mapping[str, float],
    per_minute: Mapping[str, float],
) -> dict[str, Lane]:
    """Return the lane of each model, by its name; models of one caller share one.

    Args:
        router: Whose callers they are.
        models: Who will be asked.
        concurrency: Calls at a time by caller; `""` is for all others.
        per_minute: Calls a minute by caller; `""` is for all others.
    """
    made: dict[str, Lane] = {}
    found = {}
    for model in models:
        name = caller_of(router, model)
        if name not in made:
            rate = per_minute.get(name, per_minute.get(_EVERYONE))
            most = concurrency.get(name, concurrency.get(_EVERYONE, 8))
            made[name] = Lane(name=name, concurrency=int(most), per_minute=rate)
        found[model.name] = made[name]
    return found


def caller_of(router: LLMRouter, model: Model) -> str:
    """Return the name of the caller that serves *model*: its own, else the first that does."""
    callers = [part for part in router.config.parts if part.kind == "caller"]
    if model.caller is None and len(callers) > 1:
        callers = [part for part in callers if part.plugin.call(model=model) is not None]
    return model.caller or (callers[0].name if callers else "")
