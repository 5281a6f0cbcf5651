"""`score`: every scorer is asked, arguments are opt-in, and wrappers see all scores."""

from typing import Any

import numpy as np
from attrs import define, field

from llmrouter_core import LLMRouter, Scores, hookimpl
from llmrouter_core.testing import ToyEmbedder, ToySelector, toy_models

MODELS = toy_models()


@define(eq=False, kw_only=True)
class Constant:
    """Predict one number for every model."""

    name: str
    value: int

    @hookimpl
    def score(self, queries: Any, models: Any) -> Any:
        return Scores(self.name, np.full((len(queries), len(models)), float(self.value)))


@define(eq=False, kw_only=True)
class Curious:
    """Ask for everything there is, and predict nothing."""

    seen: Any = field(init=False, default=None)

    @hookimpl
    def score(self, queries: Any, models: Any, embeddings: Any) -> None:
        self.seen = len(queries), [model.name for model in models], embeddings.shape


@define(eq=False, kw_only=True)
class Sum:
    """Add a score made of the others."""

    @hookimpl(wrapper=True)
    def score(self) -> Any:
        found = yield
        return [*found, Scores("sum", np.sum([one.values for one in found], axis=0))]


def router(*parts: Any) -> LLMRouter:
    return LLMRouter(models=MODELS, parts=[*parts, ToyEmbedder(dimensions=4), ToySelector()])


def test_every_scorer_is_asked_and_the_first_listed_comes_first() -> None:
    """One that has nothing to say adds nothing."""
    curious = Curious()

    decision = router(
        Constant(name="quality", value=1), curious, Constant(name="cost", value=2)
    ).decide("?")

    assert list(decision.scores) == ["quality", "cost"]
    assert curious.seen == (1, [model.name for model in MODELS], (1, 4))


def test_a_wrapper_reads_and_adds_scores() -> None:
    """It need not be a scorer itself."""
    decision = router(
        Sum(), Constant(name="quality", value=1), Constant(name="cost", value=2)
    ).decide("?")

    assert decision.scores["sum"].values.tolist() == [3, 3, 3]


def test_without_any_scorer_the_selector_decides_alone() -> None:
    """No score is no mistake."""
    assert router().decide("?").scores == {}
