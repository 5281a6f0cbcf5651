"""A few facts to know by heart: capitals and chemical symbols."""

import re
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_CAPITALS = (
    # easy, middling and hard: everybody, many, few know them
    {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo",
     "Greece": "Athens", "Egypt": "Cairo", "China": "Beijing", "Austria": "Vienna",
     "Ireland": "Dublin", "Portugal": "Lisbon", "Poland": "Warsaw"},
    {"Canada": "Ottawa", "Australia": "Canberra", "Turkey": "Ankara", "Brazil": "Brasilia",
     "Peru": "Lima", "Kenya": "Nairobi", "Norway": "Oslo", "Hungary": "Budapest",
     "Vietnam": "Hanoi", "Morocco": "Rabat", "Chile": "Santiago", "Cuba": "Havana"},
    {"Mongolia": "Ulaanbaatar", "Bhutan": "Thimphu", "Kazakhstan": "Astana", "Zambia": "Lusaka",
     "Paraguay": "Asuncion", "Slovenia": "Ljubljana", "Laos": "Vientiane", "Uganda": "Kampala",
     "Georgia": "Tbilisi", "Senegal": "Dakar", "Malta": "Valletta", "Oman": "Muscat"},
)  # fmt: skip
_SYMBOLS = (
    {"oxygen": "O", "hydrogen": "H", "carbon": "C", "helium": "He", "nitrogen": "N"},
    {"iron": "Fe", "gold": "Au", "silver": "Ag", "sodium": "Na", "copper": "Cu", "zinc": "Zn"},
    {"tungsten": "W", "antimony": "Sb", "mercury": "Hg", "lead": "Pb", "yttrium": "Y",
     "rubidium": "Rb"},
)  # fmt: skip


def _index(levels: tuple[dict[str, str], ...]) -> dict[str, tuple[str, float]]:
    return {
        name.lower(): (value, difficulty)
        for level, difficulty in zip(levels, (0.0, 0.5, 1.0), strict=True)
        for name, value in level.items()
    }


_CAPITAL_OF = _index(_CAPITALS)
_SYMBOL_OF = _index(_SYMBOLS)
_COUNTRY_OF = _index(tuple({city: land for land, city in level.items()} for level in _CAPITALS))


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_QUESTIONS = (
    (
        "capital",
        _CAPITAL_OF,
        (
            _shape(
                r"(?:what|which\s+city)(?:\s+is|'s)\s+the\s+capital(?:\s+city)?\s+of\s+(\w+)\??"
            ),
            _shape(r"name\s+the\s+capital\s+of\s+(\w+)\.?"),
        ),
    ),
    (
        "country",
        _COUNTRY_OF,
        (
            _shape(r"which\s+country\s+has\s+(\w+)\s+as\s+its\s+capital\??"),
            _shape(r"(\w+)\s+is\s+the\s+capital\s+of\s+which\s+country\??"),
        ),
    ),
    (
        "symbol",
        _SYMBOL_OF,
        (
            _shape(r"what\s+is\s+the\s+chemical\s+symbol\s+(?:of|for)\s+(\w+)\??"),
            _shape(r"which\s+chemical\s+symbol\s+does\s+(\w+)\s+have\??"),
        ),
    ),
)


def _read(text: str) -> Problem | None:
    for name, known, shapes in _QUESTIONS:
        found = next((match for shape in shapes if (match := shape.fullmatch(text))), None)
        fact = known.get(found[1].lower()) if found else None
        if found is not None and fact is not None:
            return Problem(
                key=f"{name} {found[1].lower()}",
                truth=fact[0],
                others=tuple(sorted({value for value, _ in known.values()} - {fact[0]})),
                difficulty=fact[1],
                cased=name == "symbol",
            )
    return None


def _write(rng: Random, level: Level) -> str:
    land, city = rng.choice(list(_CAPITALS[level].items()))
    element = rng.choice(list(_SYMBOLS[level]))
    return rng.choice(
        (
            f"What is the capital of {land}?",
            f"Name the capital of {land}.",
            f"Which country has {city} as its capital?",
            f"{city} is the capital of which country?",
            f"What is the chemical symbol of {element}?",
            f"Which chemical symbol does {element} have?",
        )
    )


FACTS = Family(
    name="facts",
    example="What is the capital of France?",
    method=(
        "This is a matter of knowledge and not of working out.",
        "The name is compared with others that sound alike.",
        "The best known city is not always the capital.",
        "Common reference works agree on it.",
    ),
    write=_write,
    read=_read,
)
