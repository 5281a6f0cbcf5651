"""Whose turn it is: the member with the least to do, then the one that is furthest behind."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define
from llmrouter_core import Call
from llmrouter_plugin_breaker import Circuit


@define(eq=False)
class Member:
    """How much one member has to do, over all models it serves.

    Attributes:
        name: Its name in the table.
        weight: How much of the load it takes beside the others.
        busy: Calls that are under way.
        turn: When it is due, in turns of a member of weight 1.
    """

    name: str
    weight: float = 1.0
    busy: int = 0
    turn: float = 0.0


@define(eq=False)
class Seat:
    """A member that serves one model."""

    member: Member
    call: Call
    circuit: Circuit


@define(eq=False)
class Turns:
    """Stride scheduling (Waldspurger & Weihl 1995) among those that are equally busy.

    Attributes:
        now: When whoever was chosen last was due. A member that comes back from a rest starts
            here, so that it does not get everything until it has caught up.
    """

    now: float = 0.0

    def next(self, seats: Sequence[Seat]) -> Seat | None:
        """Return the seat whose turn it is among those that do not rest, and note its turn."""
        ready = [seat for seat in seats if not seat.circuit.remaining()]
        if not ready:
            return None
        chosen = min(ready, key=_place)
        member = chosen.member
        self.now = max(self.now, member.turn)
        member.turn = self.now + 1 / member.weight
        return chosen


def _place(seat: Seat) -> tuple[float, float]:
    member = seat.member
    return member.busy / member.weight, member.turn
