"""From what a scorer says to the quality that can be expected, learned on held-out queries."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from llmrouter_core.types import Arrays, Floats

Kind: TypeAlias = Literal["platt", "isotonic", "none"]
Scale: TypeAlias = Literal["probability", "margin"]

_EDGE = 0.02  # what is predicted nearer to 0 or 1 is not believed to be
_KNOTS = 32  # an isotonic curve is kept at so many places
_NAMES = (
    *("centre", "intercepts", "slopes", "covariance"),
    *("precision", "counts", "before", "after"),
)
_LEAST = 20  # held-out outcomes, below which nothing is calibrated


@frozen(kw_only=True, eq=False)
class Calibration:
    """A map of raw predictions (n, m) to expected qualities, and of their standard errors.

    *platt* is logistic (Platt 1999) with fractional targets, an intercept for each model, and
    two slopes that all models share: one for what a query has in common for all models, one for
    what tells models apart on it,

        logit quality_m = a_m + b * common + c * (x_m - mean_m - common)

    with x_m the raw prediction (its logit on the scale *probability*) and *common* the mean of
    x_m - mean_m over the models. A decision hangs on differences between models, and where those
    do not repeat on held-out queries, c falls to zero and every query goes to the best model; a
    slope for each model (m times as many parameters) was measured to choose worse.

    *isotonic* is a non-decreasing step curve per model (Zadrozny & Elkan 2002) by pooling
    adjacent violators, read off linearly between its knots.

    Attributes:
        kind: Which map.
        scale: Scale of the raw predictions.
        centre: Mean raw prediction of each model, (m,).
        intercepts: *a*, (m,).
        slopes: *b* and *c*.
        covariance: Of the two slopes, (2, 2).
        precision: Inverse variance of each intercept, (m,).
        counts: Held-out outcomes of each model, (m,).
        places: Raw predictions at the knots of isotonic curves, (m, k).
        heights: Qualities at the knots, (m, k).
        before: Brier score of each model's raw predictions, (m,); NaN for margins.
        after: Brier score after calibration, on the same held-out queries, (m,).
    """

    kind: Kind
    scale: Scale
    centre: Floats
    intercepts: Floats
    slopes: Floats
    covariance: Floats
    precision: Floats
    counts: Floats
    places: Floats
    heights: Floats
    before: Floats
    after: Floats

    @classmethod
    def fit(cls, kind: Kind, scale: Scale, raw: Floats, quality: Floats) -> Calibration:
        """Return the map of *raw* (h, m), said of held-out queries, to their *quality* (h, m).

        A model that has no held-out outcomes follows the others.
        """
        if scale == "margin" and kind == "none":
            kind = "platt"  # a margin is no quality before it is mapped to one
        known = ~np.isnan(quality) & np.isfinite(raw)
        m = raw.shape[1]
        count = known.sum(axis=0).astype(float)
        if scale == "probability" and (kind == "none" or count.sum() < _LEAST):
            kind = "none"
        x = _link(raw, scale)
        centre = np.where(known, x, 0.0).sum(axis=0) / np.maximum(count, 1)
        places = np.zeros((m, _KNOTS))
        heights = np.zeros((m, _KNOTS))
        intercepts, slopes, covariance, precision = _logistic(x, centre, quality, known)
        if kind == "isotonic":
            for j in range(m):
                places[j], heights[j] = _isotonic(raw[known[:, j], j], quality[known[:, j], j])
        found = cls(
            kind=kind,
            scale=scale,
            centre=centre,
            intercepts=intercepts,
            slopes=slopes,
            covariance=covariance,
            precision=precision,
            counts=count,
            places=places,
            heights=heights,
            before=_brier(raw if scale == "probability" else np.full_like(raw, np.nan), quality),
            after=np.full(m, np.nan),
        )
        values, _ = found.apply(raw, None)
        return evolve(found, after=_brier(values, quality))

    def apply(self, raw: Floats, std: Floats | None) -> tuple[Floats, Floats | None]:
        """Return quality and standard error, (n, m), for *raw* (n, m) and its error."""
        if self.kind == "none" and self.scale == "probability":
            return np.clip(raw, 0.0, 1.0), std
        if self.kind == "isotonic":
            return self._along(raw, std)
        (b, c), (first, mixed, second), exactness = self._ready
        raw = raw.astype(np.float64)
        if self.scale == "probability":
            inside = np.minimum(np.maximum(raw, _EDGE), 1 - _EDGE)
            x = np.log(inside / (1 - inside)) - self.centre
        else:
            x = raw - self.centre
        common = x.sum(axis=1, keepdims=True) / x.shape[1]
        own = x - common
        values = _sigmoid(self.intercepts + b * common + c * own)
        variance = common * (first * common + mixed * own) + second * own * own + exactness
        if std is not None:
            steep = std * c
            if self.scale == "probability":
                steep = steep / (inside * (1 - inside))
            variance = variance + steep * steep
        return values, values * (1 - values) * np.sqrt(variance)

    @cached_property
    def _ready(self) -> tuple[tuple[float, float], tuple[float, float, float], Floats]:
        """Slopes, what their covariance weighs, and the intercepts' variances."""
        common, own = self.slopes.tolist()
        (first, mixed), (_, second) = self.covariance.tolist()
        return (common, own), (first, 2 * mixed, second), 1 / np.maximum(self.precision, 1.0)

    def _along(self, raw: Floats, std: Floats | None) -> tuple[Floats, Floats | None]:
        values = np.empty(raw.shape)
        steep = np.empty(raw.shape)
        for j in range(raw.shape[1]):
            values[:, j] = np.interp(raw[:, j], self.places[j], self.heights[j])
            width = max(float(np.ptp(self.places[j])), 1e-9)
            steep[:, j] = np.ptp(self.heights[j]) / width
        if std is None:
            return values, None
        noise = values * (1 - values) * _KNOTS / np.maximum(self.counts, _KNOTS)
        return values, np.sqrt(np.square(std * steep) + noise)

    def arrays(self) -> dict[str, Floats]:
        """Return the calibration as arrays, for a state."""
        found = {f"calibration_{name}": np.asarray(getattr(self, name)) for name in _NAMES}
        found["calibration_kind"] = np.array([self.kind, self.scale])
        if self.kind == "isotonic":
            found["calibration_places"] = self.places
            found["calibration_heights"] = self.heights
        return found

    @classmethod
    def of(cls, state: Arrays) -> Calibration:
        """Return the calibration that *state* holds."""
        kind, scale = state["calibration_kind"].tolist()
        empty = np.zeros((len(state["calibration_centre"]), _KNOTS))
        return cls(
            kind=kind,
            scale=scale,
            **{name: state[f"calibration_{name}"] for name in _NAMES},
            places=state.get("calibration_places", empty),
            heights=state.get("calibration_heights", empty),
        )


