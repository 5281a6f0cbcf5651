"""The sections of a page, from the headline to the card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from llmrouter_plugin_report import calibration, card, expert, tables
from llmrouter_plugin_report.content import Block, Heading, Picture, Section
from llmrouter_plugin_report.figures import count
from llmrouter_plugin_report.legend import legend
from llmrouter_plugin_report.markup import tag
from llmrouter_plugin_report.plot import NARROW, WIDE, plot
from llmrouter_plugin_report.points import marks, unplaced
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.saving import DAYS
from llmrouter_plugin_report.words import Verdict, verdict


@frozen(kw_only=True)
class Document:
    """Everything that a page says.

    Attributes:
        title: Its title.
        under: A line under the title.
        verdicts: One per run, with its name.
        sections: The parts of the page.
    """

    title: str
    under: str
    verdicts: tuple[tuple[str, Verdict], ...]
    sections: tuple[Section, ...]


def document(runs: Sequence[Run], per_day: int, title: str) -> Document:
    """Return what there is to say about *runs*."""
    found = []
    for run in runs:
        who = "The router" if len(runs) == 1 else f"Router {run.name}"
        found.append((run.name, verdict(run, per_day, who)))
    lines = [f"{_queries(run)}, {_models(run)}" for run in runs]
    under = f"Replayed over the recorded answers to {lines[0]}."
    if len(runs) > 1:
        under = "Replayed over recorded answers. " + " ".join(
            f"{run.name}: {line}." for run, line in zip(runs, lines, strict=True)
        )
    sections = (
        Section(name="plane", title="Quality and cost", blocks=tuple(_plane(runs, found))),
        Section(name="savings", title="Saved per month", blocks=tuple(_saved(runs, per_day))),
        Section(name="shares", title="Which models answer", blocks=tuple(_shares(runs))),
        Section(name="tasks", title="Where it wins and loses", blocks=tuple(_each(runs, _tasks))),
        Section(
            name="calibration",
            title="Can its predictions be trusted?",
            blocks=tuple(_each(runs, _calibration)),
        ),
        Section(name="figures", title="For comparison with papers", blocks=tuple(_expert(runs))),
        Section(name="card", title="Router card", blocks=tuple(_each(runs, _card))),
    )
    return Document(title=title, under=under, verdicts=tuple(found), sections=sections)


def _queries(run: Run) -> str:
    return f"{count(run.report.queries)} quer{'y' if run.report.queries == 1 else 'ies'}"


def _models(run: Run) -> str:
    models = len(run.router.shares)
    return f"{count(models)} model{'' if models == 1 else 's'}"


def _each(runs: Sequence[Run], blocks: Callable[[Run, int], Iterator[Block]]) -> Iterator[Block]:
    """Yield the blocks of each run under its name, which goes without saying if there is one."""
    for number, run in enumerate(runs):
        if len(runs) > 1:
            yield Heading(run.name)
        yield from blocks(run, number)


def _plane(runs: Sequence[Run], found: Sequence[tuple[str, Verdict]]) -> Iterator[Block]:
    if len(runs) > 1 and len({_test(run) for run in runs}) > 1:
        yield (
            "Careful: these runs were not evaluated on the same outcomes. Their figures cannot be "
            "compared with each other; single models, oracle and random are those of the first."
        )
    if marks(runs):
        said = " ".join(one.headline + "." for _, one in found)
        drawn = [plot(runs, size, "Mean score against cost", said) for size in (WIDE, NARROW)]
        pictures = (
            tag("div", markup, tag("p", _lost(lost)) if lost else None, class_=size.name)
            for (markup, lost), size in zip(drawn, (WIDE, NARROW), strict=True)
        )
        yield Picture(tag("figure", *pictures, legend(runs)))
        yield (
            "Up is better, left is cheaper. Lines through the marks are 95\u00a0% intervals. The "
            "dashed line is what mixing single models at random reaches: a router earns its keep "
            "above it."
        )
    else:
        yield "There is no plot of quality and cost: the report has no costs."
    lost = unplaced(runs)
    if lost and marks(runs):
        yield f"Not in the plot, because cost or score is unknown: {', '.join(lost)}."
    yield tables.policies(runs)
    models = tables.singles(runs)
    if models is not None:
        yield models


def _lost(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{count(len(names))} marks have no room for a name; the tables have them all."
    return f"No room for the names of: {', '.join(names)}."


def _test(run: Run) -> str:
    data = run.report.card.get("data")
    return repr((run.report.queries, run.report.card.get("test"), data))


def _saved(runs: Sequence[Run], per_day: int) -> Iterator[Block]:
    table = tables.saved(runs, per_day)
    if table is None:
        yield "The report has no fixed choice to compare the bill with."
        return
    if any("unknown" in row for row in table.rows):
        yield "Where it says unknown, prices are missing: add them to the models of the config."
    yield table
    yield (
        f"A month has {DAYS} days. The bounds hold in at least 95\u00a0% of cases, if queries and "
        "prices stay as they were."
    )


def _shares(runs: Sequence[Run]) -> Iterator[Block]:
    table = tables.shares(runs)
    if table is None:
        yield "The report does not say which models answer."
        return
    yield table
    rest = tables.unused(runs)
    if rest:
        yield f"Never asked: {', '.join(rest)}."


def _tasks(run: Run, number: int) -> Iterator[Block]:
    if not run.report.tasks:
        yield "The report has no figures by task: the outcomes name no tasks."
        return
    yield tables.tasks(run)
    if len(run.report.tasks) > 10:
        yield "With many tasks, about one interval in twenty excludes zero by chance alone."


def _calibration(run: Run, number: int) -> Iterator[Block]:
    if not run.report.calibration:
        yield "There is nothing to check: the report has no predictions of quality."
        return
    yield (
        "Predicted against seen mean scores, in percent. On the diagonal a predicted 80\u00a0% is "
        "80\u00a0%; below it the router expects too much of the model."
    )
    yield Picture(calibration.plots(run, f"calibration-{number}"))
    yield calibration.table(run)


def _expert(runs: Sequence[Run]) -> Iterator[Block]:
    table = expert.table(runs)
    if table is None:
        yield "The report has none of the summary figures."
        return
    yield table
    yield from dict.fromkeys(filter(None, (expert.pair(run.report) for run in runs)))


def _card(run: Run, number: int) -> Iterator[Block]:
    yield from card.blocks(run)
    yield "What the figures do not say:"
    yield card.limits(run)
