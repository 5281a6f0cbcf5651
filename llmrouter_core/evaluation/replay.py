"""Replay of any router over recorded outcomes, in whichever way it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from llmrouter_core.evaluation import solving
from llmrouter_core.evaluation.deciding import Decisions, decide, follow, pipelines
from llmrouter_core.evaluation.policies import Outcome, expected_costs
from llmrouter_core.types import Floats

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset

NO_KNOB = "router"
"""Label of the only point of a router without a knob."""


@frozen(kw_only=True, eq=False)
class Replay:
    """A router, replayed.

    Attributes:
        own: What it gets at its own setting.
        curve: What it gets along its knob, by label; its own setting alone where it has none.
        decisions: What it decides before anything is asked.
        solved: Whether it answered through a solver of its own.
    """

    own: Outcome
    curve: Mapping[str, Outcome]
    decisions: Decisions
    solved: bool


def replay(
    router: LLMRouter,
    whole: Dataset,
    tell: Callable[[float], None] = lambda share: None,
    texts: Mapping[tuple[str, str], str] | None = None,
) -> Replay:
    """Return what *router* gets on the queries of *whole*.

    Single answers and rankings with fallbacks are replayed as arrays. A router with a solver runs
    it on every query, which takes longer; *texts* are what its models said.

    Args:
        router: The router.
        whole: Outcomes of at least every routable model; those of helpers are used by solvers.
        tell: Called with the share done.
        texts: Recorded answers by query id and model.

    Raises:
        DatasetError: A model has no outcomes.
    """
    pool = router.pipeline.models
    test = whole.for_models([model.name for model in pool])
    solver = solving.has_solver(router)
    costs = expected_costs(test, pool)
    decisions = decide(router, test, lambda share: tell(share * (0.2 if solver else 1.0)))
    if solver:
        own, curve = _solved(router, whole, lambda share: tell(0.2 + 0.8 * share), texts or {})
    else:
        fallbacks = router.config.router.fallbacks
        own = follow(decisions.ranking, test, costs, fallbacks)
        curve = {
            f"{tradeoff:g}": follow(ranking, test, costs, fallbacks)
            for tradeoff, ranking in decisions.turned.items()
        }
    return Replay(own=own, curve=curve or {NO_KNOB: own}, decisions=decisions, solved=solver)


def _solved(
    router: LLMRouter,
    whole: Dataset,
    tell: Callable[[float], None],
    texts: Mapping[tuple[str, str], str],
) -> tuple[Outcome, dict[str, Outcome]]:
    """Return what the solver of *router* gets at its own setting and along its knob."""
    helpers = [m for m in router.models if not m.routable and m.name in whole.models]
    asked = [*router.pipeline.models, *helpers]
    test = whole.for_models([model.name for model in asked])
    costs: Floats = expected_costs(test, asked)
    settings = list(pipelines(router, solving.TRADEOFFS))
    runs = 1 + len(settings)
    done = [solving.solve(router, test, costs, lambda share: tell(share / runs), texts)]
    for count, tradeoff in enumerate(settings, start=1):

        def go_on(share: float, count: int = count) -> None:
            tell((count + share) / runs)

        done.append(solving.solve(router, test, costs, go_on, texts, tradeoff))
    return done[0], {f"{t:g}": found for t, found in zip(settings, done[1:], strict=True)}
