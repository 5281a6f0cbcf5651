"""What is special about the static embedder."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from llmrouter_core import LLMRouterError, Query
from llmrouter_plugin_static import StaticEmbedder

SHIPPED = Path(__file__).parents[1] / "llmrouter_plugin_static" / "table"


def embed(*texts: str, **options):
    return StaticEmbedder(**options).embed([Query(text=text) for text in texts])


def test_what_means_the_same_is_near() -> None:
    """Synonyms without a common word are nearer than strangers with the same frame."""
    pairs = embed(
        "How do I bake bread in an oven?",
        "What temperature should a loaf have in the stove?",
        "How do I solve a quadratic equation?",
    )

    assert pairs[0] @ pairs[1] > pairs[0] @ pairs[2]


def test_a_text_is_the_mean_of_its_tokens() -> None:
    """The order of words does not count; doubling a text changes nothing."""
    one, other, twice = embed("river and lake", "lake and river", "river and lake river and lake")

    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(one, twice, atol=1e-5)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_a_text_without_tokens_is_the_zero_vector() -> None:
    """And not a division by zero."""
    assert not embed("")[0].any()


def test_a_long_text_is_read_at_both_ends() -> None:
    """What stands in the middle of a text beyond the limit is not looked at."""
    head, tail = "prime number " * 10, " bread and butter" * 10
    one, other = embed(head + "x" * 5000 + tail, head + "zebra " * 5000 + tail, longest=200)

    np.testing.assert_array_equal(one, other)


def test_a_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    """By its hash, before anything of it is used."""
    folder = copytree(SHIPPED, tmp_path / "table")
    content = bytearray((folder / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "arrays.npz").write_bytes(bytes(content))

    with pytest.raises(LLMRouterError, match=r"arrays\.npz"):
        embed("hello", table=folder)


def test_a_table_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    """With the command."""
    with pytest.raises(LLMRouterError, match="llmrouter distill"):
        embed("hello", table=tmp_path / "none")
