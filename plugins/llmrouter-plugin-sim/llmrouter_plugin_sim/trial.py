"""A whole trial of routing on simulated models: questions, outcomes, training, evaluation."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import numpy as np
from attrs import evolve, frozen
from llmrouter_core import Dataset, LLMRouter, Query, Report, evaluate
from llmrouter_core.training import query_id

from llmrouter_plugin_sim.checker import score
from llmrouter_plugin_sim.families import FAMILIES, read, write
from llmrouter_plugin_sim.problems import Problem

CONFIG = """\
# Written by `llmrouter demo`. The models are simulated; the router is not.

[router]
artefacts = "artefacts"    # what it learned

[embedder]
use = "hashing"

[scorer.quality]           # expected quality, length and seconds, from similar queries
use = "knn"
k = 25
shrinkage = 1.0            # small: a family has few training queries here

[scorer.cost]              # expected dollars: price times expected tokens
use = "price"

[selector]
use = "utility"
tradeoff = {tradeoff}             # 0: quality first … 1: cost first
willingness_to_pay = 0.01  # dollars that a right answer is worth

[caller.default]           # brings its own pool of six models
use = "sim"
seed = {seed}
"""

SETTINGS = (0.1, 0.5, 0.9)
"""The positions of the knob `tradeoff` that a trial compares."""

BALANCED = SETTINGS[1]
"""The position at which the worth of an answer minus its cost is largest."""

_HELD = 0.4  # share of the queries held out; intervals narrow with the root of their number
_WORKERS = 8  # calls under way at a time
_TRIES = 200  # draws before a family that has few questions is taken as used up

Tell = Callable[[float], None]


@frozen(kw_only=True)
class Trial:
    """What a trial found.

    Attributes:
        train: Outcomes the routers learned from.
        test: Outcomes held out.
        routers: A trained router for each position of the knob.
        report: The routers' rows, named `router POSITION`, then the baselines.
    """

    train: Dataset
    test: Dataset
    routers: Mapping[float, LLMRouter]
    report: Report


def config(seed: int, tradeoff: float) -> dict[str, Any]:
    """Return the tables of the trial's config, without the artefacts that a file refers to."""
    tables = tomllib.loads(CONFIG.format(seed=seed, tradeoff=tradeoff))
    return {name: table for name, table in tables.items() if name != "router"}


def questions(count: int, seed: int) -> list[tuple[str, Problem]]:
    """Return up to *count* different questions of all families in turn, with their problems."""
    rng = Random(f"questions {seed}")  # noqa: S311 - a simulation, not cryptography
    found: dict[str, Problem] = {}
    left = list(FAMILIES)
    while left and len(found) < count:
        for family in tuple(left):
            drawn = (write(rng, family) for _ in range(_TRIES))
            fresh = next((text for text in drawn if text not in found), None)
            problem = fresh and read(fresh)
            if not fresh or not problem:
                left.remove(family)
            elif len(found) < count:
                found[fresh] = problem
    return list(found.items())


async def collect(router: LLMRouter, asked: list[tuple[str, Problem]], tell: Tell) -> Dataset:
    """Return the outcome of every model of *router* on every question *asked*, checked."""
    models = router.pipeline.models
    shape = (len(asked), len(models))
    quality, cost, read_tokens, written, seconds = (np.full(shape, np.nan) for _ in range(5))
    queries = [Query(text=text) for text, _ in asked]
    cells = iter([(i, j) for i in range(shape[0]) for j in range(shape[1])])

    async def work(cells: Iterator[tuple[int, int]]) -> None:
        for i, j in cells:
            step = await router.session().ask(models[j], queries[i].request)
            quality[i, j] = score(step.text, asked[i][1])
            cost[i, j] = np.nan if step.cost is None else step.cost
            read_tokens[i, j] = step.usage.input_tokens
            written[i, j] = step.usage.output_tokens
            seconds[i, j] = step.seconds
            if j == 0:
                tell((i + 1) / shape[0])

    async with router, asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(work(cells))
    return Dataset(
        queries=tuple(queries),
        models=tuple(model.name for model in models),
        quality=quality, cost=cost, input_tokens=read_tokens, output_tokens=written,
        latency=seconds,
        ids=tuple(query_id(problem.family, text) for text, problem in asked),
        tasks=tuple(problem.family for _, problem in asked),
        groups=tuple(query_id(problem.family, problem.key) for _, problem in asked),
    )  # fmt: skip


def learn(dataset: Dataset, seed: int, tell: Tell) -> Trial:
    """Return routers for every setting, trained on a part of *dataset*, judged on the rest.

    Two wordings of one problem never stand on both sides of the split.
    """
    router = LLMRouter(config(seed, BALANCED))
    dataset = evolve(dataset, embeddings=router.pipeline.embed(dataset.queries))
    train, test = dataset.split(_HELD, seed=seed)
    routers, reports = {}, {}
    for done, tradeoff in enumerate(SETTINGS, start=1):
        routers[tradeoff] = LLMRouter(config(seed, tradeoff)).fit(train)
        reports[tradeoff] = evaluate(routers[tradeoff], test, train=train, seed=seed)
        tell(done / len(SETTINGS))
    report = reports[BALANCED]  # the baselines are the same in all
    rows = [evolve(one.row("router"), policy=f"router {t}") for t, one in reports.items()]
    rows += [row for row in report.rows if row.policy != "router"]
    return Trial(train=train, test=test, routers=routers, report=evolve(report, rows=tuple(rows)))
