"""What is special about the {{ cookiecutter.name }} scorer."""

import numpy as np
import pytest
from llmrouter_core import Dataset, Model, NotFitted, Query
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}

MODELS = [Model(name="small"), Model(name="large")]
SHORT, LONG = Query(text="hello"), Query(text="why " * 50)


def fitted() -> {{ cookiecutter.__class }}:
    """Return a scorer that saw the small model fail on long queries, the large one never."""
    quality = np.array([[1.0, 1.0], [0.0, 1.0]] * 20)
    dataset = Dataset(
        queries=tuple(Query(text=f"{i} {q.text}") for i in range(20) for q in (SHORT, LONG)),
        models=("small", "large"),
        quality=quality,
    )
    return {{ cookiecutter.__class }}(ridge=0.1).fit(dataset)


def test_long_queries_are_where_the_small_model_fails() -> None:
    """The line of each model follows what training showed."""
    values = fitted().score([SHORT, LONG], MODELS).values

    assert values[0, 0] > 0.8
    assert values[1, 0] < 0.2
    assert values[:, 1] == pytest.approx(1.0, abs=0.05)


def test_a_model_without_training_is_unknown() -> None:
    """NaN says so; nothing is made up."""
    values = fitted().score([SHORT], [*MODELS, Model(name="new")]).values

    assert np.isnan(values).tolist() == [[False, False, True]]


def test_scoring_before_training_says_what_to_do() -> None:
    """The message names the command."""
    with pytest.raises(NotFitted, match="llmrouter train"):
        {{ cookiecutter.__class }}().score([SHORT], MODELS)
