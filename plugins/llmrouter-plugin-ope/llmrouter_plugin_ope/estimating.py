"""What another policy would get, from what this one got: three estimators, one bootstrap.

For decisions i with context x, choice a, propensity p(a|x) and reward r, and the other policy's
pi(a|x), the weights are w_i = pi(a_i|x_i) / p(a_i|x_i), and

    IPS   = 1/n sum_i w_i r_i                                       Horvitz & Thompson 1952
    SNIPS = sum_i w_i r_i / sum_i w_i                               Swaminathan & Joachims 2015
    DR    = 1/n sum_i [ sum_a pi(a|x_i) q(x_i, a)
                        + w_i (r_i - q(x_i, a_i)) ]                 Dudik, Langford & Li 2011

where q predicts rewards (`predicting`). All of them are about the decisions whose reward is known.
Intervals are 95 % percentile bootstrap intervals over groups; all share the resamples, so that
differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from llmrouter_core import Floats, Ints
from llmrouter_core.evaluation.report import Figure
from llmrouter_core.evaluation.resampling import Means, figure

from llmrouter_plugin_ope.errors import NoEstimate
from llmrouter_plugin_ope.predicting import predicted

TINY = 1e-12
"""A share that is none."""


@frozen(kw_only=True)
class Estimates:
    """One measure, such as quality.

    Attributes:
        logged: What the logged policy got.
        ips: The other policy by inverse propensities.
        snips: The same over the sum of the weights, which takes out their luck.
        dr: Doubly robust: predictions, corrected by what was seen.
        gain: *dr* minus *logged*, paired.
        known: Decisions whose outcome is known.
        matched: Decisions among them that the other policy may take too.
        effective: (sum w)^2 / sum w^2: what their weights leave of the known decisions.
        heaviest: Share of the largest weight in all weights.
    """

    logged: Figure
    ips: Figure
    snips: Figure
    dr: Figure
    gain: Figure
    known: int
    matched: int
    effective: float
    heaviest: float


def estimates(
    values: Floats,
    chosen: Ints,
    propensities: Floats,
    shares: Floats,
    *,
    scores: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimates | None:
    """Return the estimates of one measure; None where no known decision can be matched.

    Args:
        values: What came of each decision, (n,); NaN where unknown.
        chosen: Column of the choice, intp (n,).
        propensities: How likely each choice was, (n, m).
        shares: How likely each choice is for the other policy, (n, m).
        scores: What was predicted of each choice, (n, m), in the unit of *values*.
        groups: What is resampled together; every decision for itself by default.
        resamples: Bootstrap resamples.
        seed: Seed of the resamples and of the folds of the prediction.

    Raises:
        NoEstimate: A choice of the other policy has propensity 0: nothing can be known of it.
    """
    blind = int(((shares > TINY) & ~(propensities > 0)).any(axis=1).sum())
    if blind:
        raise NoEstimate(
            f"in {blind:,} of {len(values):,} decisions the policy takes a choice whose "
            "propensity is 0, so the log says nothing of it; explore all choices, and log anew"
        )
    n = len(values)
    rows, known = np.arange(n), ~np.isnan(values)
    weights = shares[rows, chosen] / propensities[rows, chosen]
    heard = weights[known]
    if not heard.any():
        return None
    if scores is None:
        scores = np.full(propensities.shape, np.nan)
    named = tuple(map(str, rows)) if groups is None else tuple(groups)
    expected = predicted(values, chosen, scores, named, seed)  # (n, m)
    drawn = Means(
        {
            "logged": values,
            "seen": weights * values,
            "weight": np.where(known, weights, np.nan),
            "dr": (shares * expected).sum(axis=1) + weights * (values - expected[rows, chosen]),
        },
        named,
        resamples,
        seed,
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample without a match is NaN
        snips = np.where(drawn["weight"] > 0, drawn["seen"] / drawn["weight"], np.nan)
    return Estimates(
        logged=figure(drawn["logged"]),
        ips=figure(drawn["seen"]),
        snips=figure(snips),
        dr=figure(drawn["dr"]),
        gain=figure(drawn["dr"] - drawn["logged"]),
        known=int(known.sum()),
        matched=int((heard > 0).sum()),
        effective=float(heard.sum() ** 2 / (heard**2).sum()),
        heaviest=float(heard.max() / heard.sum()),
    )
