"""What is special about the price scorer."""

import numpy as np
import pytest
from attrs import define, evolve
from llmrouter_core import Dataset, Model, Price, Query, Scores, hookimpl
from llmrouter_core.config import Part
from llmrouter_core.pipeline import Pipeline
from llmrouter_plugin_price import PriceScorer

MODELS = (
    Model(name="small", price=Price(input=1.0, output=2.0)),
    Model(name="large", price=Price(input=10.0, output=20.0)),
    Model(name="unpriced"),
)
QUERY = Query(text="x" * 400)


@define(eq=False, kw_only=True)
class LengthScorer:
    """Predicts fixed output lengths."""

    @hookimpl
    def score(self, queries, models):
        return Scores("output_tokens", np.array([[50.0, np.nan, 70.0]]))


def cost(*plugins: object) -> list[float]:
    parts = [Part("scorer", type(p).__name__, type(p).__name__, p) for p in plugins]
    values: list[float] = Pipeline(MODELS, parts).score([QUERY])["cost"].values[0].tolist()
    return values


def outcomes() -> Dataset:
    shape = (2, 3)
    return Dataset(
        queries=(Query(text="a" * 300), Query(text="b" * 100)),
        models=("small", "large", "unpriced"),
        quality=np.ones(shape),
        input_tokens=np.array([[150.0, 100.0, np.nan], [50.0, np.nan, np.nan]]),
        output_tokens=np.array([[10.0, 400.0, np.nan], [30.0, np.nan, np.nan]]),
        cost=np.array([[np.nan, np.nan, 0.5], [np.nan, np.nan, 0.7]]),
    )


def test_untrained_it_counts_four_characters_a_token_and_the_stated_length() -> None:
    """400 characters are 100 input tokens; 256 output tokens are assumed."""
    small, large, unpriced = cost(PriceScorer())

    assert small == pytest.approx((100 * 1 + 256 * 2) / 1e6)
    assert large == pytest.approx((100 * 10 + 256 * 20) / 1e6)
    assert np.isnan(unpriced)


def test_it_learns_each_models_mean_length_tokenizer_and_cost() -> None:
    """Means are over the cells that are known; recorded cost stands in for a missing price."""
    small, large, unpriced = cost(PriceScorer().fit(outcomes()))

    assert small == pytest.approx((200 * 1 + 20 * 2) / 1e6)  # two characters a token
    assert large == pytest.approx((400 / 3 * 10 + 400 * 20) / 1e6)  # three characters a token
    assert unpriced == pytest.approx(0.6)


def test_tokens_of_messages_that_are_not_recorded_are_no_tokenizer() -> None:
    """Ten tokens a character were read with the query, such as a system prompt: four it is."""
    data = evolve(outcomes(), input_tokens=np.array([[3000.0, 2000.0, np.nan]] * 2))
    small, large, _ = cost(PriceScorer().fit(data))

    assert small == pytest.approx((100 * 1 + 20 * 2) / 1e6)
    assert large == pytest.approx((100 * 10 + 400 * 20) / 1e6)


def test_another_scorers_length_counts_for_this_query() -> None:
    """A predicted length wins over the mean; where it is unknown the mean stays."""
    small, large, _ = cost(PriceScorer().fit(outcomes()), LengthScorer())

    assert small == pytest.approx((200 * 1 + 50 * 2) / 1e6)
    assert large == pytest.approx((400 / 3 * 10 + 400 * 20) / 1e6)


def test_the_whole_conversation_is_charged() -> None:
    """Input tokens are those of every message, not only of the last."""
    chat = Query.of(
        [
            {"role": "system", "content": "s" * 4000},
            {"role": "user", "content": "hello"},
        ]
    )
    pipeline = Pipeline(MODELS, [Part("scorer", "cost", "price", PriceScorer(output_tokens=1.0))])

    [[small, *_]] = pipeline.score([chat])["cost"].values

    assert small == pytest.approx((4005 / 4 + 2) / 1e6)


def test_text_in_parts_is_charged_like_plain_text() -> None:
    """A message may be a list of typed parts; those that are text count."""
    parts = [{"type": "text", "text": "s" * 4000}, {"type": "image_url", "image_url": {}}]
    chat = Query.of([{"role": "system", "content": parts}, {"role": "user", "content": "hello"}])
    pipeline = Pipeline(MODELS, [Part("scorer", "cost", "price", PriceScorer(output_tokens=1.0))])

    [[small, *_]] = pipeline.score([chat])["cost"].values

    assert small == pytest.approx((4005 / 4 + 2) / 1e6)


def test_a_veto_by_another_scorer_makes_no_noise() -> None:
    """A length of -inf times a price of nothing is no number, and no warning either."""
    free = [Model(name="free", price=Price())]
    veto = Scores("output_tokens", np.array([[-np.inf]]))
    wrapper = PriceScorer().score([QUERY], free)
    next(wrapper)

    with pytest.raises(StopIteration) as returned:
        wrapper.send([veto])

    assert np.isnan(returned.value.value[-1].values).all()
