"""Curves and pairs: AIQ, APGR and CPT as worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouter_core.evaluation import curves, pairs

COSTS = np.array([1.0, 2.0, 3.0, 5.0, 4.0])
QUALITY = np.array([0.2, 0.6, 0.5, 0.8, 0.9])
"""The third point lies under the hull, the fourth is dearer and worse than the fifth."""


def test_the_hull_leaves_out_what_a_coin_beats() -> None:
    """And what is dearer and no better; an unknown point is no point."""
    x, y = curves.hull(np.append(COSTS, 2.5), np.append(QUALITY, np.nan))

    assert x.tolist() == [1.0, 2.0, 4.0]
    assert y.tolist() == [0.2, 0.6, 0.9]


def test_aiq_is_that_worked_out_by_hand() -> None:
    """Trapezoids over the hull: 0.4 from 1 to 2, 1.5 from 2 to 4, 0.9 from 4 to 5, by 4."""
    assert curves.area(COSTS, QUALITY, 1.0, 5.0) == pytest.approx((0.4 + 1.5 + 0.9) / 4)


def test_aiq_left_of_the_first_point_is_the_line_to_the_origin() -> None:
    """A router of one point (2, 0.6) over costs from 1 to 4: 0.45 and twice 0.6, by 3."""
    area = curves.area(np.array([2.0]), np.array([0.6]), 1.0, 4.0)

    assert area == pytest.approx(((0.3 + 0.6) / 2 + 2 * 0.6) / 3)


def test_without_a_range_of_costs_or_a_point_there_is_no_aiq() -> None:
    """It is unknown, not zero."""
    nothing = np.array([np.nan])

    assert math.isnan(curves.area(COSTS, QUALITY, 2.0, 2.0))
    assert math.isnan(curves.area(nothing, nothing, 1.0, 2.0))
    assert math.isnan(curves.height(nothing, nothing, 1.0))
    assert math.isnan(curves.price(nothing, nothing, 1.0))


@pytest.mark.parametrize(
    ("cost", "quality"), [(0.5, 0.1), (1.5, 0.4), (3.0, 0.75), (4.0, 0.9), (9.0, 0.9)]
)
def test_quality_at_a_cost_and_cost_at_a_quality_are_two_ways_to_read_a_hull(
    cost: float, quality: float
) -> None:
    """Between the vertices they are inverse."""
    assert curves.height(COSTS, QUALITY, cost) == pytest.approx(quality)
    if 1.0 <= cost <= 4.0:
        assert curves.price(COSTS, QUALITY, quality) == pytest.approx(cost)


def test_a_quality_out_of_reach_costs_infinitely_much() -> None:
    """And one below the first point costs what that point costs."""
    assert curves.price(COSTS, QUALITY, 0.95) == math.inf
    assert curves.price(COSTS, QUALITY, 0.1) == 1.0


@pytest.mark.parametrize(
    ("cost", "shares"),
    [
        (0.5, [1, 0, 0, 0, 0]),
        (1.25, [0.75, 0.25, 0, 0, 0]),
        (3.0, [0, 0.5, 0, 0, 0.5]),
        (7.0, [0, 0, 0, 0, 1]),
    ],
)
def test_the_zero_router_mixes_two_neighbours_on_the_hull(
    cost: float, shares: list[float]
) -> None:
    """Its expected cost is what was asked for, where that can be."""
    mixed = curves.mixture(COSTS, QUALITY, cost)

    np.testing.assert_allclose(mixed, shares)
    assert mixed @ COSTS == pytest.approx(min(max(cost, 1.0), 4.0))


point = st.tuples(
    st.floats(0.01, 10, allow_subnormal=False), st.floats(0, 1, allow_subnormal=False)
)


@given(st.lists(point, min_size=1, max_size=12))
def test_a_hull_lies_over_every_point_and_bends_down(points: list[tuple[float, float]]) -> None:
    """Non-decreasing, concave, and made of the points themselves."""
    costs, quality = np.array(points).T
    x, y = curves.hull(costs, quality)
    slopes = np.diff(y) / np.diff(x)

    assert set(zip(x, y, strict=True)) <= set(zip(costs, quality, strict=True))
    assert (np.diff(y) > 0).all()
    assert (np.diff(slopes) <= 1e-6 * (1 + slopes[:-1])).all()
    for cost, height in points:
        assert curves.height(costs, quality, cost) >= height - 1e-9


# ---------------------------------------------------------------------- pairs


def test_apgr_and_cpt_are_those_worked_out_by_hand() -> None:
    """Half the calls recover 80 % of the gap: 0.2 + 0.45 in area, 50 % at 5/16 of the calls."""
    x, y = pairs.curve(np.array([[0.5]]), np.array([[0.8]]))

    assert pairs.apgr(x, y) == pytest.approx(0.5 * 0.8 / 2 + 0.5 * (0.8 + 1.0) / 2)
    assert pairs.cpt(x, y, 0.5) == pytest.approx(0.5 * 0.5 / 0.8)
    assert pairs.cpt(x, y, 0.8) == pytest.approx(0.5)
    assert pairs.cpt(x, y, 0.9) == pytest.approx(0.75)


def test_without_any_order_apgr_is_a_half() -> None:
    """Every query wants the strong model as much: nothing but the coin is left."""
    assert pairs.thresholds(np.full(5, 0.3)) == []
    x, y = pairs.curve(np.zeros((2, 0)), np.zeros((2, 0)))

    assert pairs.apgr(x, y).tolist() == [0.5, 0.5]
    assert pairs.cpt(x, y, 0.8).tolist() == [0.8, 0.8]


def test_points_in_any_order_are_one_curve() -> None:
    """Each resample is sorted for itself; where the gap is unknown, so is the figure."""
    shares = np.array([[0.75, 0.25], [0.25, 0.75]])
    recovered = np.array([[0.9, 0.6], [0.6, np.nan]])
    x, y = pairs.curve(shares, recovered)

    assert pairs.apgr(x, y)[0] == pytest.approx(0.25 * 0.3 + 0.5 * 0.75 + 0.25 * 0.95)
    assert np.isnan(pairs.cpt(x, y, 0.5)[1])


def test_thresholds_move_equals_together_and_the_unknown_last() -> None:
    """The more eager first."""
    moved = pairs.thresholds(np.array([0.1, 0.5, 0.5, np.nan, 0.9]))

    assert sorted(one.tolist() for one in moved) == sorted(
        [
            [True, True, True, False, True],
            [False, True, True, False, True],
            [False, False, False, False, True],
        ]
    )


def test_many_levels_become_about_fifty_thresholds() -> None:
    """Each about 2 % of the queries further than the one before."""
    moved = pairs.thresholds(np.random.default_rng(0).random(1000))
    shares = sorted(one.mean() for one in moved)

    assert len(shares) == 49
    np.testing.assert_allclose(np.diff(shares), 0.02, atol=1e-3)
