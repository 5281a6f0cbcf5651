"""One circuit: closed while its target answers, open while it rests, then one call at a time.

A call enters, and settles with what it showed. Timing is by a clock that never runs backwards.
"""

from __future__ import annotations

import logging
from collections import deque
from time import monotonic

from attrs import define, field, validators

LOG = logging.getLogger("llmrouter.breaker")

_SLICES = 10  # of the window; what is older than one leaves at once
_EARLY = 0.01  # seconds by which a timer that waited for the end of a rest may be early
_SOON = 1.0  # seconds to wait where another call is finding out

_positive = validators.and_(validators.gt(0.0), validators.lt(float("inf")))


@define(eq=False, kw_only=True)
class Limits:
    """When a circuit opens, and for how long.

    Attributes:
        failures: Failures in a row that open it.
        share: Share of failures above which it opens.
        calls: Calls within the window below which no share counts.
        window: Seconds in which calls are counted.
        pause: Seconds of the first rest; each further one without an answer lasts twice as long.
        longest: Seconds of the longest rest, whatever the provider asks for.
    """

    failures: int = field(default=5, validator=validators.ge(1))
    share: float = field(default=0.5, validator=[validators.gt(0.0), validators.lt(1.0)])
    calls: int = field(default=20, validator=validators.ge(1))
    window: float = field(default=10.0, validator=_positive)
    pause: float = field(default=1.0, validator=_positive)
    longest: float = field(default=60.0, validator=_positive)


class Ticket:
    """One call's place in a circuit, valid until that opens or closes."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Circuit:
    """What is known of one target.

    Args:
        limits: When it opens.
        name: What messages call the target.

    Attributes:
        name: What messages call the target.
        reason: Why it opened last.
        limited: Whether it rests because of a rate limit.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits = limits
        self.name = name
        self.reason = ""
        self.limited = False
        self._epoch = 0
        self._until: float | None = None
        self._probe: Ticket | None = None
        self._probed = 0.0
        self._row = 0
        self._openings = 0
        self._slices: deque[list[int]] = deque()  # [number of the slice, good calls, bad calls]

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._until is None:
            return "closed"
        return "open" if self._until - monotonic() > _EARLY else "half-open"

    @property
    def closed(self) -> bool:
        """Whether any call may go."""
        return self._until is None

    def remaining(self) -> float:
        """Return the seconds until a call may go: 0 if it may now."""
        if self._until is None:
            return 0.0
        now = monotonic()
        if self._until - now > _EARLY:
            return self._until - now
        lost = now - self._probed > self._limits.longest  # nobody knows what became of it
        return 0.0 if self._probe is None or lost else _SOON

    def enter(self) -> Ticket:
        """Return the place of a call that goes now."""
        ticket = Ticket(self._epoch)
        if self._until is not None:
            self._probe, self._probed = ticket, monotonic()
        return ticket

    def spoke(self, ticket: Ticket) -> None:
        """Let the next call find out too: this one has an answer, and may take its time."""
        if self._probe is ticket:
            self._probe = None

    def settle(
        self, ticket: Ticket, good: bool | None, why: str = "", wait: float | None = None
    ) -> None:
        """Take note of how a call ended.

        Args:
            ticket: Its place.
            good: Whether the target answered; None where the call does not show it.
            why: What happened instead.
            wait: Seconds the target asked to be left alone.
        """
        self.spoke(ticket)
        if good is None or ticket.epoch != self._epoch:  # it began before what is known now
            return
        if good and self._until is not None:
            self._close()
            return
        self._row = 0 if good else self._row + 1
        self._count(good)
        if not good and (self._until is not None or self._too_many()):
            self._openings += 1
            pause = self._limits.pause * 2.0 ** min(self._openings - 1, 32)
            kind = f"{self._row} failures in a row" if self._row > 1 else "a failure"
            self._open(max(pause, wait or 0.0), f"{kind}, the last: {why}", limited=False)

    def rest(self, ticket: Ticket, seconds: float, why: str) -> None:
        """Open for *seconds*, because the target told the call of *ticket* to wait."""
        self.spoke(ticket)
        if self._until is None or self.limited or ticket.epoch == self._epoch:
            self._open(seconds, why, limited=True)

    def _open(self, seconds: float, why: str, *, limited: bool) -> None:
        seconds = min(seconds, self._limits.longest)
        until = monotonic() + seconds
        if self._until is None:
            LOG.warning("%s rests for %.1f s after %s", self.name, seconds, why)
        self._until = until if self._until is None else max(self._until, until)
        self.reason, self.limited = why, limited
        self._turn()

    def _close(self) -> None:
        LOG.info("%s answers again", self.name)
        self._until = None
        self._row = self._openings = 0
        self._slices.clear()
        self._turn()

    def _turn(self) -> None:
        self._epoch += 1
        self._probe = None

    # ------------------------------------------------------------------ counting

    def _count(self, good: bool) -> None:
        number = int(monotonic() * _SLICES / self._limits.window)
        while self._slices and self._slices[0][0] <= number - _SLICES:
            self._slices.popleft()
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0])
        self._slices[-1][1 if good else 2] += 1

    def _too_many(self) -> bool:
        good, bad = (sum(one[kind] for one in self._slices) for kind in (1, 2))
        many = good + bad >= self._limits.calls and bad > self._limits.share * (good + bad)
        return many or self._row >= self._limits.failures
