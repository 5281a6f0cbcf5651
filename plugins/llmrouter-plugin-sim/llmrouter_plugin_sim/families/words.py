"""Work on the letters of a word: `How many times does 'r' occur in 'strawberry'?`."""

import re
from random import Random

from llmrouter_plugin_sim.problems import Family, Level, Problem

_WORD = r"['\"“‘]?(?P<word>[A-Za-z]{1,40})['\"”’]?"
_LETTER = r"(?:the\s+letter\s+)?['\"“‘]?(?P<letter>[A-Za-z])['\"”’]?"
_SAY = r"(?:the\s+word\s+)?"


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + r"\s*[.?!]?", re.IGNORECASE)


_REVERSE = (
    _shape(rf"(?:reverse|spell\s+backwards?)\s+{_SAY}{_WORD}"),
    _shape(rf"(?:spell|write)\s+{_SAY}{_WORD}\s+backwards?"),
    _shape(rf"what\s+is\s+{_SAY}{_WORD}\s+(?:spelled\s+backwards?|reversed)"),
)
_COUNT = (
    _shape(rf"how\s+many\s+times\s+does\s+{_LETTER}\s+(?:occur|appear)\s+in\s+{_SAY}{_WORD}"),
    _shape(
        r"how\s+many\s+(?:letters?\s+)?['\"“‘]?(?P<letter>[A-Za-z])['\"”’]?(?:'?s)?\s+"
        rf"are\s+(?:there\s+)?in\s+{_SAY}{_WORD}"
    ),
)
_VOWELS = (
    _shape(rf"how\s+many\s+vowels\s+(?:are\s+(?:there\s+)?in|does)\s+{_SAY}{_WORD}(?:\s+have)?"),
)
_LENGTH = (
    _shape(rf"how\s+many\s+letters\s+(?:are\s+(?:there\s+)?in|does)\s+{_SAY}{_WORD}(?:\s+have)?"),
)
_UPPER = (_shape(rf"write\s+{_SAY}{_WORD}\s+in\s+(?:upper\s*case|capital\s+letters|capitals)"),)
_NTH = (
    _shape(
        r"what\s+is\s+the\s+(?P<place>\d{1,2})(?:st|nd|rd|th)\s+letter\s+(?:of|in)\s+"
        rf"{_SAY}{_WORD}"
    ),
)
_SORTED = (
    _shape(
        rf"(?:sort|put)\s+the\s+letters\s+of\s+{_SAY}{_WORD}\s+(?:in(?:to)?\s+alphabetical\s+order|alphabetically)"
    ),
)


def _match(shapes: tuple[re.Pattern[str], ...], text: str) -> re.Match[str] | None:
    return next((found for shape in shapes if (found := shape.fullmatch(text))), None)


def _hard(word: str) -> float:
    return min(1.0, max(0.0, (len(word) - 4) / 8))


def _number(key: str, count: int, difficulty: float) -> Problem:
    return Problem(key=key, truth=str(count), kind="number", difficulty=difficulty)


def _read(text: str) -> Problem | None:
    if found := _match(_REVERSE, text):
        word = found["word"]
        return Problem(key=f"reverse {word}", truth=word[::-1], difficulty=_hard(word))
    if found := _match(_COUNT, text):
        word, letter = found["word"].lower(), found["letter"].lower()
        return _number(f"count {letter} {word}", word.count(letter), _hard(word))
    if found := _match(_VOWELS, text):
        word = found["word"].lower()
        return _number(f"vowels {word}", sum(map(word.count, "aeiou")), _hard(word))
    if found := _match(_LENGTH, text):
        word = found["word"].lower()
        return _number(f"length {word}", len(word), _hard(word) / 2)
    if found := _match(_UPPER, text):
        word = found["word"]
        return Problem(key=f"upper {word}", truth=word.upper(), cased=True, difficulty=0.0)
    if found := _match(_SORTED, text):
        word = found["word"].lower()
        return Problem(key=f"sorted {word}", truth="".join(sorted(word)), difficulty=_hard(word))
    if (found := _match(_NTH, text)) and 1 <= int(found["place"]) <= len(found["word"]):
        word, place = found["word"].lower(), int(found["place"])
        truth = word[place - 1]
        others = tuple(sorted(set(word) - {truth})) or ("?",)
        return Problem(
            key=f"nth {place} {word}", truth=truth, others=others, difficulty=_hard(word) / 2
        )
    return None


_EASY = ("lamp", "tree", "river", "stone", "bread", "cloud", "horse", "piano", "tiger", "ocean")
_MIDDLING = (
    "planet", "garden", "window", "harvest", "journey", "blanket", "kitchen", "lantern",
    "mountain", "notebook", "elephant", "sandwich",
)  # fmt: skip
_HARD = (
    "strawberry", "crossroads", "watermelon", "bookkeeper", "mississippi", "millennium",
    "engineering", "thermometer", "nevertheless", "refrigerator", "acceleration", "questionnaire",
)  # fmt: skip


def _write(rng: Random, level: Level) -> str:
    word = rng.choice((_EASY, _MIDDLING, _HARD)[level])
    letter = rng.choice(word)
    place = rng.randint(1, len(word))
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(place, "th")
    return rng.choice(
        (
            f"Reverse the word '{word}'.",
            f"Spell '{word}' backwards.",
            f"How many times does the letter '{letter}' occur in '{word}'?",
            f"How many {letter}'s are in the word '{word}'?",
            f"How many vowels are in '{word}'?",
            f"How many letters are in the word '{word}'?",
            f"Write '{word}' in upper case.",
            f"What is the {place}{suffix} letter of '{word}'?",
            f"Sort the letters of '{word}' alphabetically.",
        )
    )


WORDS = Family(
    name="words",
    example="How many times does the letter 'r' occur in 'strawberry'?",
    method=(
        "The word is taken letter by letter.",
        "Each letter is looked at once and none is skipped.",
        "Doubled letters count as two.",
        "The length of the word is a good check.",
    ),
    write=_write,
    read=_read,
)
