"""Chance: anew for each query, or always the same for one conversation or user."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

from llmrouter_core import Query

_WHOLE = float(1 << 53)


class Draws:
    """Numbers from 0 to below 1.

    Args:
        by: `query`, `conversation` or `user`.
        seed: Seed, or None for draws that cannot be repeated.
    """

    def __init__(self, by: str, seed: int | None) -> None:
        self._by = by
        self._salt = f"{seed}\0{by}"
        self._random = Random(seed)  # noqa: S311 - an experiment, not a secret

    def chance(self) -> float:
        """Return a number that depends on nothing."""
        return self._random.random()

    def draw(self, query: Query) -> tuple[float, float]:
        """Return two independent numbers for *query*.

        A conversation gets the same two on every replica and after every restart, so that it
        stays on its arm; over conversations they are uniform.
        """
        unit = None
        if self._by == "user":
            unit = query.user
        elif self._by == "conversation" and query.facts.get("conversation") is not None:
            unit = f"{query.user}\0{query.facts['conversation']}"
        if unit is None:
            return self._random.random(), self._random.random()
        named = f"{self._salt}\0{unit}".encode("utf-8", "surrogatepass")
        found = blake2b(named, digest_size=16).digest()
        one, other = (int.from_bytes(half) >> 11 for half in (found[:8], found[8:]))
        return one / _WHOLE, other / _WHOLE
