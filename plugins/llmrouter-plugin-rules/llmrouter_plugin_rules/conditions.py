"""When a rule applies: conditions that all must hold."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import Attribute, define, field, frozen, validators
from llmrouter_core import Query

from llmrouter_plugin_rules.languages import Language, language_of
from llmrouter_plugin_rules.patterns import any_of, compiled, cut
from llmrouter_plugin_rules.requests import Need, needs_of, tokens_of

Fact = str | int | float | bool


@define(eq=False, slots=False)
class Asked:
    """A query as rules see it; nothing is looked at before a rule asks."""

    query: Query

    @cached_property
    def text(self) -> str:
        """Its text, cut to its head and its tail."""
        return cut(self.query.text)

    @cached_property
    def language(self) -> Language | None:
        """The language of the text."""
        return language_of(self.text)

    @cached_property
    def tokens(self) -> int:
        """About how many tokens the whole request has."""
        return tokens_of(self.query)

    @cached_property
    def needs(self) -> frozenset[Need]:
        """What the request needs of a model."""
        return needs_of(self.query)


def _spoken(_: object, attribute: "Attribute[Any]", value: tuple[str, ...]) -> None:
    if not all(phrase.strip() for phrase in value):
        raise ValueError(f"'{attribute.name}' holds an empty one, which every text has")


_count = validators.optional(validators.ge(0))


@frozen(kw_only=True, eq=False)
class Conditions:
    r"""When a rule applies: where every condition that is given holds, so without any, always.

    Attributes:
        name: What people call the rule.
        words: The text has one of these words or phrases, whatever their case.
        pattern: The text has a match of this regular expression (`(?i)` ignores case).
        min_tokens: The whole request has at least about so many tokens.
        max_tokens: It has at most about so many.
        languages: The text is in one of these.
        needs: The request shows all of these: `vision`, `audio`, `tools`, `json`.
        facts: The query's facts have all of these values, such as `{ task = "maths" }`.
        users: One of these asks.
    """

    name: str = ""
    words: tuple[str, ...] = field(default=(), validator=_spoken)
    pattern: str | None = None
    min_tokens: int | None = field(default=None, validator=_count)
    max_tokens: int | None = field(default=None, validator=_count)
    languages: tuple[Language, ...] = ()
    needs: tuple[Need, ...] = ()
    facts: Mapping[str, Fact] = field(factory=dict)
    users: tuple[str, ...] = ()
    _searches: tuple[re.Pattern[str], ...] = field(init=False, repr=False)

    @_searches.default
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        found = [any_of(self.words)] if self.words else []
        return (*found, compiled(self.pattern)) if self.pattern is not None else tuple(found)

    @max_tokens.validator
    def _possible(self, _: "Attribute[Any]", value: int | None) -> None:
        if value is not None and self.min_tokens is not None and value < self.min_tokens:
            raise ValueError("'max_tokens' is below 'min_tokens', so the rule would never apply")

    def hold(self, asked: Asked) -> bool:
        """Return whether all hold for a query; the cheap ones are looked at first."""
        query = asked.query
        return (
            (not self.users or query.user in self.users)
            and all(_same(query.facts.get(key), value) for key, value in self.facts.items())
            and (not self.needs or asked.needs.issuperset(self.needs))
            and (self.min_tokens is None or asked.tokens >= self.min_tokens)
            and (self.max_tokens is None or asked.tokens <= self.max_tokens)
            and all(search.search(asked.text) for search in self._searches)
            and (not self.languages or asked.language in self.languages)
        )


def _same(found: Any, wanted: Fact) -> bool:
    """Return whether a fact is the wanted one; true and 1 are two."""
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)
