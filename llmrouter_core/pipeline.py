"""A typed façade over one plugin manager: the only module that touches `manager.hook`.

It registers the parts of one router, asks their hooks, and checks every answer before anyone
else sees it, naming the part that gave a wrong one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

import numpy as np
import pluggy

from llmrouter_core.config import Part
from llmrouter_core.errors import (
    BadResult,
    BrokenPlugin,
    ConfigError,
    LLMRouterError,
    NoEligibleModel,
)
from llmrouter_core.guarding import Guard
from llmrouter_core.hooks import PROJECT, Call, Solve, Specs
from llmrouter_core.pacing import Pace, decisions_of
from llmrouter_core.types import Decision, Floats, Ints, Model, Query, Scores

_FEW = 64  # numbers that are looked through one by one


class Pipeline:
    """The hooks of one router, asked and checked.

    Args:
        models: The whole pool; only routable models become columns.
        parts: The parts in config order: the first listed is asked first, and the first
            extension is outermost.

    Raises:
        BrokenPlugin: A part misuses a hook.
    """

    def __init__(self, models: Sequence[Model], parts: Sequence[Part]) -> None:
        self.models = tuple(model for model in models if model.routable)
        self.parts = tuple(parts)
        self.pace = Pace(self.decide_each)
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Specs)
        # pluggy asks the last registered first, wrappers included; extensions wrap the rest.
        ordered = sorted(parts, key=lambda part: part.kind != "extension")
        for part in reversed(ordered):
            self._register(part)
        self._manager.register(Guard(), name="core.guard")
        hooks = self._manager.hook
        self._embedders, self._selectors = (
            # A tryfirst implementation, such as a cache's, stands before the one that answers.
            [impl for impl in hook.get_hookimpls() if not (impl.wrapper or impl.tryfirst)]
            for hook in (hooks.embed, hooks.select)
        )
        self._readers = [
            impl.plugin for impl in hooks.score.get_hookimpls() if "embeddings" in impl.argnames
        ]

    @property
    def wants_embeddings(self) -> bool:
        """Whether any scorer reads embeddings."""
        return bool(self._readers)

    def reads_embeddings(self, part: Part) -> bool:
        """Return whether *part* is one of the scorers that read embeddings."""
        return any(plugin is part.plugin for plugin in self._readers)

    def _register(self, part: Part) -> None:
        try:
            self._manager.register(part.plugin, name=part.place)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BrokenPlugin(f"{part.label} misuses a hook: {reason}") from error

    def missing(self) -> list[str]:
        """Return what this composition lacks to decide and to answer, as sentences."""
        problems = []
        if not self._selectors:
            problems.append('no selector; add: selector = "utility" @ selector')
        if self.wants_embeddings and not self._embedders:
            problems.append('a scorer reads embeddings; add: embedder = "hashing" @ embedder')
        return problems

    # ------------------------------------------------------------------ deciding

    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d): one embedding per query.

        Raises:
            ConfigError: There is no embedder.
            BadResult: An embedder returned something else.
        """
        if not self._embedders:
            raise ConfigError("router", ['there is no embedder; add: embedder = "hashing"'])
        found = self._ask("embed", queries=queries)
        if not isinstance(found, np.ndarray) or found.ndim != 2 or len(found) != len(queries):
            got = getattr(found, "shape", type(found).__name__)
            self._blame("embed", f"returned shape {got}, expected ({len(queries)}, d)")
        if found.dtype != np.float32:
            self._blame("embed", f"returned {found.dtype}, expected float32")
        return found

    def score(
        self, queries: Sequence[Query], embeddings: Floats | None = None
    ) -> dict[str, Scores]:
        """Return what every scorer predicts, by name, in config order.

        Raises:
            BadResult: A scorer returned something else.
            ConfigError: Two scorers predict the same.
        """
        if embeddings is None:
            wanted = self.wants_embeddings
            embeddings = self.embed(queries) if wanted else np.zeros((len(queries), 0), np.float32)
        found = self._ask("score", queries=queries, models=self.models, embeddings=embeddings)
        if not isinstance(found, list):  # a wrapper's doing
            self._blame("score", f"returned {type(found).__name__}, expected a list of Scores")
        shape = (len(queries), len(self.models))
        scores: dict[str, Scores] = {}
        for item in found:
            for one in item if isinstance(item, tuple) else (item,):
                self._check_scores(one, shape)
                if one.name in scores:
                    why = f"and another scorer both predict '{one.name}'; "
                    why += f"remove one, such as [scorer.{one.name}], or narrow its targets"
                    fault = self._fault("score", why, name=one.name)
                    raise ConfigError("router", [f"{fault} @ scorer"])
                scores[one.name] = one
        return scores

    def _check_scores(self, one: Any, shape: tuple[int, int]) -> None:
        if not isinstance(one, Scores):
            self._blame("score", f"returned {type(one).__name__}, expected Scores")
        if not isinstance(one.name, str) or not one.name:
            self._blame("score", f"named its scores {one.name!r}, expected a text")
        for what, array in (("", one.values), ("a std of ", one.std)):
            if array is None and what:
                continue
            if not isinstance(array, np.ndarray) or array.shape != shape:
                got = getattr(array, "shape", type(array).__name__)
                self._blame("score", f"returned {what}shape {got}, expected {shape}", one.name)
            if array.dtype.kind != "f":
                self._blame("score", f"returned {what}{array.dtype}, expected floats", one.name)
        if _holds(one.values, np.inf):
            self._blame("score", "returned +inf, which no prediction can be", one.name)

    def select(self, queries: Sequence[Query], scores: Mapping[str, Scores]) -> Ints:
        """Return intp (n, k): columns of the pool, best first, -1 padding short rows.

        A column that any scorer set to -inf is taken out here, whatever the selector thinks.

        Raises:
            BadResult: The selector returned something else.
        """
        ranking = self._ask("select", queries=queries, models=self.models, scores=scores)
        n, m = len(queries), len(self.models)
        if (
            not isinstance(ranking, np.ndarray)
            or ranking.ndim != 2
            or len(ranking) != n
            or (n and not 1 <= ranking.shape[1] <= m)
        ):
            got = getattr(ranking, "shape", type(ranking).__name__)
            self._blame("select", f"returned shape {got}, expected ({n}, k) with k from 1 to {m}")
        if ranking.dtype.kind != "i":
            self._blame("select", f"returned {ranking.dtype}, expected columns of the pool (intp)")
        padded = False
        for row in ranking.tolist():  # quicker than numpy on the few columns of a pool
            if min(row) < -1 or max(row) >= m:
                self._blame("select", f"ranked a column outside -1..{m - 1}")
            if len(set(row)) < len(row):
                padded = True  # or ranked twice
                if any(row.count(column) > 1 for column in row if column >= 0):
                    self._blame("select", "ranked a model twice")
            elif -1 in row:
                padded = True
        vetoes = [one.values == -np.inf for one in scores.values() if _holds(one.values, -np.inf)]
        if padded or vetoes:
            banned = ranking < 0  # (n, k)
            for never in vetoes:  # (n, m)
                banned |= never[np.arange(n)[:, None], ranking]
            order = np.argsort(banned, axis=1, kind="stable")  # what is left moves to the front
            ranking = np.take_along_axis(np.where(banned, -1, ranking), order, axis=1)
        columns: Ints = ranking.astype(np.intp, copy=False)
        return columns

    def rank(
        self, queries: Sequence[Query], embeddings: Floats | None = None
    ) -> tuple[Ints, dict[str, Scores]]:
        """Return the ranking, intp (n, k), and the scores behind it: a decision as arrays.

        Args:
            queries: What to decide.
            embeddings: Their embeddings, float32 (n, d), where they are known already.

        Raises:
            NoEligibleModel: Every model was vetoed for a query.
            BadResult: A part broke its contract.
        """
        scores = self.score(queries, embeddings)
        ranking = self.select(queries, scores)
        if len(ranking) and ranking[:, 0].min() < 0:
            row = int(np.argmin(ranking[:, 0]))
            error = self._nobody(_row(scores, row))
            raise error if len(queries) == 1 else NoEligibleModel(f"query {row + 1}: {error}")
        return ranking, scores

    def decide(self, queries: Sequence[Query], embeddings: Floats | None = None) -> list[Decision]:
        """Return one decision per query; arguments and errors are those of `rank`."""
        return decisions_of(self.decide_each(queries, embeddings))

    def decide_each(
        self, queries: Sequence[Query], embeddings: Floats | None = None
    ) -> list[Decision | NoEligibleModel]:
        """Return the same, with the error in place of a decision for whom no model is left.

        Raises:
            BadResult: A part broke its contract.
        """
        if not queries:
            return []
        scores = self.score(queries, embeddings)
        ranking = self.select(queries, scores)
        count = len(self.models)
        found: list[Decision | NoEligibleModel] = []
        for row, (query, columns) in enumerate(zip(queries, ranking.tolist(), strict=True)):
            mine = _row(scores, row)
            if columns[0] < 0:
                found.append(self._nobody(mine))
                continue
            ranked = tuple([self.models[column] for column in columns if column >= 0])
            found.append(
                Decision(
                    query=query,
                    ranking=ranked,
                    models=self.models,
                    scores=mine,
                    excluded={} if len(ranked) == count else self._excluded(ranked, mine),
                )
            )
        return found

    def _nobody(self, scores: Mapping[str, Scores]) -> NoEligibleModel:
        excluded = self._excluded((), scores)
        reasons = "; ".join(f"{name}: {why}" for name, why in excluded.items())
        return NoEligibleModel(
            f"no model may answer this query ({reasons}); loosen a rule or add a model"
        )

    def _excluded(self, ranked: tuple[Model, ...], scores: Mapping[str, Scores]) -> dict[str, str]:
        """Return why each model that is not *ranked* was left out."""
        excluded = {}
        names = {model.name for model in ranked}
        for column, model in enumerate(self.models):
            if model.name in names:
                continue
            vetoes = [name for name, one in scores.items() if np.isneginf(one.values[column])]
            excluded[model.name] = (
                f"scorer '{vetoes[0]}' vetoed it" if vetoes else "the selector did not rank it"
            )
        return excluded

    def examples(self, query: Query) -> dict[str, Sequence[Mapping[str, Any]]]:
        """Return the training examples each scorer leans on, from scorers that offer them."""
        tellers = [part for part in self.parts if hasattr(part.plugin, "examples")]
        if not tellers:
            return {}
        [embedding] = self.embed([query]) if self.wants_embeddings else [None]
        return {part.name: part.plugin.examples(query, embedding) for part in tellers}

    # ------------------------------------------------------------------ answering

    def bind(self, models: Iterable[Model]) -> dict[str, Call]:
        """Return the function that calls each model, by name; a stranger is left out."""
        calls = {model.name: self._ask("call", model=model) for model in models}
        for name, call in calls.items():
            if call is not None and not callable(call):
                self._blame(
                    "call",
                    f"returned {type(call).__name__} for model '{name}', "
                    "expected a function that streams",
                )
        return {name: call for name, call in calls.items() if call is not None}

    def solver(self) -> Solve:
        """Return the function that answers a query."""
        solve: Solve = self._ask("solve")
        if not callable(solve):
            self._blame(
                "solve", f"returned {type(solve).__name__}, expected a function that streams"
            )
        return solve

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open every part's resources, outermost first, and close them in reverse."""
        async with AsyncExitStack() as stack:
            for context in self._ask("lifespan"):
                if not hasattr(context, "__aenter__"):
                    got = type(context).__name__
                    self._blame("lifespan", f"returned {got}, expected an async context manager")
                try:
                    await stack.enter_async_context(context)
                except LLMRouterError:
                    raise
                except Exception as error:
                    reason = f"raised {type(error).__name__} while opening: {error}"
                    fault = self._fault("lifespan", reason, self._culprit(error))
                    raise BadResult(fault) from error
            yield

    # ------------------------------------------------------------------ asking and blaming

    def _ask(self, hook: str, **arguments: Any) -> Any:
        """Return what *hook* says; a part's own bug becomes a `BadResult` that names it."""
        try:
            return getattr(self._manager.hook, hook)(**arguments)
        except LLMRouterError:
            raise
        except (Exception, SystemExit) as error:
            reason = f"raised {type(error).__name__} in '{hook}': {error}"
            raise BadResult(self._fault(hook, reason, self._culprit(error))) from error

    def _culprit(self, error: BaseException) -> Part | None:
        """Return the part whose method stands deepest in *error*'s traceback."""
        found, traceback = None, error.__traceback__
        while traceback is not None:
            owner = traceback.tb_frame.f_locals.get("self")
            found = next((part for part in self.parts if part.plugin is owner), found)
            traceback = traceback.tb_next
        return found

    def _blame(self, hook: str, fault: str, name: str | None = None) -> NoReturn:
        """Raise `BadResult`, naming the part behind *hook* as exactly as can be known."""
        raise BadResult(self._fault(hook, fault, name=name))

    def _fault(
        self, hook: str, fault: str, part: Part | None = None, name: str | None = None
    ) -> str:
        """Return the sentence that puts *fault* on *part*, or on whoever may be behind *hook*."""
        impls = getattr(self._manager.hook, hook).get_hookimpls()
        wraps = {id(impl.plugin): impl.wrapper for impl in impls}
        asked = [part for part in self.parts if id(part.plugin) in wraps]
        named = [part for part in asked if part.name == name]
        within = named or [part for part in asked if not wraps[id(part.plugin)]] or asked
        suspects = [  # an extension around the hook may have changed what was returned
            part
            for part in asked
            if part in within or (part.kind == "extension" and wraps[id(part.plugin)])
        ]
        who = part.label if part else " or ".join(part.label for part in suspects)
        return f"{who} {fault}; report it to the plugin's author"


def _row(scores: Mapping[str, Scores], row: int) -> dict[str, Scores]:
    """Return each score of one query, (m,)."""
    return {
        name: Scores(name, one.values[row], None if one.std is None else one.std[row])
        for name, one in scores.items()
    }


def _holds(values: Floats, value: float) -> bool:
    """Return whether any of *values* is *value*; of few, quicker than numpy."""
    if values.size <= _FEW:
        return value in values.ravel().tolist()
    return bool((values == value).any())
