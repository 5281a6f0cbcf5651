"""What is special about the ensemble embedder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from attrs import define, field
from llmrouter_core import BadResult, ConfigError, LLMRouter, Query, hookimpl
from llmrouter_core.testing import ToyEmbedder
from llmrouter_plugin_ensemble import EnsembleEmbedder

QUERIES = [Query(text=text) for text in ("bread and salt", "salt and bread", "prime numbers")]


def test_a_cosine_is_the_weighted_mean_of_the_members_cosines() -> None:
    """Weighted by the squares of the weights."""
    members = (ToyEmbedder(dimensions=16), ToyEmbedder(dimensions=64))
    one, other = (member.embed(QUERIES) for member in members)

    both = EnsembleEmbedder(members=members, weights=(1.0, 2.0)).embed(QUERIES)

    cosines = []
    for block in (one, other):
        length = np.linalg.norm(block, axis=1)
        cosines.append(block @ block.T / np.outer(length, length))
    assert both.shape == (3, 80)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both @ both.T, (cosines[0] + 4 * cosines[1]) / 5, atol=1e-6)


def test_members_are_given_by_name_or_by_table() -> None:
    """As any part is; options are checked, and the place of a mistake is said."""
    config = {
        "embedder": {
            "use": "ensemble",
            "members": ["hashing", {"use": "hashing", "dimensions": 8}],
        },
        "scorer": "knn",
        "selector": {"use": "utility", "tradeoff": 0.0},
        "caller": "sim",
    }
    router = LLMRouter(config)

    assert router.pipeline.embed(QUERIES).shape == (3, 520)

    config["embedder"]["members"] = ["hashing", {"use": "hashing", "dimension": 8}, "no-such", 7]
    with pytest.raises(ConfigError) as caught:
        LLMRouter(config)
    problems = " ".join(caught.value.problems)
    assert (
        "unknown option 'dimension', did you mean 'dimensions'? @ embedder.members.2" in problems
    )
    assert "no embedder 'no-such' is installed" in problems
    assert "expected a table, got 7 @ embedder.members.4" in problems


def test_weights_must_fit_the_members() -> None:
    """One each."""
    with pytest.raises(ConfigError, match="1 weights for 2 members"):
        EnsembleEmbedder(members=(ToyEmbedder(), ToyEmbedder()), weights=(1.0,))


@define(eq=False, kw_only=True)
class Opening:
    """Remember whether it is open; return the wrong shape if told to."""

    wrong: bool = False
    told: list[str] = field(factory=list)

    @hookimpl
    def embed(self, queries):
        return (
            np.zeros((1, 2), np.float32) if self.wrong else np.ones((len(queries), 2), np.float32)
        )

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        self.told.append("opened")
        yield
        self.told.append("closed")

    @hookimpl
    def lifespan(self):
        return self._open()


def test_members_are_opened_and_closed() -> None:
    """Those that have something to open."""
    member = Opening()

    async def use() -> None:
        async with EnsembleEmbedder(members=(ToyEmbedder(), member)).lifespan():
            assert member.told == ["opened"]

    asyncio.run(use())

    assert member.told == ["opened", "closed"]


def test_a_member_that_breaks_its_promise_is_named() -> None:
    """With what it returned and what was expected."""
    broken = EnsembleEmbedder(members=(ToyEmbedder(), Opening(wrong=True)))

    with pytest.raises(
        BadResult, match=r"member Opening returned shape \(1, 2\), expected \(3, d\)"
    ):
        broken.embed(QUERIES)


def test_a_text_no_member_knows_is_the_zero_vector() -> None:
    """And not a division by zero."""
    [row] = EnsembleEmbedder(members=(ToyEmbedder(), ToyEmbedder())).embed([Query(text="")])

    assert not row.any()
