"""The families of tasks that simulated models know, each with its writer and its solver."""

import re
from functools import lru_cache
from random import Random

from attrs import evolve

from llmrouter_plugin_sim.families.arithmetic import ARITHMETIC
from llmrouter_plugin_sim.families.code import CODE
from llmrouter_plugin_sim.families.dates import DATES
from llmrouter_plugin_sim.families.facts import FACTS
from llmrouter_plugin_sim.families.logic import LOGIC
from llmrouter_plugin_sim.families.numerals import NUMERALS
from llmrouter_plugin_sim.families.sequences import SEQUENCES
from llmrouter_plugin_sim.families.sorting import SORTING
from llmrouter_plugin_sim.families.tables import TABLES
from llmrouter_plugin_sim.families.units import UNITS
from llmrouter_plugin_sim.families.words import WORDS
from llmrouter_plugin_sim.problems import LEVELS, Family, Problem

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        ARITHMETIC, UNITS, DATES, WORDS, LOGIC, CODE, TABLES, SEQUENCES, SORTING, NUMERALS, FACTS,
    )
}  # fmt: skip

_LONGEST = 4000
"""Characters of the longest query that is read; generated ones stay far below."""

_QUOTED = re.compile(
    r"\b(?:question|query)\s*:\s*(.+?)(?=\n[ \t]*\n|\n[ \t]*\w+:|\Z)", re.IGNORECASE | re.DOTALL
)


@lru_cache(maxsize=4096)
def read(text: str) -> Problem | None:
    """Return the problem in *text*, or None where no family understands it.

    Where the whole text is none, the part after `Question:` is tried, since prompts quote so.
    """
    if len(text) > _LONGEST:
        return None
    for candidate in (text, *_QUOTED.findall(text)[-1:]):
        # Single spaces keep the patterns linear, however many somebody types.
        lines, flat = candidate.strip(), " ".join(candidate.split())
        for family in FAMILIES.values():
            problem = family.read(lines if family.layout else flat)
            if problem is not None:
                return evolve(problem, family=family.name)
    return None


def write(rng: Random, family: str | None = None) -> str:
    """Return a new query of any level, of *family* or of one drawn from all."""
    chosen = FAMILIES[family or rng.choice(list(FAMILIES))]
    return chosen.write(rng, rng.choice(LEVELS))
