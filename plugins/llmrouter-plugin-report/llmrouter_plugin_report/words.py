"""What was found, in plain words: nothing is called better that may be chance."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from llmrouter_plugin_report.figures import (
    Bounds,
    between,
    count,
    decimal,
    dollars,
    known,
    per_thousand,
    percent,
    points,
    whole,
)
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.saving import Saving, cheaper, savings

FEWEST = 30
"""Queries below which bootstrap intervals are too narrow to believe."""


class Sign(Enum):
    """On which side of zero a difference lies."""

    ABOVE = "above"
    BELOW = "below"
    EITHER = "includes zero"
    UNKNOWN = "unknown"
    FEW = "too few queries"


@frozen(kw_only=True)
class Verdict:
    """What may be said of a router beside the best single model.

    Attributes:
        quality: Side of the gain in quality.
        cost: Side of what is saved.
        headline: A few words.
        sentences: The same with figures, quality first.
    """

    quality: Sign
    cost: Sign
    headline: str
    sentences: tuple[str, ...]


def verdict(run: Run, per_day: int, who: str = "The router") -> Verdict:
    """Return what may be said of the router of *run*, which the sentences call *who*."""
    best = run.row("best single")
    saved, bounds = (None, None) if best is None else cheaper(run.router, best)
    few = run.router.answered < FEWEST
    quality = Sign.FEW if few else side(run.router.gain_interval)
    cost = Sign.UNKNOWN if not known(saved) else Sign.FEW if few else side(bounds)
    return Verdict(
        quality=quality,
        cost=cost,
        headline=_headline(run, quality, cost),
        sentences=tuple(
            sentence
            for sentence in (
                _quality(run, quality, who),
                _cost(run, cost),
                "" if few else _month(savings(run, per_day), per_day),
                _mixing(run),
                _by_task(run),
            )
            if sentence
        ),
    )


def side(bounds: Bounds) -> Sign:
    """Return on which side of zero an interval lies."""
    ends = whole(bounds)
    if ends is None:
        return Sign.UNKNOWN
    return Sign.ABOVE if ends[0] > 0 else Sign.BELOW if ends[1] < 0 else Sign.EITHER


def _headline(run: Run, quality: Sign, cost: Sign) -> str:
    if quality is Sign.FEW:
        return "Too few queries for a verdict"
    first = {
        Sign.ABOVE: "Better",
        Sign.BELOW: "Worse",
        Sign.EITHER: "Not significantly better",
        Sign.UNKNOWN: "Quality not comparable",
    }[quality]
    best, spent = run.row("best single"), run.router.cost
    share = "" if best is None else _share(spent, best.cost)
    if cost is Sign.ABOVE:
        joint = "and" if quality is Sign.ABOVE else "but"
        return f"{first}, {joint} {share}cheaper than the best single model"
    if cost is Sign.BELOW:
        joint = "but" if quality is Sign.ABOVE else "and"
        return f"{first}, {joint} {share}dearer than the best single model"
    end = "no clear difference in cost" if cost is Sign.EITHER else "cost not comparable"
    return f"{first} than the best single model, {end}" if quality is not Sign.UNKNOWN else first


def _share(mine: float | None, theirs: float | None) -> str:
    """Return by how much *mine* differs from *theirs*, such as `62 % ` or `3.1 times `."""
    if not known(mine) or not known(theirs) or theirs <= 0:
        return ""
    if mine >= 2 * theirs:
        return f"{mine / theirs - 1:,.1f} times "
    change = 100 * abs(1 - mine / theirs)
    return f"{change:.0f}\u00a0% " if change >= 1 else "less than 1\u00a0% "


def _quality(run: Run, sign: Sign, who: str) -> str:
    row, best = run.router, run.row("best single")
    model = run.model("best single")
    named = f"the best single model{f', {model}' if model else ''}"
    if best is None or not known(row.gain):
        return f"Whether {_lower(who)} answers better than {named} is not in the report."
    scores = f"a mean score of {percent(row.quality)} against {percent(best.quality)}"
    difference = f"{points(row.gain)} points"
    interval = f"{between(row.gain_interval, points)} points"
    if sign is Sign.FEW:
        queries = "query is" if row.answered == 1 else "queries are"
        return (
            f"{who} had {scores} for {named}, but {count(row.answered)} {queries} too few to "
            f"tell a gain from chance; replay at least {FEWEST}."
        )
    if sign is Sign.ABOVE:
        return (
            f"{who} answers better than {named}: {scores}. The gain of {difference} has a "
            f"95\u00a0% interval of {interval}, which excludes zero."
        )
    if sign is Sign.BELOW:
        return (
            f"{who} answers worse than {named}: {scores}. The loss of {difference} has a "
            f"95\u00a0% interval of {interval}, which excludes zero."
        )
    if sign is Sign.EITHER:
        return (
            f"{who} is not significantly better than {named}: {scores}. The difference of "
            f"{difference} has a 95\u00a0% interval of {interval}, which includes zero."
        )
    return f"{who} had {scores} for {named}; without an interval that may be chance."


def _cost(run: Run, sign: Sign) -> str:
    best = run.row("best single")
    if best is None:
        return ""
    mine, theirs = run.router.cost, best.cost
    if not known(mine) or not known(theirs):
        return "What it costs beside that model is unknown, because prices are missing."
    figures = f"{per_thousand(mine)} against {per_thousand(theirs)} per 1,000 queries"
    if sign is Sign.ABOVE:
        return f"It costs {_share(mine, theirs)}less: {figures}."
    if sign is Sign.BELOW:
        return f"It costs {_share(mine, theirs)}more: {figures}."
    if sign is Sign.EITHER:
        return f"The costs differ by no more than chance may explain: {figures}."
    return f"It costs {figures}; without an interval to believe that may be chance."


def _month(found: list[Saving], per_day: int) -> str:
    saving = next((one for one in found if one.policy.startswith("best single")), None)
    if saving is None or saving.month is None or saving.interval is None:
        return ""
    verb = "saves" if saving.month >= 0 else "costs another"
    low, high = saving.interval
    bounds = (low, high) if saving.month >= 0 else (-high, -low)
    return (
        f"At {count(per_day)} queries a day that {verb} {dollars(abs(saving.month))} a month "
        f"({between(bounds, dollars)})."
    )


def _mixing(run: Run) -> str:
    """Return whether the router beats mixing single models at random."""
    gain = run.report.aiq_gain
    sign = Sign.UNKNOWN if gain is None else side(gain.interval)
    if gain is None or sign is Sign.UNKNOWN or run.router.answered < FEWEST:
        return ""
    beats = {
        Sign.ABOVE: "it is better than mixing single models at random",
        Sign.BELOW: "it is worse than mixing single models at random",
        Sign.EITHER: "it is not significantly better than mixing single models at random",
    }[sign]
    return (
        f"Over the whole range of costs {beats} (area under the curve "
        f"{_signed(gain.value)}, interval {between(gain.interval, _signed)})."
    )


def _by_task(run: Run) -> str:
    """Return what a table of the best model for each task does, where that is no worse."""
    row = run.row("per-task best")
    if row is None or len(run.report.tasks) < 2 or not row.quality >= run.router.quality:
        return ""
    return (
        "Looking up the best model of each task, for whoever knows the task of a query, scores "
        f"{percent(row.quality)} at {per_thousand(row.cost)} per 1,000 queries."
    )


def _signed(value: float | None) -> str:
    return f"{'+' if known(value) and value > 0 else ''}{decimal(value)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
