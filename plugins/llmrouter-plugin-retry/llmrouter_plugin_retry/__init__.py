"""Ask a model again when it failed before its first word: few times, spread out, on a budget."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from functools import partial
from itertools import count
from random import Random

from attrs import Factory, define, field, validators
from llmrouter_core import Call, CallError, Chunk, Request, hookimpl

_SPARE = 3.0  # retries that need no calls to earn them
_SHARE = 0.2  # of a retry, earned by each call
_MOST = 10.0  # retries that can be saved up, so that no long calm pays for a storm

_seconds = validators.and_(validators.ge(0.0), validators.lt(float("inf")))


@define(eq=False, kw_only=True)
class RetryExtension:
    """Ask the same model again, where the error says that it may answer a little later.

    Attributes:
        attempts: How often a model is asked at most, the first time included.
        base: Seconds that bound the first wait; the bound doubles with each attempt.
        longest: Seconds that bound any wait.
        patience: Seconds of the longest `Retry-After` that is waited for; a longer one ends
            the attempts at once.
        only_last: Whether a model is asked again only if no other model of the ranking is left.
        seed: Seed of the waits, for reproducible runs.
    """

    attempts: int = field(default=3, validator=validators.ge(1))
    base: float = field(default=0.5, validator=_seconds)
    longest: float = field(default=8.0, validator=_seconds)
    patience: float = field(default=20.0, validator=_seconds)
    only_last: bool = True
    seed: int | None = None
    _random: Random = field(
        init=False,
        repr=False,
        default=Factory(lambda self: Random(self.seed), takes_self=True),  # noqa: S311
    )
    _budget: float = field(init=False, repr=False, default=_SPARE)

    @hookimpl(wrapper=True)
    def call(self) -> Generator[None, Call | None, Call | None]:
        """Wrap whoever serves the model; a model that nobody serves stays unserved."""
        inner = yield
        return inner and partial(self._around, inner)

    async def _around(self, inner: Call, request: Request) -> AsyncGenerator[Chunk, None]:
        import asyncio

        self._budget = min(self._budget + _SHARE, _MOST)
        for attempt in count(1):
            started = False
            try:
                async with aclosing(inner(request)) as chunks:
                    async for chunk in chunks:
                        started = True
                        yield chunk
                return
            except CallError as error:
                if started or not self._may_ask_again(error, request, attempt):
                    raise
                wait = self._wait(error, attempt)
            self._budget -= 1
            await asyncio.sleep(wait)

    def _may_ask_again(self, error: CallError, request: Request, attempt: int) -> bool:
        return (
            error.again
            and attempt < self.attempts
            and not (self.only_last and request.alternatives > 0)
            and (error.retry_after or 0.0) <= self.patience
            and self._budget >= 1
        )

    def _wait(self, error: CallError, attempt: int) -> float:
        """Return the seconds to wait after *attempt*: anywhere up to its bound (full jitter)."""
        bound = min(self.longest, self.base * 2.0 ** min(attempt - 1, 64))
        return max(error.retry_after or 0.0, self._random.uniform(0, bound))
