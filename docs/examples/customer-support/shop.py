"""The simulated part of the example: customers, and what is right. With real ones it goes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from attrs import frozen
from llmrouter_plugin_sim.checker import score
from llmrouter_plugin_sim.families import FAMILIES, read

KINDS: Mapping[str, Any] = tomllib.loads(
    (Path(__file__).parent / "tickets.toml").read_text(encoding="utf-8")
)
_ITEMS = ("helmet", "bike lock", "city bike", "e-bike", "saddle", "child seat", "pump", "trailer")
_DAYS = ("Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@frozen
class Ticket:
    """One message of a customer.

    Attributes:
        id: Its name.
        kind: What it is about, as in tickets.toml. The router is not told.
        text: The customer's words.
        stand_in: The question that a simulated model is asked in their place.
    """

    id: str
    kind: str
    text: str
    stand_in: str

    def right(self, answer: str) -> float:
        """Return 1 if *answer* is right, else 0."""
        problem = read(self.stand_in)
        return score(answer, problem) if problem is not None else 0.0


def ticket(rng: Random, name: str, kind: str, when: str) -> Ticket:
    """Return a ticket of *kind*, in words of the `past` or of `today`."""
    words = rng.choice(KINDS[kind][when]).format(
        item=rng.choice(_ITEMS), order=rng.randint(10000, 99999), day=rng.choice(_DAYS)
    )
    stand_in = KINDS[kind]["stand_in"]
    question = FAMILIES[stand_in["family"]].write(rng, stand_in["level"])
    return Ticket(name, kind, words, question)


def past(each: int, seed: int) -> Iterator[Ticket]:
    """Yield *each* tickets of every kind that has a past."""
    rng = Random(f"past {seed}")  # noqa: S311 - a simulation, not cryptography
    for kind, table in KINDS.items():
        for number in range(each if table["past"] else 0):
            yield ticket(rng, f"past-{kind}-{number}", kind, "past")


def conversations(count: int, seed: int) -> Iterator[Sequence[Ticket]]:
    """Yield a day's conversations: most have one to four messages, and one never ends."""
    rng = Random(f"day {seed}")  # noqa: S311 - a simulation, not cryptography
    shares = [table["share"] for table in KINDS.values()]
    for number in range(count):
        kinds = rng.choices(list(KINDS), shares, k=rng.choice((1, 1, 2, 2, 3, 4)))
        if number == 0:
            kinds = ["hours", "stock", "payment"] * 20
        yield [
            ticket(rng, f"day{seed}-{number}-{turn}", kind, "today")
            for turn, kind in enumerate(kinds)
        ]
