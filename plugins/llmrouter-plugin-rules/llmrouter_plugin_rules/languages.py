"""Which language a text is in, told by its script and by its most common words."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Language: TypeAlias = Literal[
    "ar", "de", "el", "en", "es", "fr", "he", "hi", "it", "ja", "ko", "nl", "pt", "ru", "th", "zh"
]
LANGUAGES: tuple[Language, ...] = get_args(Language)

# A script stands for its most common language. The order breaks ties.
_SCRIPTS: Mapping[Language | Literal["latin", "han"], re.Pattern[str]] = {
    "latin": re.compile(r"[A-Za-z\u00C0-\u024F]"),
    "ru": re.compile(r"[\u0400-\u052F]"),
    "ar": re.compile(r"[\u0600-\u06FF\u0750-\u077F]"),
    "he": re.compile(r"[\u0590-\u05FF]"),
    "el": re.compile(r"[\u0370-\u03FF]"),
    "hi": re.compile(r"[\u0900-\u097F]"),
    "th": re.compile(r"[\u0E00-\u0E7F]"),
    "ko": re.compile(r"[\uAC00-\uD7AF\u1100-\u11FF]"),
    "ja": re.compile(r"[\u3040-\u30FF]"),
    "han": re.compile(r"[\u3400-\u4DBF\u4E00-\u9FFF]"),
}
_DENSE = frozenset({"ja", "ko", "han"})  # one sign says as much as two or three letters

_SPOKEN: Mapping[Language, str] = {
    "de": """
        aber als auch auf aus bei bitte das dem den der des die dies ein eine einem einen einer
        es für haben hat ich im in ist kann kannst können mir mit nach nicht noch oder sich sind
        sie und von war was welche wenn wer werden wie wir wird wo zu zum zur
    """,
    "en": """
        a about an and are as at be but by can do does for from have how i if in is it me my not
        of on or please that the there this to was we what when where which who why will with
        would you your
    """,
    "es": """
        al como con cuál cuando cuántos de del donde dónde el ella en entre es esta este está
        fue hay la las lo los más me mi muy para pero por porque puede puedes que qué quién se
        ser si sin son su sus una unos y
    """,
    "fr": """
        au aux avec ce cette combien comment dans de des du elle en est et il je la le les leur
        mais moi ne nous ou où par pas peux plus pour pourquoi que quel quelle qui quoi sans se
        son sont sur un une vous
    """,
    "it": """
        al alla anche che chi come con cosa da dal del della delle di dove e ed era gli ha i il
        in la le lo ma mi nel nella non o per perché più può puoi quale quanti quando questo
        sono su un una è
    """,
    "nl": """
        aan als bij dat de deze die dit een en er geen hebben heeft het hoe hoeveel ik in is je
        kan kun maar me met mij naar niet of om op over te tot uit van voor waar waarom was wat
        welke wie wij wordt zijn
    """,
    "pt": """
        ao as com como da das de do dos e ela ele em entre essa este está eu foi há isso mais
        mas me muito na no não nos o onde os para pela pelo por porque pode que quem quais qual
        quantos se sem seu sua são um uma você
    """,
}
_COMMON = {name: frozenset(words.split()) for name, words in _SPOKEN.items()}
_WORD = re.compile(r"[^\W\d_]+")
_CLEAR = 0.1  # share of common words below which a text is a list of names, or code


def language_of(text: str) -> Language | None:
    """Return the language of *text*, or None where neither script nor common words tell."""
    counts = {
        name: len(script.findall(text)) * (2 if name in _DENSE else 1)
        for name, script in _SCRIPTS.items()
    }
    if counts["ja"]:  # Japanese is written with Han signs too, Chinese never with kana
        counts["ja"] += counts.pop("han")
    script = max(counts, key=counts.__getitem__)
    if not counts[script]:
        return None
    if script == "han":
        return "zh"
    return _by_words(text) if script == "latin" else script


def _by_words(text: str) -> Language | None:
    spoken = _WORD.findall(text.lower())
    hits = {name: sum(word in common for word in spoken) for name, common in _COMMON.items()}
    first, second = sorted(hits, key=hits.__getitem__, reverse=True)[:2]
    clear = hits[first] > hits[second] and hits[first] >= _CLEAR * len(spoken)
    return first if clear else None
