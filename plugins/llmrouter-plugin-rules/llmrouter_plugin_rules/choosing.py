"""Whom a rule means: by name, by tag, by size or by price."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import Attribute
from llmrouter_core import ConfigError, Model
from llmrouter_core.structuring import near

Order: TypeAlias = Literal["smallest", "largest", "cheapest", "pool"]

_TAG = "tag:"


def meant(_: object, attribute: "Attribute[Any]", value: tuple[str, ...]) -> None:
    """Refuse what can be neither a name nor a tag."""
    if not all(item.removeprefix(_TAG).strip() for item in value):
        raise ValueError(f"'{attribute.name}' are names, 'tag:…', or smallest, largest, cheapest")


def ordered(models: Sequence[Model], order: Order) -> list[int]:
    """Return the columns of *models* in *order*, (m,)."""
    columns = list(range(len(models)))
    if order == "smallest":
        columns.sort(key=lambda column: models[column].scale)
    elif order == "largest":
        columns.sort(key=lambda column: models[column].reverse_scale)
    elif order == "cheapest":
        columns.sort(key=lambda column: _price(models[column]))
    return columns


def chosen(items: Sequence[str], models: Sequence[Model], order: Order, place: str) -> list[int]:
    """Return the columns of *models* that *items* mean, each once.

    Args:
        items: Names of models; `tag:x` for all that have the tag x; or `smallest`, `largest` and
            `cheapest` for one model each. A model of that name goes before the word.
        models: The candidates.
        order: In which order models of one tag follow.
        place: Where the items stand in the config.

    Raises:
        ConfigError: A name is of no candidate.
    """
    names = {model.name: column for column, model in enumerate(models)}
    found: dict[int, None] = {}
    for item in items:
        if item in names:
            found[names[item]] = None
        elif item.startswith(_TAG):
            tag = item.removeprefix(_TAG)
            found |= {c: None for c in ordered(models, order) if tag in models[c].tags}
        elif item in _EXTREMES:
            found[ordered(models, _EXTREMES[item])[0]] = None
        else:
            raise ConfigError("router", [f"no candidate '{item}'{near(item, names)} @ {place}"])
    return list(found)


_EXTREMES: Mapping[str, Order] = {
    "smallest": "smallest",
    "largest": "largest",
    "cheapest": "cheapest",
}


def _price(model: Model) -> tuple[float, tuple[float, float, float, str]]:
    """Return the sort key from cheap to dear; an unknown price is dearest."""
    return float("inf") if model.price is None else model.price.blended, model.scale
