"""What is special about the utility selector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import ConfigError, Model, Query, Scores
from llmrouter_plugin_utility import UtilitySelector

MODELS = [Model(name="small"), Model(name="middle"), Model(name="large")]
QUALITY = Scores("quality", np.array([[0.5, 0.7, 0.9]]))
COST = Scores("cost", np.array([[0.0001, 0.001, 0.02]]))


def order(selector: UtilitySelector, *scores: Scores, facts: dict[str, object] | None = None):
    query = Query(text="hi", facts=facts or {})
    return selector.select([query], MODELS, {one.name: one for one in scores})[0].tolist()


def test_the_knob_runs_from_quality_first_to_cost_first() -> None:
    """0 ranks by quality, 1 by cost, and in between worth minus cost decides."""
    assert order(UtilitySelector(tradeoff=0.0), QUALITY, COST) == [2, 1, 0]
    assert order(UtilitySelector(tradeoff=1.0), QUALITY, COST) == [0, 1, 2]
    assert order(UtilitySelector(tradeoff=0.5), QUALITY, COST) == [1, 0, 2]


def test_a_query_may_turn_the_knob_for_itself() -> None:
    """The fact `tradeoff` wins over the option, for that query only."""
    selector = UtilitySelector(tradeoff=0.0)
    queries = [Query(text="a"), Query(text="b", facts={"tradeoff": 1.0})]
    scores = {
        "quality": Scores("quality", np.repeat(QUALITY.values, 2, axis=0)),
        "cost": Scores("cost", np.repeat(COST.values, 2, axis=0)),
    }

    assert selector.select(queries, MODELS, scores).tolist() == [[2, 1, 0], [0, 1, 2]]


@pytest.mark.parametrize("knob", [1.5, -0.1, "high", True, float("nan")])
def test_a_wrong_knob_of_a_query_is_refused(knob: object) -> None:
    """A fact is checked like an option."""
    with pytest.raises(ConfigError, match="'tradeoff' must be a number from 0 to 1"):
        order(UtilitySelector(), QUALITY, COST, facts={"tradeoff": knob})


def test_a_hundredfold_price_changes_the_choice() -> None:
    """Cost is really read: raising the chosen model's price a hundredfold moves the choice."""
    selector = UtilitySelector(tradeoff=0.5)
    dearer = Scores("cost", COST.values * np.array([[1, 100, 1]]))

    assert order(selector, QUALITY, COST)[0] == 1
    assert order(selector, QUALITY, dearer)[0] == 0


def test_unknown_quality_ranks_last_and_unknown_cost_counts_as_the_dearest() -> None:
    """NaN never wins by accident."""
    unknown = Scores("quality", np.array([[np.nan, 0.7, 0.9]]))
    free = Scores("cost", np.array([[np.nan, 0.001, 0.02]]))

    assert order(UtilitySelector(tradeoff=0.0), unknown, COST)[-1] == 0
    assert order(UtilitySelector(tradeoff=1.0), QUALITY, free) == [1, 0, 2]


def test_equal_quality_goes_to_the_cheaper_model() -> None:
    """Ties are broken by cost, then by the order of the pool."""
    even = Scores("quality", np.array([[0.7, 0.7, 0.7]]))

    assert order(UtilitySelector(tradeoff=0.0), even, COST) == [0, 1, 2]
    assert order(UtilitySelector(tradeoff=0.0), even) == [0, 1, 2]


def test_caution_prefers_what_is_well_known() -> None:
    """Standard errors are taken off before models are compared."""
    unsure = Scores("quality", QUALITY.values, np.array([[0.01, 0.01, 0.5]]))

    assert order(UtilitySelector(tradeoff=0.0, caution=1.0), unsure)[0] == 1


def test_without_a_quality_score_it_says_what_to_add() -> None:
    """A composition that predicts no quality cannot be weighed."""
    with pytest.raises(ConfigError, match=r"no scorer predicts 'quality'.*add a \[scorer.quality"):
        order(UtilitySelector(), COST)


def test_a_knob_that_nothing_reads_is_refused() -> None:
    """Weighing cost without a prediction of it would silently mean quality first."""
    with pytest.raises(ConfigError, match=r"no scorer predicts 'cost'.*@ selector.tradeoff"):
        order(UtilitySelector(tradeoff=0.5), QUALITY)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_turning_the_knob_towards_cost_never_buys_a_dearer_model(pairs, one, other) -> None:
    """The cost of the first choice does not rise with the knob."""
    quality = Scores("quality", np.array([[pair[0] for pair in pairs]]))
    cost = Scores("cost", np.array([[pair[1] for pair in pairs]]))
    low, high = sorted((one, other))

    dear = order(UtilitySelector(tradeoff=low, willingness_to_pay=1.0), quality, cost)[0]
    cheap = order(UtilitySelector(tradeoff=high, willingness_to_pay=1.0), quality, cost)[0]

    assert cost.values[0, cheap] <= cost.values[0, dear] + 1e-9


@pytest.mark.parametrize("knob", [0.0, 0.5, 1.0])
def test_vetoes_come_last_without_a_warning(knob: float) -> None:
    """A model that scorers set to -inf is never first, whichever of them did."""
    quality = Scores("quality", np.array([[0.5, -np.inf, 0.9]]))
    cost = Scores("cost", np.array([[0.0001, -np.inf, 0.02]]))

    assert order(UtilitySelector(tradeoff=knob), quality, COST)[-1] == 1
    assert sorted(order(UtilitySelector(tradeoff=knob), quality, cost)) == [0, 1, 2]
