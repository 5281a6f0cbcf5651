"""`llmrouter onboard`: one more model for a trained router, from its answers to a few queries."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import evolve
from llmrouter_core import (
    ArtefactMismatch,
    ConfigError,
    Dataset,
    DatasetError,
    LLMRouter,
    Model,
    Trainable,
)
from llmrouter_core.artefacts import refuse_strangers
from llmrouter_core.cli.console import (
    SEED,
    Misuse,
    as_json,
    config_argument,
    console,
    example,
    grid,
    number,
    say,
    warn,
)
from llmrouter_core.cli.outcomes import read_outcomes, skip_bad_option
from llmrouter_core.config import Config, load
from llmrouter_core.dataset import MEASURES
from llmrouter_core.learning import anchors
from llmrouter_core.outcomes import STATUSES

from llmrouter_plugin_collect.arguments import judging_model, priced, questions
from llmrouter_plugin_collect.journal import OUTCOMES, Journal
from llmrouter_plugin_collect.lanes import lanes
from llmrouter_plugin_collect.plan import Plan
from llmrouter_plugin_collect.questions import Question
from llmrouter_plugin_collect.running import Run
from llmrouter_plugin_collect.showing import carry_out, estimate, estimate_table

_COLUMN = {"quality": "score"}
_PASSES = 3  # how often failed calls are asked again: a model joins once


@click.command(
    epilog=example(
        "llmrouter onboard router.toml newcomer sim --outcomes outcomes.jsonl --dry-run",
        "llmrouter onboard router.toml newcomer sim --outcomes outcomes.jsonl --out newcomer",
    )
)
@config_argument
@click.argument("new")
@click.argument("tasks", nargs=-1)
@click.option(
    "--outcomes",
    type=Path,
    required=True,
    help="What the other models did with the queries; best what they were trained on.",
)
@click.option("--out", type=Path, help="Folder of the new model's answers; it resumes.")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many queries the new model is asked.",
)
@click.option(
    "--queries", type=Path, metavar="FILE", help="Choose from these too, as in `collect`."
)
@click.option("--scored-by", metavar="TASK", help="The task that words and scores --queries.")
@click.option(
    "--task-source",
    "sources",
    multiple=True,
    metavar="[TASK=]FILE",
    help="Where a task's examples are.",
)
@click.option("--judge", metavar="MODEL", help="The model that judges, where a task wants one.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="USD",
    help="What OUT may cost, all runs together.",
)
@click.option("--artefacts", type=Path, help="Folder for what is learned.  [default: CONFIG's]")
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of the choice of queries."
)
@click.option("--dry-run", is_flag=True, help="Choose and estimate the bill, ask nothing.")
@skip_bad_option
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
def onboard(
    config: Path,
    new: str,
    tasks: tuple[str, ...],
    outcomes: Path,
    out: Path | None,
    budget: int,
    queries: Path | None,
    scored_by: str | None,
    sources: tuple[str, ...],
    judge: str | None,
    max_cost: float | None,
    artefacts: Path | None,
    seed: int,
    dry_run: bool,
    skip_bad: bool,
    json_: bool,
) -> None:
    """Add the model NEW to what CONFIG has learned, by asking it a few queries.

    CONFIG lists NEW in its pool, and its artefacts were learned for the other models. Queries of
    the TASKS and of --queries that are in OUTCOMES, by id or text, are candidates; those that
    NEW is asked are chosen to stand for all. The same command goes on where it stopped. Then the
    artefacts are replaced by those of the whole pool.
    """
    if out is None and not dry_run:
        raise Misuse("where should the answers go? add: --out newcomer @ --out")
    if max_cost is not None and math.isnan(max_cost):
        raise Misuse("a limit is an amount in dollars, got nan @ --max-cost")
    found = load(config)
    router = LLMRouter.of(found)
    model = _named(router, new, found)
    folder = artefacts or found.folder / (found.router.artefacts or "artefacts")
    refuse_strangers(folder)
    asked = questions(tasks, sources, queries, scored_by, None, 0, None)
    known = _others(read_outcomes(outcomes, skip_bad), router, model, outcomes)
    rows = _matched(asked, known, outcomes)
    if not dry_run:
        before = _learned(router, model, found)
    known = known.take(sorted(rows))
    by_row = dict(enumerate(rows[row] for row in sorted(rows)))
    chosen = anchors(known.quality, budget, seed=seed)
    place = {by_row[int(row)].columns["id"]: int(row) for row in chosen}
    plan = Plan([by_row[int(row)] for row in sorted(chosen)], [model])
    judging = judging_model(router, judge, plan)
    say(f"{len(plan):,} of {len(known):,} queries that are in {outcomes} are for '{new}'")
    if dry_run:
        journal = Journal(out or Path(), plan)
        bill = estimate(journal.look() if out is not None else journal, 512)
        if json_:
            as_json(bill)
        else:
            console().print(estimate_table(bill))
        say("an estimate; nothing was asked")
        return
    if max_cost is not None:
        priced([model, *([judging] if judging else [])], "--max-cost")
    answers = _ask(router, plan, judging, out or Path(), max_cost)
    data = _added(known, new, answers["rows"], place)
    joined = _joined(before, model, data, answers)
    joined.save(folder)
    report = {**_expected(joined, new, data), "model": new, "spent": answers["spent"]}
    if json_:
        as_json(report)
    else:
        console().print(_table(report))
    say(f"saved to {folder}: the whole pool, {len(joined.pipeline.models)} models")
    named = found.router.artefacts
    if named is None or (found.folder / named).resolve() != folder.resolve():
        path = json.dumps(os.path.relpath(folder, found.folder), ensure_ascii=False)
        say(f"to use it, set [router] artefacts to {path} in {config}")


def _named(router: LLMRouter, name: str, config: Config) -> Model:
    """Return the model of the pool that is called *name*, of at least two."""
    pool = router.pipeline.models
    for model in pool:
        if model.name == name and len(pool) > 1:
            return model
    if [model.name for model in pool] == [name]:
        raise Misuse(f"'{name}' is the whole pool, so nothing is learned that it could join @ NEW")
    listed = ", ".join(model.name for model in pool)
    raise Misuse(
        f"there is no routable model '{name}' in the pool of {config.source}; add "
        f"[model.{name}]; there are: {listed} @ NEW"
    )


def _others(found: Dataset, router: LLMRouter, model: Model, path: Path) -> Dataset:
    """Return the outcomes of the pool without *model*."""
    names = [one.name for one in router.pipeline.models if one.name != model.name]
    try:
        return found.for_models(names)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None


def _matched(asked: Sequence[Question], known: Dataset, path: Path) -> dict[int, Question]:
    """Return the question of each row of *known* that has one: of its id, else of its text."""
    ids = {name: row for row, name in enumerate(known.ids)}
    texts: dict[str, int] = {}
    for row, text in enumerate(known.texts):
        texts.setdefault(text, row)
    told = [not gaps.all() for gaps in np.isnan(known.quality)]
    found: dict[int, Question] = {}
    for question in asked:
        named = (question.columns["id"], question.example.id)
        same = (ids[name] for name in named if name in ids)
        rows = [row for row in same if known.texts[row] == question.example.text]
        at = rows[0] if rows else texts.get(question.example.text)
        if at is not None and told[at]:
            found.setdefault(at, question)
    if not found:
        raise DatasetError(
            f"{path}: none of its {len(known):,} queries is among the {len(asked):,} to ask, by "
            "id or text; give the task or the file that the outcomes were collected from"
        )
    return found


def _learned(router: LLMRouter, model: Model, config: Config) -> LLMRouter:
    """Return a router of the pool without *model* that knows the config's artefacts.

    Raises:
        ConfigError: No part learns, or the config has no artefacts, or they have *model* already.
        ArtefactError: They are for another pool, or damaged.
    """
    if not any(isinstance(part.plugin, Trainable) for part in config.parts):
        raise ConfigError(
            config.source,
            [f"no part learns, so '{model.name}' need not join: it is used as it is @ NEW"],
        )
    rest = tuple(one for one in router.models if one.name != model.name)
    folder = config.folder / (config.router.artefacts or "artefacts")
    if not folder.exists():
        raise ConfigError(
            config.source,
            [
                f"nothing is learned yet in {folder}; take '{model.name}' out of the pool, train, "
                "and put it back @ router.artefacts"
            ],
        )
    before = LLMRouter.of(evolve(config, models=rest))
    learned = before.load(folder)
    if _fits(LLMRouter.of(config), folder):
        raise ConfigError(
            config.source,
            [f"'{model.name}' is in {folder} already, so it cannot join again @ NEW"],
        )
    return learned


def _fits(router: LLMRouter, folder: Path) -> bool:
    """Return whether what is in *folder* was learned for the whole pool of *router*."""
    try:
        router.load(folder)
    except ArtefactMismatch:
        return False
    return True


def _ask(
    router: LLMRouter, plan: Plan, judge: Model | None, out: Path, limit: float | None
) -> dict[str, Any]:
    """Ask what is open, and return the rows there are, what they cost, and how many are scored.

    Raises:
        DatasetError: There is money for a part of them only.
    """
    with Journal(out, plan) as journal:
        called = [*plan.models, *([judge] if judge else [])]
        run = Run(
            router=router,
            journal=journal,
            lanes=lanes(router, called, {}, {}),
            judge=judge,
            budget=limit,
            passes=_PASSES,
        )
        carry_out(run)
        journal.finish()
        rows = list(journal.rows())
        spent = journal.tally.spent
    for name, error in run.given_up.items():
        warn(f"model '{name}' failed again and again: {error}")
    good = sum(row["status"] == "ok" for row in rows)
    say(f"{good:,} of {len(plan):,} answers scored, in {out / OUTCOMES}, ${spent:.6g} spent")
    if run.stopped:
        # A model joins once, so it does not join by the answers that the money happened to buy.
        why = run.stopped.replace("--budget", "--max-cost")
        raise DatasetError(f"{out}: '{plan.models[0].name}' has not joined: {why}")
    return {"rows": rows, "spent": spent, "good": good, "planned": len(plan), "out": out}


def _added(
    known: Dataset, name: str, rows: Sequence[dict[str, Any]], place: dict[str, int]
) -> Dataset:
    """Return *known* with a column for the model *name*, filled from its *rows*."""
    n = len(known)
    column = {measure: np.full((n, 1), np.nan) for measure in MEASURES}
    status = np.zeros((n, 1), np.uint8)
    for row in rows:
        at = place[row["id"]]
        status[at] = STATUSES.index(row["status"])
        for measure, values in column.items():
            value = row.get(_COLUMN.get(measure, measure))
            # A truncated or failed call has tokens, but no answer whose length would be typical.
            if value is not None and row["status"] == "ok":
                values[at] = value
    changes: dict[str, Any] = {
        measure: np.hstack([getattr(known, measure), values]) for measure, values in column.items()
    }
    changes["status"] = np.hstack([known.status, status])
    return evolve(known, models=(*known.models, name), **changes)


def _joined(before: LLMRouter, model: Model, data: Dataset, answers: dict[str, Any]) -> LLMRouter:
    """Return the router with *model*, learned from *data*."""
    good, planned = answers["good"], answers["planned"]
    if not good:
        raise DatasetError(
            f"{answers['out']}: '{model.name}' has no scored answer, so nothing is learned; see "
            f"the errors in {OUTCOMES}, and run the same again"
        )
    if good < planned:
        warn(f"{planned - good:,} of {planned:,} calls have no score; learning from the others")
    return before.onboard(model, data)


def _expected(router: LLMRouter, name: str, data: Dataset) -> dict[str, Any]:
    """Return what *router* expects of every model on the queries of *data*, and who is chosen."""
    pipeline = router.pipeline
    embeddings = pipeline.embed(data.queries) if pipeline.wants_embeddings else None
    ranking, scores = pipeline.rank(data.queries, embeddings)
    first = ranking[:, 0]
    models: list[dict[str, Any]] = []
    column = {one: j for j, one in enumerate(data.models)}
    for j, model in enumerate(pipeline.models):
        row: dict[str, Any] = {"model": model.name, "new": model.name == name}
        for kind, scored in scores.items():
            row[kind] = float(scored.values[:, j].mean())
        if model.name == name and "quality" in scores and scores["quality"].std is not None:
            # It is mostly the level's, common to all queries; that of others is of one query.
            row["error"] = float(scores["quality"].std[:, j].mean())
        known = data.quality[:, column[model.name]]
        row["recorded"] = float(np.nanmean(known)) if not np.isnan(known).all() else None
        row["answers"] = int((~np.isnan(known)).sum())
        row["share"] = float((first == j).mean())
        models.append(row)
    return {"queries": len(data), "models": models}


def _table(found: dict[str, Any]) -> Any:
    """Return the expectations as a table."""
    table = grid("model", "answers", "recorded, %", "expected, %", "±", "chosen, %")
    for row in found["models"]:
        figures = [row["recorded"], row.get("quality"), row.get("error"), row["share"]]
        table.add_row(
            f"{row['model']} (new)" if row["new"] else row["model"],
            f"{row['answers']:,}",
            *(number(None if one is None else 100 * one) for one in figures),
        )
    return table
