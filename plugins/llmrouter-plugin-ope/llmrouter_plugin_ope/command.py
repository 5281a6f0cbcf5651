"""`llmrouter ope`: what another router would get, from a log of this one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from llmrouter_core import LLMRouter
from llmrouter_core.cli.console import as_json, console, example, grid, number, progress, say, warn
from llmrouter_core.cli.outcomes import skip_bad_option, tell
from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_ope.log import Log
from llmrouter_plugin_ope.policy import SOURCES
from llmrouter_plugin_ope.report import FEWEST, Report, estimate

if TYPE_CHECKING:
    from llmrouter_core.evaluation.report import Figure
    from rich.table import Table

    from llmrouter_plugin_ope.estimating import Estimates

_ROWS = (
    ("as logged", "logged"),
    ("policy, IPS", "ips"),
    ("policy, self-normalised IPS", "snips"),
    ("policy, doubly robust", "dr"),
    ("policy minus logged, doubly robust", "gain"),
)
_FROM = {
    "text": "the texts of the queries",
    "embedding": "logged embeddings",
    "scores": "logged scores: its selector was asked, its scorers were not",
}


@click.command(epilog=example("llmrouter ope --policy new.toml --log decisions"))
@click.option("--policy", type=Path, required=True, help="The config of the router to judge.")
@click.option(
    "--log", "log", type=Path, required=True, metavar="DIR", help="Where the server logs into."
)
@click.option(
    "--from",
    "source",
    type=click.Choice(SOURCES),
    help="What the policy decides from.  [default: what most decisions hold]",
)
@click.option(
    "--by",
    type=click.Choice(("conversation", "user", "query")),
    default="conversation",
    show_default=True,
    help="What is resampled together.",
)
@click.option(
    "--since",
    type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")),
    metavar="TIME",
    help="Leave out what was decided before, in UTC: 2026-01-31, or with T12:00.",
)
@click.option(
    "--resamples",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Bootstrap resamples behind the intervals.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the resampling.",
)
@skip_bad_option
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
def ope(
    policy: Path,
    log: Path,
    source: str | None,
    by: str,
    since: datetime | None,
    resamples: int,
    seed: int,
    skip_bad: bool,
    json_: bool,
) -> None:
    """Estimate what the router of POLICY would have got where the decisions in DIR were taken.

    Nothing is sent. The log must have been written by a router that explores, and its
    propensities with it; where they cannot carry an estimate, none is given.
    """
    repairs = Repairs()
    with LLMRouter(policy) as router, progress("estimating") as move:
        start = None if since is None else since.replace(tzinfo=UTC).timestamp()
        found = Log.read(log, by=by, since=start, skip_bad=skip_bad, repairs=repairs)
        report = estimate(
            found, router, source=source, resamples=resamples, seed=seed, progress=move
        )
    tell(repairs)
    if json_:
        as_json(report.to_dict())
    else:
        _show(report)
    for sentence in report.warnings():
        warn(sentence)


def _show(report: Report) -> None:
    out = console()
    out.print(_figures(report))
    out.print()
    shares = grid("model", "logged, %", "policy, %")
    for name, (before, after) in report.shares.items():
        shares.add_row(name, f"{100 * before:.1f}", f"{100 * after:.1f}")
    out.print(shares)
    out.print()
    for name, one in (("quality", report.quality), ("cost", report.cost)):
        out.print(_verdict(name, one))
    say(
        f"{report.decisions:,} decisions, taken anew from {_FROM[report.source]}; "
        "95 % intervals in brackets"
    )
    if report.left_out:
        say(f"{report.left_out:,} decisions do not hold this and were left out")


def _figures(report: Report) -> Table:
    found = grid("", "quality, %", "$ per 1,000 queries")
    for label, name in _ROWS:
        form = "{:+.1f}" if name == "gain" else "{:.1f}"
        quality = report.quality and _cell(getattr(report.quality, name), 100, form.format)
        cost = report.cost and _cell(getattr(report.cost, name), 1000, number)
        found.add_row(label, quality or "-", cost or "-")
    return found


def _cell(figure: Figure, scale: float, form: Callable[[float], str]) -> str:
    low, high = (form(scale * end) for end in figure.interval)
    return f"{form(scale * figure.value)} [{low}, {high}]"


def _verdict(name: str, one: Estimates | None) -> str:
    if one is None:
        return f"{name}: not known of any decision that the policy would take as well"
    low, high = one.gain.interval
    if one.effective < FEWEST:
        said = "too few to tell"
    else:
        said = "lower" if high < 0 else "higher" if low > 0 else "may be the same"
    return (
        f"{name}: {said}; {one.known:,} known, {one.matched:,} of them also the policy's choice, "
        f"{one.effective:,.0f} effective"
    )
