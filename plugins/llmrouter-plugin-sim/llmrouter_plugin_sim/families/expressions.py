"""What parsers of expressions share: tokens, parentheses, and an end."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

T = TypeVar("T")


class Malformed(Exception):
    """The text is not an expression."""


class Parser(Generic[T]):
    """Recursive descent over tokens; what binds least is `outermost`."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]

    def value(self) -> T:
        """Return what all the tokens together amount to.

        Raises:
            Malformed: They are not one expression.
        """
        result = self.outermost()
        if self.tokens != [""]:
            raise Malformed
        return result

    def outermost(self) -> T:
        """Return the value of the longest expression that begins here."""
        raise NotImplementedError

    def closed(self) -> T:
        """Return the value of the expression up to the parenthesis that closes it."""
        inner = self.outermost()
        if self.tokens.pop(0) != ")":
            raise Malformed
        return inner


def tokens_of(text: str, token: re.Pattern[str], longest: int) -> list[str] | None:
    """Return the tokens of *text*, lower case; None if it holds anything else or too many."""
    tokens: list[str] = []
    place = 0
    while place < len(text):
        found = token.match(text, place)
        if found is None or len(tokens) == longest:
            return None
        tokens.append(found[1].lower())
        place = found.end()
    return tokens
