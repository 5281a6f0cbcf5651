"""Reading what a stranger wrote: the shape is checked where it is needed, by a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from llmrouter_core import BadRequest


def entry(value: object, place: str) -> Mapping[str, Any]:
    """Return *value* if it is an object.

    Raises:
        BadRequest: It is something else.
    """
    if not isinstance(value, Mapping):
        raise BadRequest(f"'{place}' is {_kind(value)}, not an object")
    return value


def entries(value: object, place: str) -> list[Mapping[str, Any]]:
    """Return *value* if it is a list of objects; None counts as an empty one.

    Raises:
        BadRequest: It is something else.
    """
    if value is None:
        return []
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise BadRequest(f"'{place}' is {_kind(value)}, not a list")
    return [entry(one, f"{place}[{number}]") for number, one in enumerate(value)]


def text(value: object, place: str) -> str:
    """Return *value* if it is a text.

    Raises:
        BadRequest: It is something else.
    """
    if not isinstance(value, str):
        raise BadRequest(f"'{place}' is {_kind(value)}, not a text")
    return value


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    if value is None:
        return "missing"
    return kinds.get(type(value), "a number")