def _link(raw: Floats, scale: Scale) -> Floats:
    if scale == "margin":
        return raw.astype(np.float64)
    inside = np.clip(raw.astype(np.float64), _EDGE, 1 - _EDGE)
    found: Floats = np.log(inside / (1 - inside))
    return found


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(np.minimum(np.maximum(-x, -40.0), 40.0)))
    return found


def _logistic(
    x: Floats, centre: Floats, quality: Floats, known: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return intercepts (m,), slopes (2,), the slopes' covariance and the intercepts' precision.

    Newton's method; a weak prior pulls both slopes to one over the raw predictions' own spread.
    """
    m = x.shape[1]
    away = np.where(np.isfinite(x), x - centre, 0.0)
    common = np.broadcast_to(away.mean(axis=1, keepdims=True), away.shape)
    own = away - common
    y = np.where(known, quality, 0.0)
    count = known.sum(axis=0)
    start = (y.sum(axis=0) + 0.5) / (count + 1.0)
    intercepts = np.log(start / (1 - start))
    spread = float(np.sqrt(np.where(known, away**2, 0.0).sum() / max(int(count.sum()), 1)))
    likely = 1.0 / max(spread, 1.0)
    slopes, pull = np.full(2, likely), 1.0 / likely**2
    hessian = np.eye(m + 2)
    for _ in range(50):
        p = _sigmoid(intercepts + slopes[0] * common + slopes[1] * own)
        weight = np.where(known, p * (1 - p), 0.0)
        rest = np.where(known, p - y, 0.0)
        gradient = np.concatenate([rest.sum(axis=0), [(rest * common).sum(), (rest * own).sum()]])
        gradient[m:] += pull * (slopes - likely)
        hessian = np.diag(np.concatenate([weight.sum(axis=0) + 1e-6, [pull, pull]]))
        hessian[:m, m] = hessian[m, :m] = (weight * common).sum(axis=0)
        hessian[:m, m + 1] = hessian[m + 1, :m] = (weight * own).sum(axis=0)
        hessian[m, m] += (weight * common**2).sum()
        hessian[m + 1, m + 1] += (weight * own**2).sum()
        hessian[m, m + 1] = hessian[m + 1, m] = (weight * common * own).sum()
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))  # no leap into saturation
        intercepts, slopes = intercepts - step[:m], slopes - step[m:]
        if np.abs(step).max() < 1e-8:
            break
    # Predictions that rank held-out queries the wrong way round are noise, not a reason to turn.
    covariance = np.linalg.inv(hessian)[m:, m:]
    return intercepts, np.maximum(slopes, 0.0), covariance, np.diag(hessian)[:m].copy()


def _isotonic(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return knots of the non-decreasing fit of *y* on *x*, pooling adjacent violators."""
    if not len(x):
        return np.linspace(0, 1, _KNOTS), np.linspace(0, 1, _KNOTS)
    order = np.argsort(x, kind="stable")
    blocks: list[list[float]] = []  # weight, sum of y, sum of x
    for place in order:
        blocks.append([1.0, float(y[place]), float(x[place])])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][0] >= blocks[-1][1] * blocks[-2][0]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    weight, total, where = np.array(blocks).T
    quantiles = np.linspace(0, 1, _KNOTS)
    middle = np.cumsum(weight) - weight / 2
    places = np.interp(quantiles * weight.sum(), middle, where / weight)
    places = np.maximum.accumulate(places) + np.arange(_KNOTS) * 1e-12
    return places, np.interp(places, where / weight, total / weight)


def _brier(predicted: Floats, quality: Floats) -> Floats:
    """Return the mean squared error of each model, (m,); NaN where nothing is known."""
    known = ~np.isnan(quality) & ~np.isnan(predicted)
    error = np.where(known, predicted - np.where(known, quality, 0.0), 0.0)
    count = known.sum(axis=0)
    return np.where(count > 0, np.square(error).sum(axis=0) / np.maximum(count, 1), np.nan)
