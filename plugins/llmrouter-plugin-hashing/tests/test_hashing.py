"""What is special about the hashing embedder."""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Floats, Query
from llmrouter_plugin_hashing import HashingEmbedder


def embed(*texts: str, **options: int) -> Floats:
    return HashingEmbedder(**options).embed([Query(text=text) for text in texts])


def test_similar_texts_are_nearer_than_others() -> None:
    """Cosine follows shared words, shared letters and shared shape."""
    sum_one, sum_two, poem = embed(
        "What is 17 * 23?", "What is 41 * 57?", "Write a tender poem about the sea and the moon"
    )

    assert sum_one @ sum_two > 0.6
    assert sum_one @ poem < 0.3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=120), max_size=20))
def test_any_text_gives_rows_of_length_one_that_do_not_depend_on_the_batch(
    texts: list[str],
) -> None:
    """Whatever is sent, rows are finite, of length one (or zero) and equal to single ones."""
    rows = embed(*texts)

    assert rows.shape == (len(texts), 512)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    for text, row in zip(texts, rows, strict=True):
        np.testing.assert_array_equal(embed(text)[0], row)


def test_lone_surrogates_and_huge_texts_are_read() -> None:
    """Text that is not valid Unicode is embedded; a huge one counts by its head and tail."""
    head, tail = "first words " * 1000, " last words" * 1000

    assert np.isfinite(embed("broken \ud800 text")).all()
    np.testing.assert_array_equal(embed(head + "m" * 10**6 + tail), embed(head + tail))


def test_another_process_gives_the_same_bytes() -> None:
    """Hashes do not depend on the process, as Python's own would."""
    program = (
        "import sys; from llmrouter_core import Query;"
        "from llmrouter_plugin_hashing import HashingEmbedder;"
        "sys.stdout.buffer.write(HashingEmbedder().embed([Query(text='Größe 7')]).tobytes())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )

    assert run.stdout == embed("Größe 7").tobytes()


def test_dimensions_set_the_length() -> None:
    """The option is the second side of the shape."""
    assert embed("hello", dimensions=64).shape == (1, 64)
