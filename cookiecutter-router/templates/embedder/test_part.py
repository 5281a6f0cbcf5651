"""What is special about the {{ cookiecutter.name }} embedder."""

import numpy as np
from llmrouter_core import Query
from llmrouter_plugin_{{ cookiecutter.__module }} import {{ cookiecutter.__class }}


def test_the_order_of_letters_does_not_count() -> None:
    """Anagrams are the same point; other words are not."""
    queries = [Query(text=text) for text in ("Listen", "silent", "banana")]

    listen, silent, banana = {{ cookiecutter.__class }}().embed(queries)

    assert np.array_equal(listen, silent)
    assert listen @ banana < 0.9


def test_a_text_without_letters_is_the_zero_vector() -> None:
    """No letters, no direction, and no division by zero."""
    [row] = {{ cookiecutter.__class }}().embed([Query(text="2 + 2 = ?")])

    assert not row.any()
