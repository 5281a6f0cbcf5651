"""The simulated models: what core knows of them, and the card that says how they behave."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from attrs import field, frozen, validators
from llmrouter_core import Model, Price

from llmrouter_plugin_sim.problems import Problem

_share = validators.and_(validators.ge(0), validators.le(1))


@frozen(kw_only=True)
class Card:
    """How one simulated model behaves.

    Attributes:
        speed: Tokens written per second.
        first_token: Seconds before the first token.
        verbosity: Sentences of working before the answer, on average; 0 states it alone.
        skill: Chance from 0 to 1 of a right answer to an easy query, by family.
    """

    speed: float = field(validator=validators.gt(0))
    first_token: float = field(validator=validators.ge(0))
    verbosity: float = field(validator=validators.ge(0))
    skill: Mapping[str, float] = field(
        validator=validators.deep_mapping(validators.instance_of(str), _share)
    )

    def chance(self, problem: Problem) -> float:
        """Return the chance of a right answer: skill ** (1 + 2 * difficulty)."""
        return float(self.skill[problem.family] ** (1 + 2 * problem.difficulty))


@cache
def _tables() -> Mapping[str, Any]:
    import tomllib

    content = files(__package__).joinpath("pool.toml").read_text(encoding="utf-8")
    return tomllib.loads(content)


@cache
def cards() -> Mapping[str, Card]:
    """Return every card, by the id of its model."""
    return {name: Card(**table) for name, table in _tables()["card"].items()}


@cache
def models() -> tuple[Model, ...]:
    """Return the simulated pool, smallest model first."""
    return tuple(
        Model(
            name=name,
            **{**table, "price": Price(**table["price"]), "tags": tuple(table["tags"])},
        )
        for name, table in _tables()["model"].items()
    )
