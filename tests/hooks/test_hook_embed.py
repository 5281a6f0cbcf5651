"""`embed`: the first that answers embeds; wrappers see and may change the embeddings."""

from typing import Any

import numpy as np
from attrs import define, field

from llmrouter_core import LLMRouter, Query, hookimpl
from llmrouter_core.testing import ToyScorer, ToySelector, toy_models


@define(eq=False, kw_only=True)
class Constant:
    """Embed every query as one number, or pass."""

    value: float | None
    seen: list[Any] = field(init=False, factory=list)

    @hookimpl
    def embed(self, queries: Any) -> Any:
        self.seen.append([query.text for query in queries])
        if self.value is None:
            return None
        return np.full((len(queries), 2), self.value, np.float32)


@define(eq=False, kw_only=True)
class Doubling:
    """Double the embedding."""

    @hookimpl(wrapper=True)
    def embed(self) -> Any:
        inner = yield
        return 2 * inner


def router(*parts: Any) -> LLMRouter:
    return LLMRouter(models=toy_models(), parts=[*parts, ToyScorer(), ToySelector()])


def test_the_first_that_answers_embeds_the_whole_batch() -> None:
    """One that returns None passes; one behind the answer is not asked."""
    passes, first, second = Constant(value=None), Constant(value=1), Constant(value=2)

    found = router(passes, first, second).pipeline.embed([Query(text="a"), Query(text="b")])

    assert found.tolist() == [[1, 1], [1, 1]]
    assert passes.seen == first.seen == [["a", "b"]]
    assert second.seen == []


def test_a_wrapper_changes_what_scorers_read() -> None:
    """A cache or a normaliser stands around the embedder."""
    found = router(Doubling(), Constant(value=3)).pipeline.embed([Query(text="a")])

    assert found.tolist() == [[6, 6]]
    assert found.dtype == np.float32


def test_known_embeddings_are_not_computed_again() -> None:
    """A batch that brings its own asks no embedder."""
    embedder = Constant(value=1)

    router(embedder).decide_all(["a", "b"], embeddings=np.ones((2, 2), np.float32))

    assert embedder.seen == []
