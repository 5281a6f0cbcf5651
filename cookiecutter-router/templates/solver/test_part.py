"""What is special about the {{ cookiecutter.name }} solver."""

from llmrouter_core import LLMRouter
from llmrouter_core.testing import EchoCaller, ToySelector, toy_models
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}


def router() -> LLMRouter:
    parts = [{{ cookiecutter.__class }}(), ToySelector(), EchoCaller()]
    return LLMRouter(models=toy_models(), parts=parts)


def test_the_best_model_answers_once() -> None:
    """One step, by the first of the ranking; the note is no part of the answer."""
    with router() as opened:
        answer = opened.route("polly")

    assert answer.text == "polly"
    assert answer.decision is not None
    assert [step.model for step in answer.steps] == [answer.decision.model.name]


def test_a_note_says_who_is_asked() -> None:
    """It comes before the first word."""
    with router() as opened:
        first, *rest = opened.stream("polly")

    assert (first.kind, first.text) == ("note", "asking small")
    assert "".join(chunk.text for chunk in rest) == "polly"
