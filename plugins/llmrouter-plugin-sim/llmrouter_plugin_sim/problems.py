"""What a family of tasks is, and what its solver finds in a query."""

from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias

from attrs import field, frozen, validators

Level: TypeAlias = Literal[0, 1, 2]
"""How hard a query to write: easy, middling, hard."""

LEVELS: tuple[Level, Level, Level] = (0, 1, 2)


@frozen(kw_only=True)
class Problem:
    """A query that was understood, with its true answer.

    Attributes:
        key: The problem apart from its wording; two wordings of one problem share it.
        truth: The true answer as a text, such as `391`.
        kind: How answers are compared: a `number`, several `numbers` in order, or a `text`.
        difficulty: From 0 (easy) to 1 (hard).
        tolerance: How far a number may lie from the truth.
        others: Wrong answers of the same sort, where there are only so many (weekdays, names).
        also: Further spellings of the true answer.
        cased: Whether upper and lower case matter.
        family: Name of the family that understood it; set by the family.
    """

    key: str
    truth: str
    kind: Literal["number", "numbers", "text"] = "text"
    difficulty: float = field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    tolerance: float = 0.0
    others: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    cased: bool = False
    family: str = ""


@frozen(kw_only=True)
class Family:
    """One kind of task: it can write queries, and solve any query of their shape.

    Attributes:
        name: Name of the family; cards state a skill for each.
        example: A query that it understands.
        method: Sentences on how such a task is solved; they give no answer away.
        layout: Whether line breaks and indentation matter; else *read* gets single spaces.
        write: Returns a new query of some level.
        read: Returns the problem in a query, or None where the query is of another family.
    """

    name: str
    example: str
    method: tuple[str, ...]
    layout: bool = False
    write: Callable[[Random, Level], str] = field(repr=False)
    read: Callable[[str], Problem | None] = field(repr=False)
