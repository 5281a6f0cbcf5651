"""WordPiece, the tokenizer of BERT and most sentence encoders, in plain Python."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from attrs import define, field

_REMEMBERED = 1 << 15  # words whose tokens are kept at hand
_WORD = 64  # characters of the longest one that is: more would fill the memory
_MARKS = re.compile(r"[!-/:-@\[-`{-~]|[^!-/:-@\[-`{-~]+")  # ASCII punctuation, and what is between
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@define(eq=False)
class WordPiece:
    """BERT's normalisation and greedy longest match (Devlin et al. 2018, arXiv 1810.04805).

    All of it happens within a word, so the tokens of words seen before are looked up. This gives
    the tokens of the `tokenizers` library but for two things: what is in no vocabulary has no
    token instead of `[UNK]`, and control characters that are white space, such as the form feed,
    part two words instead of joining them.

    Attributes:
        vocabulary: The number of each token.
        prefix: What a token that goes on with a word starts with.
        longest: Characters of a word beyond which it has no token.
        lower: Whether case is ignored.
        bare: Whether accents are ignored.
        clean: Whether control characters are.
        apart: Whether ideographs are words of their own.
    """

    vocabulary: Mapping[str, int]
    prefix: str = "##"
    longest: int = 100
    lower: bool = True
    bare: bool = True
    clean: bool = True
    apart: bool = True
    _known: dict[str, list[int]] = field(init=False, repr=False, factory=dict)
    _reach: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._reach = max(map(len, self.vocabulary), default=1)

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any]) -> WordPiece | None:
        """Return what a `tokenizer.json` describes, or None where it is not BERT's WordPiece."""
        model, normal, before = (
            tokenizer.get(part) or {} for part in ("model", "normalizer", "pre_tokenizer")
        )
        kinds = (model.get("type"), normal.get("type"), before.get("type"))
        if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
            return None
        lower = bool(normal.get("lowercase", True))
        bare = normal.get("strip_accents")
        return cls(
            model["vocab"],
            prefix=model.get("continuing_subword_prefix", "##"),
            longest=model.get("max_input_chars_per_word", 100),
            lower=lower,
            bare=lower if bare is None else bool(bare),
            clean=bool(normal.get("clean_text", True)),
            apart=bool(normal.get("handle_chinese_chars", True)),
        )

    def __call__(self, text: str) -> list[int]:
        """Return the tokens of *text*."""
        found: list[int] = []
        known = self._known
        for word in text.split():
            tokens = known.get(word)
            found += self._learned(word) if tokens is None else tokens
        return found

    def _learned(self, word: str) -> list[int]:
        """Return the tokens of *word*, and remember them unless it is long."""
        tokens = self._tokens(word)
        if len(word) <= _WORD:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()  # the frequent ones are back at once
            self._known[word] = tokens
        return tokens

    def _tokens(self, word: str) -> list[int]:
        """Return the tokens of *word*, which has no white space in it."""
        if word.isascii() and word.isprintable():
            parts = _MARKS.findall(word.lower() if self.lower else word)
        else:
            marked = (f" {c} " if _is_punctuation(c) else c for c in self._normal(word))
            parts = "".join(marked).split()
        found: list[int] = []
        for part in parts:
            found += self._pieces(part)
        return found

    def _normal(self, word: str) -> str:
        if self.clean:
            word = "".join(c for c in word if not _is_control(c))
        if self.apart:
            word = "".join(f" {c} " if _is_ideograph(c) else c for c in word)
        if self.bare:
            word = unicodedata.normalize("NFD", word)
            word = "".join(c for c in word if unicodedata.category(c) != "Mn")
        # One character at a time: a sigma at the end of a word is like any other.
        return "".join(map(str.lower, word)) if self.lower else word

    def _pieces(self, part: str) -> list[int]:
        """Return the longest token that *part* starts with, and so on; none if one is missing."""
        if len(part) > self.longest:
            return []
        whole = self.vocabulary.get(part)
        if whole is not None:
            return [whole]
        found: list[int] = []
        start, prefix = 0, ""
        while start < len(part):
            for end in range(min(len(part), start + self._reach), start, -1):
                token = self.vocabulary.get(prefix + part[start:end])
                if token is not None:
                    found.append(token)
                    break
            else:
                return []
            start, prefix = end, self.prefix
        return found


def _is_ideograph(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _IDEOGRAPHS)


def _is_control(char: str) -> bool:
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs")


def _is_punctuation(char: str) -> bool:
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P")
