"""The nearest points are the nearest points."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_plugin_knn.neighbours import nearest


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60))
def test_it_finds_what_sorting_finds(seed: int, count: int, k: int) -> None:
    """Partial selection returns the same similarities as a full sort."""
    rng = np.random.default_rng(seed)
    points, queries = rng.normal(size=(count, 5)), rng.normal(size=(4, 5))

    found, similarity = nearest(queries, points, k)

    full = np.sort(queries @ points.T, axis=1)[:, ::-1][:, :k]
    np.testing.assert_allclose(np.sort(similarity, axis=1)[:, ::-1], full)
    np.testing.assert_allclose(np.take_along_axis(queries @ points.T, found, 1), similarity)
