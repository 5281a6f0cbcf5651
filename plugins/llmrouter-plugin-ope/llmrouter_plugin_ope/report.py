"""All that a log can tell of another router, or the sentence that says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import asdict, frozen
from llmrouter_core import Floats, LLMRouter
from llmrouter_core.evaluation.report import plain

from llmrouter_plugin_ope.errors import NoEstimate
from llmrouter_plugin_ope.estimating import TINY, Estimates, estimates
from llmrouter_plugin_ope.log import Log
from llmrouter_plugin_ope.policy import Target, decided

FEWEST = 100
"""Effective decisions below which an interval cannot be trusted."""


@frozen(kw_only=True)
class Report:
    """What another router would have got.

    Attributes:
        decisions: Decisions it is about.
        left_out: Decisions that did not hold what the router decides from.
        source: What it decided from: `text`, `embedding` or `scores`.
        quality: Estimates of the reward, 0 to 1, or None where none was given.
        cost: Estimates of US dollars per decision, or None where unknown.
        shares: Share of each model before and after, by name.
        resamples: Bootstrap resamples.
        seed: Seed of the resamples.
    """

    decisions: int
    left_out: int
    source: str
    quality: Estimates | None
    cost: Estimates | None
    shares: dict[str, tuple[float, float]]
    resamples: int
    seed: int

    def warnings(self) -> list[str]:
        """Return why the figures should not be trusted, as sentences."""
        found = []
        for name, one in (("quality", self.quality), ("cost", self.cost)):
            if one is None:
                continue
            if one.effective < FEWEST:
                found.append(
                    f"{name}: the weights leave {one.effective:,.0f} effective decisions of "
                    f"{one.known:,}, so its intervals are too narrow; log more, or explore more"
                )
            elif one.known < self.decisions / 2:
                found.append(
                    f"{name}: known for {one.known:,} of {self.decisions:,} decisions; it is the "
                    "mean of those only, who may not be like the others"
                )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, ready for JSON; unknown numbers are None."""
        return asdict(self, value_serializer=lambda _, __, value: plain(value))


def estimate(
    log: Log,
    router: LLMRouter,
    *,
    source: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Return what *router* would have got where *log* was written.

    Args:
        log: Decisions with propensities.
        router: The router to judge; nothing is sent.
        source: What it decides from, `text`, `embedding` or `scores`; see `decided`.
        resamples: Bootstrap resamples.
        seed: Seed of the resamples.
        progress: Called with the share done, from 0 to 1.

    Raises:
        NoEstimate: The router takes choices that the logged one never takes, or nothing is known
            of those they share.
    """
    tell = progress or (lambda share: None)
    target = decided(log, router, source)
    tell(0.4)
    supported(target)
    kept, m = target.log, len(log.models)
    shares = target.shares[:, :m]
    predictions = {
        "quality": _predictions(target, "quality"),
        "cost": _predictions(target, "cost"),
    }
    found: dict[str, Estimates | None] = {}
    for name, values in (("quality", kept.reward), ("cost", kept.cost)):
        found[name] = estimates(
            values,
            kept.chosen,
            kept.propensities,
            shares,
            scores=predictions[name],
            groups=kept.groups,
            resamples=resamples,
            seed=seed,
        )
        tell(0.7 if name == "quality" else 1.0)
    if found["quality"] is None and found["cost"] is None:
        raise NoEstimate(
            f"none of the {len(kept):,} decisions that the policy would take as well has a reward "
            "or a cost; collect feedback (/v1/feedback), or log more"
        )
    before = np.bincount(kept.chosen, minlength=m) / max(len(kept), 1)
    return Report(
        decisions=len(kept),
        left_out=target.left_out,
        source=target.source,
        quality=found["quality"],
        cost=found["cost"],
        shares={
            name: (float(before[j]), float(shares[:, j].mean()))
            for j, name in enumerate(log.models)
        },
        resamples=resamples,
        seed=seed,
    )


def supported(target: Target) -> None:
    """Raise unless every choice of the policy could have been logged.

    Raises:
        NoEstimate: One could not, so that nothing is known of what it brings.
    """
    log = target.log
    odds = np.zeros(target.shares.shape)
    odds[:, : len(log.models)] = log.propensities
    blind = (target.shares > TINY) & (odds <= 0)  # (n, models)
    rows = int(blind.any(axis=1).sum())
    if not rows:
        return
    counts = blind.sum(axis=0)
    where = ", ".join(
        f"{target.models[j]} ({counts[j]:,})"
        for j in np.argsort(-counts, kind="stable")
        if counts[j]
    )
    raise NoEstimate(
        f"in {rows:,} of {len(log):,} decisions the policy takes a model that the logged one "
        f"could not have taken: {where}; their propensity is 0, so the log says nothing of them; "
        "let some traffic explore (extension 'experiment', explore = 0.05), and judge by what is "
        "logged since then (--since)"
    )


def _predictions(target: Target, name: str) -> Floats | None:
    """Return what was predicted of each model when the log was written, else what is now."""
    logged = target.log.scores.get(name)
    if logged is not None and np.isfinite(logged).any():
        return np.where(np.isfinite(logged), logged, np.nan)
    return target.quality if name == "quality" else None
