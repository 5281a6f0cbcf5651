"""The keeper: who asks, what they may spend, and what came of it.

    holder = await keeper.identify(token)
    lease = await keeper.reserve(holder, dollars, user, models)
    try:
        ...
    finally:
        await keeper.settle(lease, cost)

A request of a holder without limits touches no store but for a look-up every few seconds.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Literal, Self, TypeVar

from attrs import define, field, frozen, validators

from llmrouter_plugin_server.keeping.amounts import shown, units
from llmrouter_plugin_server.keeping.errors import NotAllowed, OverLimit, StoreDown, Unauthorized
from llmrouter_plugin_server.keeping.records import Holder, Record, holder_of
from llmrouter_plugin_server.keeping.store import Hold, Refusal, Store
from llmrouter_plugin_server.keeping.tokens import digest, well_formed
from llmrouter_plugin_server.logs import told

T = TypeVar("T")

_log = logging.getLogger(__name__)
_REMEMBERED = 10_000  # keys, right ones and wrong ones
_AT_ONCE = 24  # questions to the store; a store's patience must not be spent on waiting in line
_NO_KEY = (
    "this server asks for a key; send the header: Authorization: Bearer lr-… "
    "(a key is made with: llmrouter keys add NAME)"
)
_BAD_KEY = "the key is not valid here; it may be mistyped, revoked or of another server"


class _Resting(StoreDown):
    """The store failed a moment ago and was not asked."""


@frozen(kw_only=True)
class Lease:
    """What one call has reserved; nothing where its holder has no limits.

    Attributes:
        id: A random name; empty where nothing is reserved.
        holder: Whose call it is.
        amount: Picodollars.
    """

    id: str
    holder: Holder
    amount: int


@frozen
class _Known:
    """What a look-up found, and until when that is fresh and may be used at all."""

    record: Record | None
    fresh_until: float
    usable_until: float
    holder: Holder | None


@define(eq=False, kw_only=True)
class Keeper:
    """Keys and what they may spend, in a store that may be shared with other processes.

    Attributes:
        store: Where keys and accounts are.
        fresh: Seconds for which a look-up is believed; a revoked key works that much longer.
        grace: Further seconds for which a key *without limits* works while the store is down;
            a key with limits does not, because nobody could hold it to them.
        lease_seconds: After which the call of a process that died is given up. Living processes
            renew their leases three times in it.
        lost: What becomes of such a call: `return` gives its reservation back; `book` takes it as
            spent, because the provider may have billed it.
        rest: Seconds for which a store that failed is not asked again.
        anonymous: Who asks without a key; None refuses them.
        clock: Seconds of a clock that never goes back.
    """

    store: Store
    fresh: float = field(default=5.0, validator=validators.ge(0.0))
    grace: float = field(default=300.0, validator=validators.ge(0.0))
    lease_seconds: float = field(default=60.0, validator=validators.gt(0.0))
    lost: Literal["return", "book"] = field(
        default="return", validator=validators.in_(("return", "book"))
    )
    rest: float = field(default=1.0, validator=validators.ge(0.0))
    anonymous: Holder | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _known: OrderedDict[bytes, _Known] = field(init=False, factory=OrderedDict, repr=False)
    _leases: set[str] = field(init=False, factory=set, repr=False)
    _unsettled: dict[str, tuple[int, int]] = field(init=False, factory=dict, repr=False)
    _tasks: set[asyncio.Task[Any]] = field(init=False, factory=set, repr=False)
    _looking: dict[bytes, asyncio.Task[Record | None]] = field(
        init=False, factory=dict, repr=False
    )
    _gate: asyncio.Semaphore = field(
        init=False, factory=lambda: asyncio.Semaphore(_AT_ONCE), repr=False
    )
    _beat: asyncio.Task[None] | None = field(init=False, default=None, repr=False)
    _down_until: float = field(init=False, default=0.0, repr=False)

    # ------------------------------------------------------------------ opening

    async def open(self) -> None:
        """Open the store, and keep leases alive from here on.

        Raises:
            StoreDown: The store cannot be reached.
        """
        await self.store.open()
        self._beat = asyncio.create_task(self._keep_alive())

    async def aclose(self) -> None:
        """Settle what is left, as far as the store answers, and close it."""
        beat, self._beat = self._beat, None
        if beat is not None:
            beat.cancel()
            await asyncio.wait([beat])
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._settle_rest()
        if self._unsettled:
            _log.error("%d calls could not be booked: the store is down", len(self._unsettled))
        await self.store.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def under_way(self) -> int:
        """Calls of this process that hold a reservation."""
        return len(self._leases)

    @property
    def unsettled(self) -> int:
        """Calls that ended and wait for the store to be booked."""
        return len(self._unsettled)

    # ------------------------------------------------------------------ who asks

    async def identify(self, token: str | None) -> Holder:
        """Return whose key *token* is.

        Raises:
            Unauthorized: There is none, or it is not valid.
            StoreDown: It is not known here, and the store does not answer.
        """
        if not token:
            if self.anonymous is not None:
                return self.anonymous
            raise Unauthorized(_NO_KEY)
        if not well_formed(token):
            raise Unauthorized(_BAD_KEY)
        wanted = digest(token)
        known, now = self._known.get(wanted), self.clock()
        if known is None or now >= known.fresh_until:
            known = await self._look_up(wanted, known)
        record, holder = known.record, known.holder
        # The digest was looked up, which says nothing about a token; it is compared all the same,
        # in constant time, so that no store can answer with another key.
        if record is None or holder is None or not hmac.compare_digest(record.digest, wanted):
            raise Unauthorized(_BAD_KEY)
        return holder

    async def _look_up(self, wanted: bytes, known: _Known | None) -> _Known:
        try:
            record = await self._found(wanted)
        except StoreDown:
            if known is not None and self.clock() < known.usable_until:
                return known
            raise
        now = self.clock()
        holder = None if record is None or record.revoked is not None else holder_of(record)
        fresh = now + self.fresh
        found = _Known(record, fresh, fresh + self.grace, holder)
        self._known[wanted] = found
        self._known.move_to_end(wanted)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _found(self, wanted: bytes) -> Record | None:
        """Return what the store has of a key; many who ask at once are one question."""
        asking = self._looking.get(wanted)
        if asking is None:
            asking = self._start(self._ask(lambda: self.store.find(wanted)))
            self._looking[wanted] = asking
            asking.add_done_callback(partial(self._looked, wanted))
        return await asyncio.shield(asking)

    def _looked(self, wanted: bytes, asking: asyncio.Task[Record | None]) -> None:
        del self._looking[wanted]
        if not asking.cancelled():
            asking.exception()  # it is told to who waits; if nobody does any more, to nobody

    # ------------------------------------------------------------------ what they may spend

    async def reserve(
        self,
        holder: Holder,
        dollars: float,
        user: str | None = None,
        models: Iterable[str] = (),
    ) -> Lease:
        """Reserve what a call may cost at most.

        Args:
            holder: Whose call it is.
            dollars: The most that it may cost.
            user: For whom, where the holder says so; its accounts are within those of the key.
            models: Every model that may be called.

        Raises:
            NotAllowed: The holder may not use one of the models.
            OverLimit: A limit would be passed.
            StoreDown: The holder has limits, and the store does not answer.
        """
        if holder.models is not None:
            for model in models:
                if model not in holder.models:
                    raise NotAllowed(
                        f"key '{holder.name}' may not use the model '{model:.60}'; it may use: "
                        f"{', '.join(holder.models) or 'none'}"
                    )
        if not holder.limited:
            return Lease(id="", holder=holder, amount=0)
        lease = Lease(id=secrets.token_hex(12), holder=holder, amount=units(dollars))
        hold = Hold(
            lease=lease.id,
            amount=lease.amount,
            charges=holder.charges(user),
            seconds=self.lease_seconds,
            lost=self.lost,
        )
        self._leases.add(lease.id)
        task = self._start(self._reserved(hold))
        try:
            refused = await asyncio.shield(task)
        except asyncio.CancelledError:  # the caller left; what was reserved must not stay
            task.add_done_callback(lambda _: self._start(self._settled(lease.id, 0, 0)))
            raise
        except _Resting:
            self._leases.discard(lease.id)
            raise
        except BaseException:
            # Whether it was reserved is not known; if it was, this gives it back.
            self._start(self._settled(lease.id, 0, 0))
            raise
        if refused is not None:
            self._leases.discard(lease.id)
            raise _over(holder, user, lease.amount, refused)
        return lease

    async def settle(self, lease: Lease, dollars: float | None = None) -> None:
        """End the call of *lease* and book what it cost; once, however often it is asked.

        It never raises: where the store is down, the booking waits until it is not.

        Args:
            lease: From `reserve`.
            dollars: What the call cost; None, or no number, books all that was reserved.
        """
        if lease.id in self._leases:
            known = dollars is not None and math.isfinite(dollars)
            amount = units(dollars or 0.0) if known else lease.amount
            await asyncio.shield(self._start(self._settled(lease.id, amount, 1)))

    async def release(self, lease: Lease) -> None:
        """End *lease* as if it had never been: no model was called."""
        if lease.id in self._leases:
            await asyncio.shield(self._start(self._settled(lease.id, 0, 0)))

    async def _reserved(self, hold: Hold) -> Refusal | None:
        return await self._ask(lambda: self.store.reserve(hold))

    async def _settled(self, lease: str, amount: int, calls: int) -> None:
        if lease not in self._leases:
            return
        self._leases.discard(lease)
        try:
            await self._ask(lambda: self.store.settle(lease, amount, calls))
        except StoreDown:
            if not self._unsettled:
                _log.warning("the store of keys is down; calls are booked when it is back")
            self._unsettled[lease] = (amount, calls)

    # ------------------------------------------------------------------ in the background

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* whatever happens to who asked for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the store, unless it failed a moment ago.

        Raises:
            StoreDown: It does not answer.
        """
        async with self._gate:
            now = self.clock()
            if now < self._down_until:
                raise _Resting(
                    "the store of keys does not answer; try again in a moment",
                    retry_after=self._down_until - now,
                )
            if self._down_until:  # one asks whether it is back; the others do not wait for that
                self._down_until = now + self.rest
            try:
                answer = await question()
            except StoreDown:
                self._down_until = self.clock() + self.rest
                raise
            self._down_until = 0.0
            return answer

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / 3)
            try:
                await self._pulse()
            except Exception as error:  # noqa: BLE001 - or no lease would ever be renewed again
                _log.error("leases could not be renewed: %s", told(error), extra={"error": error})

    async def _pulse(self) -> None:
        """Book what could not be booked, and renew leases."""
        await self._settle_rest()
        leases = (*self._leases, *self._unsettled)
        try:
            await self._ask(lambda: self.store.renew(leases, self.lease_seconds))
        except StoreDown:
            _log.warning("leases could not be renewed: the store of keys is down")

    async def _settle_rest(self) -> None:
        for lease, (amount, calls) in list(self._unsettled.items()):
            settle = partial(self.store.settle, lease, amount, calls)
            try:
                await self._ask(settle)
            except StoreDown:
                return
            self._unsettled.pop(lease, None)


def _over(holder: Holder, user: str | None, amount: int, refused: Refusal) -> OverLimit:
    """Return the error that tells *holder* why."""
    charge = refused.charge
    who = f"key '{holder.name}'"
    if charge.account.startswith("user:"):
        who = f"a user of {who}"
    a_day = " a day" if charge.daily else ""
    if refused.reason == "dollars":
        text = (
            f"{who} may spend {shown(charge.dollars or 0)}{a_day}: {shown(refused.spent)} is "
            f"spent, {shown(refused.reserved)} is reserved, and this call could cost "
            f"{shown(amount)}"
        )
    elif refused.reason == "calls":
        text = f"{who} may make {charge.calls:,} calls{a_day}, and they are used up"
    elif refused.reason == "calls_at_once":
        text = f"{who} may make {charge.calls_at_once:,} calls at the same time"
    else:
        text = f"{who} may make {charge.calls_per_minute:,} calls a minute"
    if refused.retry_after is None:
        step = "ask for less, or have the limit raised"
    else:
        step = f"try again in {max(refused.retry_after, 0.001):.3g} s"
    return OverLimit(f"{text}; {step}", reason=refused.reason, retry_after=refused.retry_after)
