"""What is special about the round-robin selector."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouter, Model, Query, Scores
from llmrouter_core.testing import EchoCaller
from llmrouter_plugin_round_robin import RoundRobinSelector

POOL = [Model(name=name) for name in "abc"]
QUERY = Query(text="hi")


def rows(selector: RoundRobinSelector, count: int, **vetoes: list[bool]) -> list[str]:
    """Return the rankings of one batch, each as a word of names."""
    values = np.zeros((count, len(POOL)))
    for name, barred in vetoes.items():
        values[barred, "abc".index(name)] = -np.inf
    scores = {"allowed": Scores("allowed", values)}
    return [
        "".join(POOL[column].name for column in row)
        for row in selector.select([QUERY] * count, POOL, scores).tolist()
    ]


def firsts(selector: RoundRobinSelector, count: int, **vetoes: list[bool]) -> str:
    return "".join(row[0] for row in rows(selector, count, **vetoes))


def test_equal_weights_take_turns_in_the_order_of_their_names() -> None:
    """And whoever is due next is the first fallback."""
    assert rows(RoundRobinSelector(), 4) == ["abc", "bca", "cab", "abc"]


def test_a_batch_and_single_queries_take_the_same_turns() -> None:
    """The turn goes on from one call to the next."""
    selector, other = RoundRobinSelector(), RoundRobinSelector()

    assert firsts(selector, 7) == "".join(firsts(other, 1) for _ in range(7)) == "abcabca"
    assert firsts(selector, 2) == "bc"


def test_weights_are_spread_smoothly() -> None:
    """The example of nginx: 5, 1, 1 by hand, and again from the start after seven turns."""
    selector = RoundRobinSelector(weights={"a": 5.0})

    assert firsts(selector, 14) == "aabacaa" * 2


@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(1, 3))
def test_each_model_gets_exactly_its_share(weights, rounds) -> None:
    """After any whole number of rounds, and within one turn of its share at any time."""
    selector = RoundRobinSelector(weights=dict(zip("abc", map(float, weights), strict=True)))
    chosen = firsts(selector, rounds * sum(weights))

    assert Counter(chosen) == {name: rounds * w for name, w in zip("abc", weights, strict=True)}
    for name, weight in zip("abc", weights, strict=True):
        for turn in range(len(chosen)):
            expected = (turn + 1) * weight / sum(weights)
            assert abs(chosen[: turn + 1].count(name) - expected) < 1


def test_a_veto_shares_the_turn_among_the_others() -> None:
    """Whoever follows a vetoed model does not get its turns as well."""
    barred = [True, True, True, True, False, False, False]

    assert firsts(RoundRobinSelector(), 7, b=barred) == "acacabc"
    assert rows(RoundRobinSelector(), 1, a=[True]) == ["bca"]


def test_a_model_without_weight_is_a_fallback_only() -> None:
    """It stands behind everyone who has a turn, and answers where nobody else may."""
    selector = RoundRobinSelector(weights={"b": 0.0})

    assert rows(selector, 3) == ["acb", "cab", "acb"]
    assert firsts(selector, 1, a=[True], c=[True]) == "b"
    assert sorted(rows(RoundRobinSelector(weights=dict.fromkeys("abc", 0.0)), 1)[0]) == list("abc")


def test_threads_share_the_turns() -> None:
    """No turn is lost or taken twice: 8 threads, 400 decisions, 100 for each of four."""
    selector = RoundRobinSelector(weights={"a": 2.0})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: firsts(selector, 1), range(400)))

    assert Counter(found) == {"a": 200, "b": 100, "c": 100}


def test_two_selectors_do_not_share_turns() -> None:
    """There is no global counter."""
    assert firsts(RoundRobinSelector(), 1) == firsts(RoundRobinSelector(), 1) == "a"


def test_a_weight_for_nobody_says_who_there_is() -> None:
    """A misspelt name would silently weigh 1."""
    with pytest.raises(ConfigError, match=r"no candidate 'aa', did you mean 'a'\? @ selector\.w"):
        rows(RoundRobinSelector(weights={"aa": 1.0}), 1)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_weight_is_finite_and_not_negative(weight: float) -> None:
    """It is refused when the part is built, by name."""
    with pytest.raises(ValueError, match="'weights' are finite and not negative; correct 'a'"):
        RoundRobinSelector(weights={"a": weight})


def test_a_router_asks_one_model_after_the_other() -> None:
    """Each answer takes one turn."""
    parts = [RoundRobinSelector(), EchoCaller()]
    with LLMRouter(models=POOL, parts=parts) as router:
        assert [router.route("hi").model for _ in range(4)] == ["a", "b", "c", "a"]
