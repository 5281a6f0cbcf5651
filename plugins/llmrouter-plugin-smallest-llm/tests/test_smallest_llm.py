"""What is special about the smallest-llm selector."""

from llmrouter_core import Model, Price, Query
from llmrouter_plugin_smallest_llm import SmallestLlmSelector


def order(*models: Model) -> list[str]:
    ranking = SmallestLlmSelector().select([Query(text="hi")], models, {})
    return [models[column].name for column in ranking[0]]


def test_active_parameters_come_before_all_parameters() -> None:
    """A mixture of experts counts by what it uses per token."""
    dense = Model(name="dense", size=20)
    mixture = Model(name="mixture", size=120, active=5)

    assert order(dense, mixture) == ["mixture", "dense"]


def test_price_breaks_ties_and_unknown_sizes_come_last() -> None:
    """Equal sizes go by price; a model of unknown size follows all others."""
    unknown = Model(name="unknown", price=Price(input=0.01, output=0.01))
    dear = Model(name="dear", size=8, price=Price(input=1, output=1))
    cheap = Model(name="cheap", size=8, price=Price(input=0.1, output=0.1))

    assert order(unknown, dear, cheap) == ["cheap", "dear", "unknown"]
