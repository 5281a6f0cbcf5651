"""Refuse a call that could cost more than is left of a fixed sum."""

import math
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing

from attrs import define, field, validators
from llmrouter_core import BudgetExceeded, Call, Chunk, Model, Request, Usage, hookimpl
from llmrouter_core.types import estimate_tokens

from llmrouter_plugin_budget.ledger import SMALLEST, Ledger

_positive = validators.and_(validators.gt(0.0), validators.lt(math.inf))
_MOST_TOKENS = 10**15  # a payload may state any number, even one that no float can hold


@define(eq=False, kw_only=True)
class BudgetExtension:
    """A hard limit in dollars over every call of a router.

    A call starts only if the most it is expected to cost fits beside what was spent and what
    other calls have reserved; it is booked at its real cost when it ends.

    Attributes:
        dollars: The limit, over the life of this part.
        expected_output: Tokens reserved for the answer of a request that states no limit.
        allow_unpriced: Whether models without a price may be called; only what their provider
            bills is counted then.
    """

    dollars: float = field(validator=_positive)
    expected_output: int = field(default=512, validator=validators.ge(1))
    allow_unpriced: bool = False
    _ledger: Ledger = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._ledger = Ledger(self.dollars)

    @property
    def spent(self) -> float:
        """Dollars that ended calls have cost."""
        return self._ledger.spent

    @property
    def reserved(self) -> float:
        """Dollars set aside for calls that are under way."""
        return self._ledger.reserved

    @property
    def remaining(self) -> float:
        """Dollars that a new call may still reserve."""
        return self._ledger.remaining

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Let calls of *model* pass while their reservation fits."""
        inner = yield
        return inner and self._around(inner, model)

    def _around(self, inner: Call, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            reserved = self._reserve(model, request)
            texts: list[str] = []
            usage: Usage | None = None
            try:
                async with aclosing(inner(request)) as chunks:
                    async for chunk in chunks:
                        texts.append(chunk.text)
                        usage = chunk.usage or usage
                        yield chunk
            finally:
                # Without a single chunk nothing was delivered, so nothing is booked.
                spent = _cost(model, request, texts, usage) if texts else 0.0
                self._ledger.settle(reserved, spent)

        return call

    def _reserve(self, model: Model, request: Request) -> float:
        """Return the dollars that were set aside for *request*.

        Raises:
            BudgetExceeded: They do not fit, or the model has no price.
        """
        needed = self._most(model, request)
        if not self._ledger.reserve(needed):
            raise BudgetExceeded(
                f"model '{model.name}' could cost ${needed:.6g}, but of the ${self.dollars:.6g} "
                f"budget ${self.spent:.6g} is spent and ${self.reserved:.6g} is reserved; "
                "raise 'dollars', lower the request's token limit or add a cheaper model",
                model=model.name,
            )
        return needed

    def _most(self, model: Model, request: Request) -> float:
        """Return the most dollars that *request* is expected to cost."""
        if model.price is None:
            if not self.allow_unpriced:
                raise BudgetExceeded(
                    f"model '{model.name}' has no price, so it cannot be held to a budget; "
                    "add one to its table, or set allow_unpriced = true",
                    model=model.name,
                )
            return SMALLEST  # the cost is unknown, but a used-up budget must still refuse it
        limit, answers = request.limit, request.payload.get("n")
        output = limit if limit is not None and limit > 0 else self.expected_output
        if isinstance(answers, int) and answers > 1:
            output *= answers
        output = min(output, _MOST_TOKENS)
        return model.price.of(Usage(input_tokens=request.input_tokens, output_tokens=output))


def _cost(model: Model, request: Request, texts: Sequence[str], usage: Usage | None) -> float:
    """Return the dollars a call has cost: as billed, else priced; tokens estimated at need."""
    if usage is None:
        text = "".join(texts)
        usage = Usage(
            input_tokens=request.input_tokens, output_tokens=estimate_tokens(text) if text else 0
        )
    if usage.cost is not None and 0 <= usage.cost < math.inf:
        return usage.cost
    return 0.0 if model.price is None else model.price.of(usage)
