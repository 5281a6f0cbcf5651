"""What is special about the {{ cookiecutter.name }} selector."""

from llmrouter_core import Model, Query
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}

MODELS = [Model(name="large", size=70), Model(name="small", size=1), Model(name="mid", size=8)]


def ranked(*order: str) -> list[str]:
    ranking = {{ cookiecutter.__class }}(order=order).select([Query(text="hi")], MODELS, {})
    return [MODELS[column].name for column in ranking[0]]


def test_preferred_models_come_first() -> None:
    """The listed ones in their order, the rest from small to large."""
    assert ranked("large") == ["large", "small", "mid"]
    assert ranked("mid", "large") == ["mid", "large", "small"]


def test_without_a_preference_the_smallest_comes_first() -> None:
    """A name that is not in the pool changes nothing."""
    assert ranked() == ranked("elsewhere") == ["small", "mid", "large"]
