"""Item response with demands and difficulty that are linear in the embedding of a query."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from llmrouter_core import Arrays, Floats

_STEPS = 12
_ENOUGH = 1e-3  # of the largest change of a logit, at which it stops
_WIDTH = 2.0  # standard deviation of the prior on how able a model is, in logits
_STRENGTHS = tuple(float(10**power) for power in np.arange(4.0, -1.01, -0.25))
_NAMES = ("centre", "loadings", "difficulty", "abilities", "levels")


@frozen(kw_only=True, eq=False)
class Responses:
    """`logit P = a(x)' theta_m + d_m - b(x)` with `a(x) = (x - centre)' A`, `b(x)` alike.

    The scale of *theta* is free: each of its k directions has mean zero and mean square one over
    the m models, so that the spread of `a(x)` says how much a direction tells models apart.

    Attributes:
        centre: Mean embedding, (d,).
        loadings: *A*, (d, k).
        difficulty: Slopes of *b*, (d,).
        abilities: *theta*, (m, k).
        levels: *d*, (m,).
        slopes: Of the logits, (d, m): what a decision needs.
    """

    centre: Floats
    loadings: Floats
    difficulty: Floats
    abilities: Floats
    levels: Floats
    slopes: Floats

    @classmethod
    def fit(
        cls, embeddings: Floats, quality: Floats, dimensions: int, directions: int
    ) -> Responses:
        """Return what *quality*, (n, m) in 0..1 with NaN for gaps, says of *embeddings*, (n, d).

        Minorisation-maximisation (Boehning & Lindsay 1988) of the posterior: a logistic
        likelihood is at least a parabola of curvature 1/4, whose maximum under Gaussian priors is
        a ridge regression, of rank k for what tells models apart (Izenman 1975). A gap is filled
        with what is predicted for it, which is the same bound of a likelihood that is flat.

        Args:
            embeddings: Of the queries.
            quality: Their outcomes.
            dimensions: k, at most m - 1 of which can count.
            directions: How many principal directions of the embeddings are looked at.
        """
        centre = embeddings.mean(axis=0, dtype=np.float64)
        seen = embeddings - centre
        widths, vectors = np.linalg.eigh(seen.T @ seen)
        widths, vectors = np.maximum(widths[-directions:], 0.0), vectors[:, -directions:]
        turned = seen @ vectors  # (n, r)
        known = ~np.isnan(quality)
        target = np.where(known, quality, 0.0)
        seldom, often = _strengths(turned, widths, target, known)
        m = quality.shape[1]
        count = known.sum(axis=0)
        usual = _logit((target.sum() + 0.5) / (count.sum() + 1.0))
        levels = _logit((target.sum(axis=0) + 0.5) / (count + 1.0))
        levels = np.where(count > 0, levels, usual)
        logits: Floats = np.zeros(quality.shape)
        asked = np.maximum(known.sum(axis=1, keepdims=True), 1)
        for step in range(_STEPS):
            rest = np.where(known, target - sigmoid(levels + logits), 0.0).sum(axis=0)
            pull = 1 / _WIDTH**2
            levels = levels + (rest - pull * (levels - usual)) / (count / 4 + pull)
            away = np.where(known, 4 * (target - sigmoid(levels + logits)), 0.0)
            if not step:  # begin with the other models' mean instead of none
                away = np.where(known, away, away.sum(axis=1, keepdims=True) / asked)
            products = turned.T @ (logits + away)  # (r, m)
            common = products.mean(axis=1, keepdims=True)
            own = products - common
            shared = common / (widths + seldom)[:, None]
            free = own / (widths + often)[:, None]
            basis = np.linalg.eigh(free.T @ own)[1][:, ::-1][:, :dimensions]  # (m, k)
            found = free @ basis
            before, logits = logits, turned @ (found @ basis.T + shared)
            if np.abs(logits - before).max(initial=0.0) < _ENOUGH:
                break
        sign = np.where((basis**3).sum(axis=0) < 0, -1.0, 1.0)
        abilities = basis * sign * np.sqrt(m)
        return cls.of(
            {
                "centre": centre,
                "loadings": vectors @ found * sign / np.sqrt(m),
                "difficulty": -(vectors @ shared)[:, 0],
                "abilities": abilities,
                "levels": levels,
            }
        )

    def logits(self, embeddings: Floats) -> Floats:
        """Return the logits of all models for *embeddings* (n, d), (n, m)."""
        found: Floats = (embeddings - self.centre) @ self.slopes + self.levels
        return found

    def demands(self, embeddings: Floats) -> Floats:
        """Return *a* for *embeddings* (n, d), (n, k)."""
        found: Floats = (embeddings - self.centre) @ self.loadings
        return found

    def arrays(self) -> dict[str, Floats]:
        """Return it as arrays, for a state."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def of(cls, state: Arrays) -> Responses:
        """Return what *state* holds."""
        slopes = state["loadings"] @ state["abilities"].T - state["difficulty"][:, None]
        return cls(**{name: state[name] for name in _NAMES}, slopes=slopes)


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x))."""
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return found


def _logit(share: Floats) -> Floats:
    found: Floats = np.log(share / (1 - share))
    return found


def _strengths(
    turned: Floats, widths: Floats, target: Floats, known: Floats
) -> tuple[float, float]:
    """Return the strength of the prior on what models share, and on what tells them apart.

    Each minimises the generalised cross-validation error (Golub, Heath & Wahba 1979) of a ridge
    regression of the outcomes; gaps shrink all widths alike.
    """
    count = np.maximum(known.sum(axis=0), 1)
    rest = np.where(known, target - target.sum(axis=0) / count, 0.0)
    total, asked = rest.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
    # One more is counted, so that queries asked of one model only say something of it too.
    own = np.where(known, rest - total / (asked + 1), 0.0)
    share = float(known.mean())
    return (
        _least(turned, widths, total / np.maximum(asked, 1), 1.0),
        _least(turned, widths, own, share),
    )


def _least(turned: Floats, widths: Floats, values: Floats, share: float) -> float:
    energy = np.square(turned.T @ values).sum(axis=1)
    width = np.maximum(widths * share, 1e-9)
    rows = max(len(values) * share, 2.0)
    best = np.inf, _STRENGTHS[0]
    for strength in _STRENGTHS:
        kept = width / (width + strength)
        error = np.square(values).sum() - (energy / width * kept * (2 - kept)).sum()
        free = max(1 - (kept.sum() + 1) / rows, 1e-3)
        best = min(best, (float(error / free**2), strength), key=lambda found: found[0])
    return best[1]
