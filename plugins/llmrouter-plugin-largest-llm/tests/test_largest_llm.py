"""What is special about the largest-llm selector."""

from llmrouter_core import Model, Price, Query
from llmrouter_plugin_largest_llm import LargestLlmSelector


def order(*models: Model) -> list[str]:
    ranking = LargestLlmSelector().select([Query(text="hi")], models, {})
    return [models[column].name for column in ranking[0]]


def test_all_parameters_come_first() -> None:
    """A mixture of experts counts by all it has."""
    dense = Model(name="dense", size=70)
    mixture = Model(name="mixture", size=120, active=5)

    assert order(dense, mixture) == ["mixture", "dense"]


def test_the_dearer_of_equals_comes_first_and_unknown_sizes_last() -> None:
    """Equal sizes go by price, descending; a model of unknown size follows all others."""
    unknown = Model(name="unknown", price=Price(input=9, output=9))
    dear = Model(name="dear", size=8, price=Price(input=1, output=1))
    cheap = Model(name="cheap", size=8, price=Price(input=0.1, output=0.1))

    assert order(unknown, cheap, dear) == ["dear", "cheap", "unknown"]
