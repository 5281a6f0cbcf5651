"""What is special about the random selector."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouter, Model, Query, Scores, hookimpl
from llmrouter_plugin_random import RandomSelector, _uniform

POOL = [Model(name=name) for name in ("a", "b", "c")]
TEXTS = [Query(text=f"question {number}") for number in range(6000)]


def names(selector: RandomSelector, query: Query, models: list[Model] = POOL) -> list[str]:
    [row] = selector.select([query], models).tolist()
    return [models[column].name for column in row]


def chi_square(found: dict, expected: dict) -> float:
    assert found.keys() <= expected.keys()
    return sum((found.get(key, 0) - count) ** 2 / count for key, count in expected.items())


def test_every_order_is_as_frequent_as_sampling_without_replacement_says() -> None:
    """P(a, b, c) = w_a / W * w_b / (W - w_a): chi-square of all six orders, 5 degrees."""
    weights = {"a": 1.0, "b": 2.0, "c": 5.0}
    total = sum(weights.values())
    expected = {
        order: len(TEXTS)
        * weights[order[0]]
        / total
        * weights[order[1]]
        / (total - weights[order[0]])
        for order in permutations(weights)
    }
    found: dict = {}
    for row in RandomSelector(weights=weights).select(TEXTS, POOL).tolist():
        order = tuple(POOL[column].name for column in row)
        found[order] = found.get(order, 0) + 1

    assert chi_square(found, expected) < 20.5  # exceeded once in a thousand draws


@pytest.mark.parametrize("seed", [0, 1, -5])
def test_without_weights_it_is_even(seed: int) -> None:
    """Chi-square of the first choice, 2 degrees; each seed is a draw of its own."""
    firsts = RandomSelector(seed=seed).select(TEXTS, POOL)[:, 0]
    found = {column: int(count) for column, count in enumerate(np.bincount(firsts, minlength=3))}

    assert chi_square(found, dict.fromkeys(range(3), len(TEXTS) / 3)) < 13.8


def test_seeds_draw_independently() -> None:
    """Two seeds agree on the first choice about as often as chance: a third of the time."""
    one, other = (RandomSelector(seed=seed).select(TEXTS, POOL)[:, 0] for seed in (1, 2))

    assert abs((one == other).mean() - 1 / 3) < 4 * math.sqrt(2 / 9 / len(TEXTS))


def test_the_draw_is_written_in_stone() -> None:
    """It is the same in every process and version; changing it would change experiments."""
    assert names(RandomSelector(seed=0), Query(text="What is 17 * 23?")) == ["a", "c", "b"]
    assert names(RandomSelector(seed=1), Query(text="What is 17 * 23?")) == ["b", "a", "c"]


@given(
    st.text(max_size=40),
    st.none() | st.text(max_size=5),
    st.integers(),
    st.permutations(["a", "b", "c", "d", "e"]),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1e300)),
)
def test_the_order_of_the_pool_does_not_matter(text, user, seed, order, weights) -> None:
    """Any text, user, seed and weights rank the names alike, however the pool is listed."""
    selector = RandomSelector(seed=seed, weights=weights)
    query = Query(text=text, user=user)
    pool = [Model(name=name) for name in order]
    ranked = names(selector, query, pool)

    assert sorted(ranked) == sorted(order)
    assert ranked == names(selector, query, sorted(pool, key=lambda model: model.name))


@given(st.text(max_size=40), st.sets(st.sampled_from("abcdefg"), min_size=1))
def test_a_smaller_pool_keeps_the_order_of_who_is_left(text, left) -> None:
    """What another model draws does not matter, so vetoes leave proportions as they are."""
    query, selector = Query(text=text), RandomSelector(weights={})
    whole = names(selector, query, [Model(name=name) for name in "abcdefg"])

    assert [name for name in whole if name in left] == names(
        selector, query, [Model(name=name) for name in sorted(left)]
    )


def test_a_model_without_weight_comes_last() -> None:
    """It is only a fallback; two of them are in an even draw."""
    ranking = RandomSelector(weights={"a": 0.0, "b": 0.0}).select(TEXTS, POOL)

    assert set(ranking[:, 0].tolist()) == {2}
    assert abs((ranking[:, 1] == 0).mean() - 0.5) < 4 * math.sqrt(0.25 / len(TEXTS))


def test_by_user_the_text_does_not_matter() -> None:
    """An A/B test keeps each user in one arm; strangers are drawn by their text."""
    selector = RandomSelector(by="user")
    ada = [Query(text=str(number), user="ada") for number in range(50)]
    strangers = [Query(text=str(number)) for number in range(50)]
    users = [Query(text="hi", user=str(number)) for number in range(50)]

    assert len({tuple(row) for row in selector.select(ada, POOL).tolist()}) == 1
    assert len({tuple(row) for row in selector.select(strangers, POOL).tolist()}) == 6
    assert len({tuple(row) for row in selector.select(users, POOL).tolist()}) == 6


def test_a_weight_for_nobody_says_who_there_is() -> None:
    """A misspelt name would silently weigh 1."""
    with pytest.raises(ConfigError, match=r"no candidate 'aa', did you mean 'a'\? @ selector\.w"):
        RandomSelector(weights={"aa": 1.0}).select(TEXTS[:1], POOL)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_weight_is_finite_and_not_negative(weight: float) -> None:
    """It is refused when the part is built, by name."""
    with pytest.raises(ValueError, match="'weights' are finite and not negative; correct 'a'"):
        RandomSelector(weights={"a": weight})


def test_from_a_config_the_veto_of_a_scorer_holds() -> None:
    """The core takes the vetoed model out, and the next of the draw stands first."""

    class Veto:
        @hookimpl
        def score(self, queries: list[Query], models: list[Model]) -> Scores:
            return Scores("allowed", np.array([[-np.inf, 0.0, 0.0]] * len(queries)))

    router = LLMRouter(models=POOL, parts=[RandomSelector(), Veto()])
    decisions = router.decide_all([query.text for query in TEXTS[:50]])

    assert {decision.model.name for decision in decisions} == {"b", "c"}


def test_a_draw_is_never_zero_or_one() -> None:
    """Their logarithms would rank a model for certain."""
    assert 0 < _uniform(bytes(8)) < _uniform(b"\xff" * 8) < 1
