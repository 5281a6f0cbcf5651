"""From one rating per model to the quality that can be expected of it."""

from __future__ import annotations

import numpy as np
from llmrouter_core import Floats

_EDGE = 0.01  # no quality nearer to 0 or 1 is promised


def fixed(quality: Floats, ratings: Floats) -> dict[str, Floats]:
    """Return the part of a calibration that gives each model a quality in the order of ratings.

    `quality_m = level + slope * rating_m`, the slope from differences within queries, the level
    from all: a model that was asked only hard queries is not taken for a weak one.

    Args:
        quality: Scores, (n, m), NaN where unknown.
        ratings: (m,).
    """
    known = ~np.isnan(quality)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    scores = np.where(known, quality, 0.0)
    here = np.where(known, ratings, 0.0)
    mean, middle = (a.sum(axis=1, keepdims=True) / count for a in (scores, here))
    away = np.where(known, here - middle, 0.0)
    slope = float((away * scores).sum() / max(float(np.square(away).sum()), 1e-12))
    asked = known.any(axis=1)
    level = float((mean - max(slope, 0.0) * middle)[asked].mean())
    expected = np.clip(level + max(slope, 0.0) * ratings, _EDGE, 1 - _EDGE)
    steep = max(slope, 0.0) / float((expected * (1 - expected)).mean())
    return {
        "calibration_kind": np.array(["platt", "margin"]),
        "calibration_centre": ratings,
        "calibration_intercepts": np.log(expected / (1 - expected)),
        "calibration_slopes": np.full(2, steep),
        "calibration_covariance": np.zeros((2, 2)),
    }
