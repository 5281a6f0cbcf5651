"""What is special about the threshold selector."""

import numpy as np
import pytest
from llmrouter_core import ConfigError, Model, Price, Query, Scores
from llmrouter_plugin_threshold import ThresholdSelector

MODELS = [
    Model(name="small", price=Price(input=0.1, output=0.1)),
    Model(name="middle", price=Price(input=1, output=1)),
    Model(name="large", price=Price(input=10, output=10)),
]
COST = Scores("cost", np.array([[0.0001, 0.001, 0.02]]))


def order(selector: ThresholdSelector, quality: list[float], *scores: Scores) -> list[int]:
    named = {"quality": Scores("quality", np.array([quality]))} | {s.name: s for s in scores}
    ranking: list[int] = selector.select([Query(text="hi")], MODELS, named)[0].tolist()
    return ranking


def test_the_cheapest_good_enough_model_comes_first() -> None:
    """Good models go from cheap to dear, the others from good to bad."""
    assert order(ThresholdSelector(good_enough=0.7), [0.5, 0.75, 0.9], COST) == [1, 2, 0]
    assert order(ThresholdSelector(good_enough=0.95), [0.5, 0.75, 0.9], COST) == [2, 1, 0]
    assert order(ThresholdSelector(good_enough=0.2), [0.5, 0.75, 0.9], COST) == [0, 1, 2]


def test_slack_is_relative_to_the_best_prediction() -> None:
    """With slack a hard query keeps the small model if the large one is no better."""
    selector = ThresholdSelector(slack=0.1)

    assert order(selector, [0.15, 0.1, 0.2], COST)[0] == 0
    assert order(selector, [0.15, 0.1, 0.9], COST)[0] == 2


def test_prices_stand_in_for_a_missing_cost_score() -> None:
    """Without a cost score the blended price decides."""
    assert order(ThresholdSelector(good_enough=0.2), [0.5, 0.75, 0.9]) == [0, 1, 2]


def test_a_model_of_unknown_quality_comes_last() -> None:
    """NaN is neither good enough nor better than a bad model."""
    assert order(ThresholdSelector(good_enough=0.0), [np.nan, 0.1, 0.2], COST) == [1, 2, 0]
    assert order(ThresholdSelector(slack=1.0), [np.nan, 0.1, 0.2], COST) == [1, 2, 0]


def test_without_a_quality_score_it_says_what_to_add() -> None:
    """A composition that predicts no quality cannot be compared with a threshold."""
    with pytest.raises(ConfigError, match=r"add a \[scorer.quality"):
        ThresholdSelector().select([Query(text="hi")], MODELS, {"cost": COST})
