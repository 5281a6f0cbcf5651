"""What is special about the {{ cookiecutter.name }} extension."""

from llmrouter_core import LLMRouter
from llmrouter_core.testing import EchoCaller, ToySelector, toy_models
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}


def test_each_call_is_counted_and_the_answer_is_untouched() -> None:
    """Two questions, two calls to the model that answered them."""
    extension = {{ cookiecutter.__class }}()
    parts = [extension, ToySelector(), EchoCaller()]
    with LLMRouter(models=toy_models(), parts=parts) as router:
        texts = [router.route(text).text for text in ("one", "two")]

    assert texts == ["one", "two"]
    assert extension.calls == {"small": 2}
