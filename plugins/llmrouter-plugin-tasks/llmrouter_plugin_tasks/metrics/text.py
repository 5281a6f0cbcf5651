"""Compare short texts, word by word.

Texts are normalised as for SQuAD (case, punctuation and articles do not count), but a decimal
point, a minus sign and the signs in names such as C++ and C# do count.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from llmrouter_plugin_tasks.metrics.spoken import spoken

_DECIMAL, _MINUS, _PLUS, _SHARP = "\ue000\ue001\ue002\ue003"  # private: no text holds them
_KEPT = str.maketrans({_DECIMAL: ".", _MINUS: "-", _PLUS: "+", _SHARP: "#"})
_ARTICLES = {"a", "an", "the"}


def forms(text: str) -> tuple[list[str], list[str]]:
    """Return the words of *text*, with punctuation left out and with punctuation as a space.

    The first makes `e-mail` one word and `U.S.` `us`, the second makes `well-known` two.
    """
    text = unicodedata.normalize("NFKD", text.replace("−", "-")).casefold()
    text = "".join(mark for mark in text if not unicodedata.combining(mark))
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)  # thousands
    text = re.sub(r"(?<!\w)\.(?=\d)", "0.", text)  # .5
    text = re.sub(r"(?<=\d)\.(?=\d)", _DECIMAL, text)
    text = re.sub(r"(?<![\w)])-(?=[$€£]?\d)", _MINUS, text)
    text = re.sub(r"(?<=\w)\++(?!\w)", lambda match: _PLUS * len(match[0]), text)
    text = re.sub(r"(?<=[a-z])#(?!\w)", _SHARP, text)
    joined = "".join("" if _is_mark(mark) else mark for mark in text)
    spaced = "".join(" " if _is_mark(mark) and mark not in "'’." else mark for mark in text)
    spaced = re.sub(r"['’.]", "", spaced)
    return _words(joined), _words(spaced)


def _is_mark(mark: str) -> bool:
    return unicodedata.category(mark)[0] in "PS"


def _words(text: str) -> list[str]:
    words = text.translate(_KEPT).split()
    return [word for word in words if word not in _ARTICLES] or words


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Return whether *answer* is one of *references*."""
    ours = forms(spoken(answer))
    return any(
        mine == theirs
        for reference in references
        for mine, theirs in zip(ours, forms(reference), strict=True)
        if theirs
    )


def contains(answer: str, references: Sequence[str]) -> bool:
    """Return whether one of *references* stands in *answer* as whole words, in order."""
    ours = forms(spoken(answer))
    return any(
        theirs == mine[start : start + len(theirs)]
        for reference in references
        for mine, theirs in zip(ours, forms(reference), strict=True)
        if theirs
        for start in range(len(mine) - len(theirs) + 1)
    )


def token_f1(answer: str, references: Sequence[str]) -> float:
    """Return the best harmonic mean of precision and recall of words, 0..1."""
    _, mine = forms(spoken(answer))
    best = 0.0
    for reference in references:
        _, theirs = forms(reference)
        shared = sum((Counter(mine) & Counter(theirs)).values())
        if shared:
            best = max(best, 2 * shared / (len(mine) + len(theirs)))
    return best
