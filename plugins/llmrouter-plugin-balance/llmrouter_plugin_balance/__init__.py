"""Spread the calls of a model over its deployments and keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TypeGuard

from attrs import define, evolve, field, validators
from llmrouter_core import (
    Call,
    Caller,
    CallError,
    Chunk,
    ConfigError,
    IncompleteStream,
    Model,
    Refused,
    Request,
    hookimpl,
)
from llmrouter_plugin_breaker import Circuit, Limits, conclude, refusal

from llmrouter_plugin_balance.turns import Member, Seat, Turns

_OF_THE_REQUEST = (400, 413, 422)  # a prompt too long for the model is too long everywhere


@define(eq=False, kw_only=True)
class BalanceCaller(Limits):
    """Several callers that serve the same models, such as deployments, regions or accounts.

    A call goes to the member with the fewest calls under way; before a word is out, a fault
    sends it on to the next. A member that keeps failing rests, separately for each model.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        members: The callers, by name.
        ids: For a member, by what ids it knows the models, where they differ from the model's.
        weights: How much of the load a member takes; 1 where none is given.
        failures: See `Limits`.
        share: See `Limits`.
        calls: See `Limits`.
        window: See `Limits`.
        pause: See `Limits`.
        longest: See `Limits`.
    """

    name: str = "balance"
    members: Mapping[str, Caller] = field(validator=validators.min_len(1))
    ids: Mapping[str, Mapping[str, str]] = field(factory=dict)
    weights: Mapping[str, float] = field(
        factory=dict,
        validator=validators.deep_mapping(
            key_validator=validators.instance_of(str),
            value_validator=validators.and_(validators.gt(0.0), validators.lt(float("inf"))),
        ),
    )
    _known: dict[str, Member] = field(init=False, repr=False, factory=dict)
    _circuits: dict[tuple[str, str], Circuit] = field(init=False, repr=False, factory=dict)
    _turns: Turns = field(init=False, repr=False, factory=Turns)

    def __attrs_post_init__(self) -> None:
        for option, table in (("ids", self.ids), ("weights", self.weights)):
            for name in table:
                if name not in self.members:
                    problem = f"there is no member '{name}'; there are: {', '.join(self.members)}"
                    raise ConfigError(f"caller.{self.name}", [f"{problem} @ {option}"])
        self._known |= {n: Member(n, self.weights.get(n, 1.0)) for n in self.members}

    @property
    def busy(self) -> Mapping[str, int]:
        """How many calls each member has under way."""
        return {name: member.busy for name, member in self._known.items()}

    @property
    def states(self) -> Mapping[str, str]:
        """Whether a member is `closed`, `open` or `half-open` for a model, as `MEMBER/MODEL`."""
        return {"/".join(key): circuit.state for key, circuit in self._circuits.items()}

    def pool(self) -> tuple[Model, ...]:
        """Return the pool of the first member that offers one."""
        offers = (getattr(member, "pool", None) for member in self.members.values())
        pools = (tuple(offer()) for offer in offers if callable(offer))
        return tuple(evolve(model, caller=self.name) for model in next(filter(None, pools), ()))

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the function that asks a member for *model*; None where no member serves it."""
        if model.caller not in (None, self.name):
            return None
        seats = []
        for name, member in self.members.items():
            known = self.ids.get(name, {}).get(model.name, model.id)
            call = member.call(evolve(model, caller=None, id=known))
            if call is not None:
                circuit = self._circuits.setdefault(
                    (name, model.name), Circuit(self, f"caller.{self.name}.members.{name}")
                )
                seats.append(Seat(self._known[name], call, circuit))
        return partial(self._ask, model.name, seats) if seats else None

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which the members are open."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for member in self.members.values():
                context = member.lifespan() if hasattr(member, "lifespan") else None
                if context is not None:
                    await stack.enter_async_context(context)
            yield

    # ------------------------------------------------------------------ asking

    async def _ask(
        self, model: str, seats: Sequence[Seat], request: Request
    ) -> AsyncGenerator[Chunk, None]:
        failures: dict[str, CallError] = {}
        while seat := self._turns.next([s for s in seats if s.member.name not in failures]):
            member, circuit = seat.member, seat.circuit
            ticket = circuit.enter()
            started = finished = False
            error: BaseException | None = None
            member.busy += 1
            try:
                async with aclosing(seat.call(request)) as chunks:
                    async for chunk in chunks:
                        if not started:
                            started = True
                            circuit.spoke(ticket)
                        finished = finished or chunk.finish is not None
                        yield chunk
                if not finished:
                    reason = f"member '{member.name}' ended its answer without a finish reason"
                    raise IncompleteStream(f"model '{model}': {reason}", model=model)
                return
            except BaseException as failure:
                # What breaks after a finish reason, or leaves then, shows a member that works.
                error = None if finished else failure
                if started or not _may_answer_elsewhere(failure):
                    raise
                failures[member.name] = failure
            finally:
                member.busy -= 1
                conclude(circuit, ticket, error)
        for seat in seats:
            if seat.member.name not in failures:
                left = seat.circuit.remaining()
                failures[seat.member.name] = refusal(model, seat.circuit, left)
        raise _together(model, failures)


def _may_answer_elsewhere(error: BaseException) -> TypeGuard[CallError]:
    """Return whether another deployment of the same model may answer what one did not."""
    of_the_request = isinstance(error, Refused) and error.status in _OF_THE_REQUEST
    return isinstance(error, CallError) and error.elsewhere and not of_the_request


def _together(model: str, failures: Mapping[str, CallError]) -> CallError:
    """Return one error of all that failed: of the kind that passes first, with each reason."""
    first = min(failures.values(), key=lambda one: (not one.again, one.retry_after or 0.0))
    if len(failures) == 1:
        return first
    reasons = "; ".join(f"{name}: {error}" for name, error in failures.items())
    error = type(first)(
        f"no member answered for model '{model}': {reasons}",
        model=model,
        status=first.status,
        retry_after=first.retry_after,
    )
    error.again = first.again
    return error
