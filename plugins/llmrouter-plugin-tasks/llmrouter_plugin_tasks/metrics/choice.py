"""Find the letter that an answer to a multiple-choice question settles on."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from attrs import frozen

from llmrouter_plugin_tasks.metrics.spoken import spoken
from llmrouter_plugin_tasks.metrics.text import contains

_DENIED_BEFORE = re.compile(
    r"(\bnot|n't|n’t|\bnor|\bneither|\bnever|\brather than|\binstead of|\bexcept|\bunlike"
    r"|\b(?:eliminat|exclud|reject|discard|dismiss|rul)(?:e|es|ed|ing)(?: out)?"
    r"|\b(?:incorrect|wrong))"
    r"(?: (?:the|be|is|are|an?|option|options|choice|choices|answer|likely|simply))*"
    r"[\s:(*\"'\[]*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[)\]*.\"':]*(?: \w+){0,2}? ?"
    r"(?:(?:is|was|are|would be|seems|looks|must be|can be|should be|has been) "
    r"(?:not\b|never\b|clearly |also |therefore |thus |definitely )*(?:not\b|wrong|incorrect|false"
    r"|eliminated|excluded|ruled out|rejected|out\b|impossible|implausible|a distractor)"
    r"|(?:is|was|does|can|could|would)(?:n't|n’t| not)\b|cannot\b|can't\b|fails\b)",
    re.IGNORECASE,
)
_STATED = (
    r"(?:answer\b(?!\s*(?:is|are|was|would|should|must|remains|becomes|has|to|for|of)\b)"
    r"|(?:answer|choice|option|selection|pick|verdict|conclusion)s?\b"
    r"(?: (?:to|for|of) [^.\n:]{1,60}?)?"
    r"(?:\s*(?:is|are|was|would be|should be|must be|remains|becomes|has to be)\b"
    r"(?: therefore| thus| clearly| definitely| most likely| probably)?|\s*[:=—–-]|\s*\*\*\s*:?))"
    r"(?:\s*(?:the\s+)?(?:letter|option|choice|answer)\b)?"
)
_CHOSEN = (
    r"\b(?:choose|chose|pick|picked|select|selected|go with|going with|settle on|opt for|say)"
    r"\b(?:\s+(?:the\s+)?(?:letter|option|choice|answer)\b)?"
)
_IS_IT = r"\b(?:it is|it's|it’s|must be|therefore|thus|hence|so|→|=>)[,:]?"
_OPEN = r"[\s:=*_`\"'“‘$(\[{]*"
_ALONE, _CLOSE = r"(?<!\w)(?<!\w['’])", r"(?!\w|['’]\w)"  # no part of a word
_NEAR = 120  # characters around a letter that can deny it or say what it is


@frozen
class _Mention:
    """A letter in a text, and where it stands."""

    letter: str
    start: int
    end: int


def choice(answer: str, letters: Sequence[str], choices: Sequence[str] = ()) -> str | None:
    """Return the letter *answer* states, or None where it states none or several at once.

    What is stated as the answer counts before what is only bracketed, and that before a letter
    in passing; among equals the last one counts. A letter that is denied ("not B", "B is wrong")
    never does.

    Args:
        answer: What the model wrote.
        letters: The labels of the options, such as `ABCD`.
        choices: The options themselves; an answer that repeats exactly one of them, and no
            letter, is taken to mean it.
    """
    text = unicodedata.normalize("NFKC", spoken(answer)).strip()
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mathsf)\{\s*([^{}]*)\}", r"{\1}", text)
    text = re.sub(r"[{}]{2}", lambda match: match[0][0], text)
    one = "|".join(sorted(map(re.escape, letters), key=len, reverse=True))
    bare = re.fullmatch(rf"\W*({one})\W*", text, re.IGNORECASE)
    if bare and "\n" not in text:
        return _label(bare[1], letters)
    for found in (_stated(text, one), _marked(text, one)):
        kept = [mention for mention in found if not _denied(text, mention)]
        if kept:
            return None if _hedged(text, kept[-1], one) else _label(kept[-1].letter, letters)
    passing = [mention for mention in _passing(text, one) if not _denied(text, mention)]
    named = {_label(mention.letter, letters) for mention in passing}
    if len(named) == 1:
        return named.pop()
    if not named:
        told = [
            letter
            for letter, option in zip(letters, choices, strict=False)
            if contains(text, [option])
        ]
        return told[0] if len(told) == 1 else None
    return None


def _label(letter: str, letters: Sequence[str]) -> str:
    return next(label for label in letters if label.upper() == letter.upper())


def _find(pattern: str, text: str, flags: int = re.IGNORECASE) -> Iterator[_Mention]:
    for match in re.finditer(pattern, text, flags):
        yield _Mention(match["x"], match.start("x"), match.end("x"))


def _stated(text: str, one: str) -> list[_Mention]:
    """Return the letters that the text says are the answer, in order."""
    letter = rf"(?P<x>{one}){_CLOSE}"
    found = [
        mention
        for lead in (_STATED, _CHOSEN, _IS_IT)
        for mention in _find(rf"{lead}{_OPEN}{letter}", text)
    ]
    found += _find(rf"\\boxed\s*\{{\s*\(?(?P<x>{one})\b", text)
    found += _find(rf"<answer>\s*\(?(?P<x>{one})\b", text)
    found += _find(
        rf"{_ALONE}(?P<x>{one})[)\].*:\"']*\s+(?:is|was|must be|seems|looks)\s+(?:\w+ly\s+)?"
        r"(?:the\s+)?(?:\w+\s+)?(?:correct|right|true|best|answer)\b",
        text,
    )
    kept = [mention for mention in found if not _is_word(text, mention)]
    return sorted(kept, key=lambda mention: mention.start)


def _marked(text: str, one: str) -> list[_Mention]:
    """Return the letters in brackets or bold, or first on a line, in order."""
    inside = [*_find(rf"[(\[](?P<x>{one})[)\]]", text)]
    inside += _find(rf"(?:\*\*|__)[\s(]*(?P<x>{one})(?:[).:]|\s*\*\*|__)", text)
    leading = [*_find(rf"^[\s>*-]*[(\[]?(?P<x>{one})(?:[).:\]]+|\s*$)", text, re.I | re.M)]
    every = {mention.start: mention for mention in [*inside, *leading]}
    optional = {mention.start for mention in leading if _followed(text, mention)}
    if len({every[start].letter.upper() for start in optional}) > 1:  # the options, said again
        every = {start: mention for start, mention in every.items() if start not in optional}
    return [every[start] for start in sorted(every)]


def _followed(text: str, mention: _Mention) -> bool:
    """Return whether more stands on the line of the letter, as of an option."""
    rest = text[mention.end : mention.end + _NEAR].partition("\n")[0]
    return bool(rest.strip(" ).:]*"))


def _passing(text: str, one: str) -> list[_Mention]:
    """Return every letter that stands alone as a capital and is no word."""
    found = _find(rf"{_ALONE}(?P<x>{one}){_CLOSE}", text, 0)
    return [mention for mention in found if not _is_word(text, mention)]


def _is_word(text: str, mention: _Mention) -> bool:
    """Return whether the letter is the article *a* or the pronoun *I*, or part of a name."""
    after = text[mention.end : mention.end + _NEAR]
    if re.match(r"[+#&]|\.\w|-\w", after):  # C++, C#, A&E, e.g. and A-level
        return True
    if mention.letter.islower() or mention.letter in ("A", "I"):
        follows = re.match(r"\s+([a-z]\w*)", after)
        verbs = r"is|was|are|as|because|since|and|or|but|with|would|must|seems|looks|has|for|not"
        return bool(follows and not re.fullmatch(verbs, follows[1]))
    return False


def _denied(text: str, mention: _Mention) -> bool:
    before = re.split(
        r"[.!?;\n]|, (?=but|so|it)", text[max(0, mention.start - _NEAR) : mention.start]
    )[-1]
    after = re.split(r"[!?;\n]|\. ", text[mention.end : mention.end + _NEAR])[0]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after))


def _hedged(text: str, mention: _Mention, one: str) -> bool:
    """Return whether another letter is stated in the same breath: "A or B"."""
    follows = re.match(
        rf"[)\]*\"'}}$]*\s*(?:,|/|&|\bor\b|\band\b|, or|, and)\s*"
        rf"(?:(?!not|rather|instead)\w+\s+)?[(\[*\"']*({one})"
        rf"{_CLOSE}",
        text[mention.end : mention.end + _NEAR],
    )
    if follows is None or follows[1].upper() == mention.letter.upper():
        return False
    start, end = (mention.end + place for place in follows.span(1))
    return not _is_word(text, _Mention(follows[1], start, end))
