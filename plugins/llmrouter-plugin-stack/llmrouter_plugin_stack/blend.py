"""How far each member is believed: a logistic regression on held-out predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from llmrouter_core import Arrays, Floats

_EDGE = 0.02  # what is predicted nearer to 0 or 1 is not believed to be
_PRIOR = 1.0  # precision of every weight around zero: members must earn their place
_STEPS = 60


@frozen(kw_only=True, eq=False)
class Blend:
    """Non-negative weights of k members for m models.

    Attributes:
        centre: Mean of each member's link for each model, (k, m).
        spread: What each member's link is divided by, (k,): one for probabilities.
        margins: Whether each member predicts margins, (k,).
        intercepts: (m,).
        weights: Of what members say of all models alike, and of what tells them apart, (k, 2).
        error: Standard error of each intercept, (m,).
        brier: Brier score of each member alone and of the blend, on held-out queries, (k + 1,).
    """

    centre: Floats
    spread: Floats
    margins: Floats
    intercepts: Floats
    weights: Floats
    error: Floats
    brier: Floats

    @classmethod
    def fit(cls, values: Floats, std: Floats, quality: Floats, scales: Sequence[str]) -> Blend:
        """Return the weights that fit *quality* (h, m) best, given *values* (k, h, m)."""
        margins = np.array([scale == "margin" for scale in scales])
        spread = np.array(
            [
                max(float(one.std()), 1e-9) if margin else 1.0
                for one, margin in zip(values, margins, strict=True)
            ]
        )
        k, _, m = values.shape
        fresh = cls(
            centre=np.zeros((k, m)),
            spread=spread,
            margins=margins,
            intercepts=np.zeros(m),
            weights=np.zeros((k, 2)),
            error=np.zeros(m),
            brier=np.full(k + 1, np.nan),
        )
        links = fresh._links(values)
        fresh = evolve(fresh, centre=links.mean(axis=1))
        common, own = fresh._sides(values)
        features = [side for pair in zip(common, own, strict=True) for side in pair]
        shapes = [np.broadcast_to(one, quality.shape) for one in features]
        intercepts, weights, precision = _logistic(np.stack(shapes), quality)
        alone = [
            np.nan if margin else float(np.nanmean(np.square(one - quality)))
            for one, margin in zip(values, margins, strict=True)
        ]
        return evolve(
            fresh,
            intercepts=intercepts,
            weights=weights.reshape(k, 2),
            error=1 / np.sqrt(np.maximum(precision, 1.0)),
            brier=np.array([*alone, np.nan]),
        )

    def judged(self, values: Floats, quality: Floats) -> Blend:
        """Return this with the Brier score of *values* (h, m), the blend's own predictions."""
        return evolve(self, brier=np.append(self.brier[:-1], np.nanmean((values - quality) ** 2)))

    @property
    def used(self) -> list[bool]:
        """Whether each member's word counts for anything."""
        return [bool(pair.any()) for pair in self.weights]

    def predict(self, values: Floats, std: Floats, caution: Floats) -> tuple[Floats, Floats]:
        """Return quality and its standard error, (n, m) each.

        Args:
            values: What members say, (k, n, m).
            std: Their standard errors, (k, n, m), NaN where not stated.
            caution: Standard errors a contrast must exceed, (n, 1).
        """
        common, own = self._sides(values)
        base = self.intercepts + np.einsum("k,knm->nm", self.weights[:, 0], common)
        contrast = np.einsum("k,knm->nm", self.weights[:, 1], own)
        error = self._error(values, std)
        size = np.maximum(np.abs(contrast), 1e-9)
        contrast = contrast * np.maximum(0.0, 1 - np.square(caution * error / size))
        found = _sigmoid(base + contrast)
        return found, found * (1 - found) * np.sqrt(np.square(error) + np.square(self.error))

    def _error(self, values: Floats, std: Floats) -> Floats:
        """Return the standard error of the contrasts on the scale of logits, (n, m).

        Members learned from the same outcomes, so that their errors do not cancel: the mean of
        those stated, by the weight of who states them.
        """
        inside = np.clip(values, _EDGE, 1 - _EDGE)
        steep = np.where(self.margins[:, None, None], 1.0, inside * (1 - inside))
        scaled = std / (steep * self.spread[:, None, None])
        stated = ~np.isnan(scaled)
        weight = np.where(stated, self.weights[:, 1, None, None], 0.0)
        total = weight.sum(axis=0)
        summed = (weight * np.where(stated, scaled, 0.0)).sum(axis=0)
        found: Floats = np.where(total > 0, summed / np.maximum(total, 1e-9), 0.0)
        return found

    def _links(self, values: Floats) -> Floats:
        """Return what members say as logits or scaled margins, (k, n, m)."""
        inside = np.clip(values, _EDGE, 1 - _EDGE)
        margins = self.margins[:, None, None]
        found: Floats = np.where(
            margins, values / self.spread[:, None, None], np.log(inside / (1 - inside))
        )
        return found

    def _sides(self, values: Floats) -> tuple[Floats, Floats]:
        """Return what is said of all models alike (k, n, 1), and of each beside it (k, n, m)."""
        away = self._links(values) - self.centre[:, None, :]
        common = away.mean(axis=2, keepdims=True)
        return common, away - common

    def notes(self, names: Sequence[str]) -> list[str]:
        """Return which of the members *names* earned their place."""
        parts = [
            f"{name} {common:.2f}/{own:.2f}"
            for name, (common, own) in zip(names, self.weights, strict=True)
            if common or own
        ]
        left = [name for name, used in zip(names, self.used, strict=True) if not used]
        told = f"weights (all models/between models): {', '.join(parts) or 'none'}"
        if left:
            told += f"; not needed: {', '.join(left)}"
        best = np.nanmin(self.brier[:-1]) if not np.isnan(self.brier[:-1]).all() else np.nan
        if not np.isnan(best):
            told += f"; Brier score {self.brier[-1]:.4f}, best member alone {best:.4f}"
        return [told]

    def arrays(self) -> dict[str, Floats]:
        """Return it as arrays, for a state."""
        return {f"blend_{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def of(cls, state: Arrays) -> Blend:
        """Return what *state* holds."""
        return cls(**{name: state[f"blend_{name}"] for name in _NAMES})


_NAMES = ("centre", "spread", "margins", "intercepts", "weights", "error", "brier")


def _logistic(features: Floats, quality: Floats) -> tuple[Floats, Floats, Floats]:
    """Return intercepts (m,), non-negative weights (p,), and the intercepts' precision (m,).

    Projected Newton steps (Bertsekas 1982) on the logistic loss with fractional targets: weights
    at zero that want to be negative are held there while the others move.
    """
    p, _, m = features.shape
    known = ~np.isnan(quality)
    y = np.where(known, quality, 0.0)
    count = known.sum(axis=0)
    start = (y.sum(axis=0) + 0.5) / (count + 1.0)
    intercepts, weights = np.log(start / (1 - start)), np.full(p, 0.3)
    precision = np.ones(m)
    for _ in range(_STEPS):
        fitted = _sigmoid(intercepts + np.einsum("p,phm->hm", weights, features))
        steep = np.where(known, fitted * (1 - fitted), 0.0)
        rest = np.where(known, fitted - y, 0.0)
        precision = steep.sum(axis=0)
        gradient = np.concatenate(
            [rest.sum(axis=0), np.einsum("hm,phm->p", rest, features) + _PRIOR * weights]
        )
        weighed = features * steep
        hessian = np.diag(np.concatenate([precision + 1e-6, np.full(p, _PRIOR)]))
        hessian[m:, :m] = weighed.sum(axis=1)
        hessian[:m, m:] = hessian[m:, :m].T
        hessian[m:, m:] += np.einsum("phm,qhm->pq", weighed, features)
        free = np.concatenate([np.ones(m, bool), (weights > 0) | (gradient[m:] < 0)])
        step = np.zeros(m + p)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        step *= min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        moved = np.maximum(weights - step[m:], 0.0)
        change = max(float(np.abs(moved - weights).max()), float(np.abs(step[:m]).max()))
        intercepts, weights = intercepts - step[:m], moved
        if change < 1e-8:
            break
    return intercepts, weights, precision


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found
