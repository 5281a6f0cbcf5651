"""The public face: decide, answer, learn."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

import numpy as np
from attrs import evolve

from llmrouter_core import config as configuration
from llmrouter_core.catalogue import VERBS, titled
from llmrouter_core.config import SINGLE, Config, Part, RouterOptions
from llmrouter_core.errors import ConfigError
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.session import Session, unserved
from llmrouter_core.solving import SingleShot
from llmrouter_core.types import Answer, Chunk, Decision, Floats, Message, Model, Query

if TYPE_CHECKING:
    from llmrouter_core.home import Home
    from llmrouter_core.hooks import Call, Solve
    from llmrouter_core.training import Dataset

Prompt: TypeAlias = str | Query | Sequence[Message] | Mapping[str, Any]

S = TypeVar("S", bound=Session)

_BATCH = 1024  # queries embedded at a time while training


class LLMRouter:
    """A composition of parts over a pool of models.

    Args:
        source: A TOML file, a dictionary of the same shape, or None to compose *parts*.
        models: The pool, where no *source* lists it.
        parts: Parts, first asked first, where no *source* lists them; no entry point is read.

    Raises:
        ConfigError: The composition is wrong; the message lists every problem.
        ArtefactError: The config names artefacts that cannot be used with it.

    A router may be used from any thread, and from sync and async code. What it opens on first
    use closes with `close()`, at the end of `with router:` or `async with router:`.
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, Any] | None = None,
        *,
        models: Sequence[Model] | None = None,
        parts: Sequence[Any] | None = None,
    ) -> None:
        if (source is None) == (parts is None):
            raise TypeError("give a config, or models and parts")
        if source is None:
            self._build(_composed(models or (), parts or ()))
            return
        if models is not None:
            raise TypeError("a config lists its own models")
        if not isinstance(source, str | Path | Mapping):
            raise TypeError(f"a config is a path or a dictionary, not {type(source).__name__}")
        config = configuration.load(source)
        self._build(config)
        if config.router.artefacts is not None:
            folder = config.folder / config.router.artefacts
            if folder.exists():
                self._restore(folder)

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return the router of *config* as it was built: what was learned is not loaded."""
        router = cls.__new__(cls)
        router._build(config)
        return router

    def _build(self, config: Config) -> None:
        self.config = config
        parts = (*config.parts, Part("solver", "default", "core's single shot", SingleShot()))
        models = config.models or _offered(config.parts)
        self._pool = {model.name: model for model in models}
        problems = (
            [] if models else ['the pool is empty; list models: [model.NAME] id = "…" @ model']
        )
        if len(self._pool) != len(models):
            problems.append("two models have the same name @ model")
        self.pipeline = Pipeline(models, parts)
        if models and not self.pipeline.models:
            problems.append("no model is routable, so there is nothing to choose from @ model")
        self._calls: Mapping[str, Call] = self.pipeline.bind(models)
        self._homes: list[Home] = []  # at most one; it is made on first use
        self._lock = threading.Lock()
        if not problems:
            problems = self.pipeline.missing()
            # Parts composed without any caller are a router that decides and is never asked.
            called = any(part.kind == "caller" for part in parts)
            problems += [
                unserved(name, self._pool)
                for name in self._pool
                if called and name not in self._calls
            ]
        if problems:
            raise ConfigError(config.source, problems)
        self._solve: Solve = self.pipeline.solver()

    @property
    def _home(self) -> Home:
        from llmrouter_core.home import Home  # asyncio costs 40 ms; deciding needs none

        with self._lock:  # two threads that ask first at once must find one home
            if not self._homes:
                self._homes.append(Home(self.pipeline.lifespan))
            return self._homes[0]

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model of the pool, helpers included."""
        return tuple(self._pool.values())

    def __repr__(self) -> str:
        return f"LLMRouter({self.config.source!r}, models=[{', '.join(self._pool)}])"

    # ------------------------------------------------------------------ deciding

    def decide(
        self, prompt: Prompt, *, user: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> Decision:
        """Return which models are worth asking, best first, and why; nothing is sent.

        Args:
            prompt: A text, chat messages, a chat payload or a `Query`.
            user: Who asks.
            facts: What else parts may read, such as `{"tradeoff": 0.8}`.

        Raises:
            NotFitted: A part that learns was not trained.
            NoEligibleModel: Every model was vetoed.
        """
        [decision] = self.pipeline.decide([Query.of(prompt, user=user, facts=facts or {})])
        return decision

    def decide_all(
        self, prompts: Sequence[Prompt], *, embeddings: Floats | None = None
    ) -> list[Decision]:
        """Return one decision per prompt, computed as one batch.

        Args:
            prompts: What to decide.
            embeddings: Their embeddings, float32 (n, d), where they are known already.
        """
        if isinstance(prompts, str | Mapping):
            raise TypeError("decide_all takes a list of prompts; for one prompt there is decide")
        return self.pipeline.decide([Query.of(prompt) for prompt in prompts], embeddings)

    def explain(self, decision: Decision) -> Decision:
        """Return *decision* with the training examples its scorers leant on."""
        return evolve(decision, examples=self.pipeline.examples(decision.query))

    # ------------------------------------------------------------------ answering

    def route(
        self, prompt: Prompt, *, user: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> Answer:
        """Return the answer of the model worth asking; `print(answer)` prints its text.

        Works with and without a running event loop; in async code prefer `aroute`.

        Raises:
            CallError: No model of the ranking answered.
            NoEligibleModel: Every model was vetoed.
        """
        query = Query.of(prompt, user=user, facts=facts or {})
        answer = self._home.submit(self._answer(query))
        try:
            return answer.result()
        finally:
            answer.cancel()  # whoever interrupts the wait ends the call; what is done stays done

    async def aroute(
        self, prompt: Prompt, *, user: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> Answer:
        """Return the same as `route`, without blocking the event loop."""
        return await self._home.run(self._answer(Query.of(prompt, user=user, facts=facts or {})))

    def stream(
        self,
        prompt: Prompt,
        *,
        user: str | None = None,
        facts: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> Generator[Chunk, None, None]:
        """Yield the answer in chunks as they arrive; closing the iterator stops the call.

        Pass a fresh `session()` to read afterwards which models were asked and what it cost.
        """
        query = Query.of(prompt, user=user, facts=facts or {})
        return self._home.iterate(lambda: self._solve(session or self.session(), query))

    def astream(
        self,
        prompt: Prompt,
        *,
        user: str | None = None,
        facts: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the same as `stream`, asynchronously; read it under `contextlib.aclosing`."""
        query = Query.of(prompt, user=user, facts=facts or {})
        return self._home.stream(lambda: self._solve(session or self.session(), query))

    @overload
    def session(self) -> Session: ...
    @overload
    def session(self, kind: Callable[..., S], **more: Any) -> S: ...
    def session(self, kind: Callable[..., Any] = Session, **more: Any) -> Any:
        """Return a session: it records the calls of a `stream`.

        Inside `async with router` it is also the way to ask models of your own choice.

        Args:
            kind: `Session`, or a class that derives from it.
            more: What that class takes beside.
        """
        fallbacks = self.config.router.fallbacks
        return kind(self.pipeline, self._pool, self._calls, fallbacks, **more)

    async def _answer(self, query: Query) -> Answer:
        session = self.session()
        texts = []
        async with aclosing(self._solve(session, query)) as chunks:
            async for chunk in chunks:
                if chunk.kind == "text":
                    texts.append(chunk.text)
        return Answer(text="".join(texts), steps=tuple(session.steps), decision=session.decision)

    # ------------------------------------------------------------------ learning

    def fit(self, dataset: Dataset, *, progress: Callable[[float], None] | None = None) -> Self:
        """Return a router whose parts have learned from *dataset*; this one is unchanged.

        Args:
            dataset: Outcomes of at least every routable model of the pool.
            progress: Called with the share done, from 0 to 1.

        Raises:
            DatasetError: A model of the pool has no outcomes.
        """
        from llmrouter_core.training import Trainable

        tell = progress or (lambda share: None)
        learned = dataset.for_models([model.name for model in self.pipeline.models])
        if self.pipeline.wants_embeddings and learned.embeddings is None:
            blocks = []
            for start in range(0, len(learned), _BATCH):
                blocks.append(self.pipeline.embed(learned.queries[start : start + _BATCH]))
                tell(0.5 * min(1.0, (start + _BATCH) / len(learned)))
            learned = evolve(learned, embeddings=np.concatenate(blocks))
        learners = [p for p in self.config.parts if isinstance(p.plugin, Trainable)]
        fitted = {}
        for done, part in enumerate(learners, start=1):
            fitted[part.place] = part.plugin.fit(learned)
            tell(0.5 + 0.5 * done / len(learners))
        return self._with(fitted)

    def notes(self) -> list[str]:
        """Return what its parts have to say of what they learned, as sentences."""
        tellers = [part.plugin for part in self.config.parts if hasattr(part.plugin, "notes")]
        return [note for plugin in tellers for note in plugin.notes()]

    def onboard(self, model: Model, dataset: Dataset) -> Self:
        """Return a router whose pool has *model* too, learned from its answers to a few queries.

        Nothing is learned anew of the others: each part that learns expresses the new model by
        what it knows (its method `joined`). `llmrouter_core.learning.anchors` says which queries
        tell most.

        Args:
            model: A model that is not in the pool.
            dataset: Outcomes that *model* has on the anchors and the pool on all queries these
                were chosen from. The anchors alone will do; the rest makes it more exact.

        Raises:
            ConfigError: The pool has a model of that name, or a part cannot add one.
            DatasetError: The data has no outcome of *model*.
            NotFitted: The router was not trained.
        """
        from llmrouter_core.training import Trainable

        if model.name in self._pool:
            raise ConfigError(self.config.source, [f"it is in the pool already @ {model.name}"])
        learners = [p for p in self.config.parts if isinstance(p.plugin, Trainable)]
        unable = [part.place for part in learners if not hasattr(part.plugin, "joined")]
        if unable:
            problem = "it cannot add a model; train it again, with outcomes of the whole pool"
            raise ConfigError(self.config.source, [f"{problem} @ {place}" for place in unable])
        learned = dataset
        if self.pipeline.wants_embeddings and learned.embeddings is None:
            learned = evolve(learned, embeddings=self.pipeline.embed(learned.queries))
        joined = {part.place: part.plugin.joined(learned, model.name) for part in learners}
        return self._with(joined, models=(*self.models, model))

    def save(self, folder: str | Path) -> None:
        """Write what was learned into *folder*, replacing earlier artefacts there.

        Raises:
            NotFitted: There is nothing to save yet.
            ArtefactError: The folder cannot be written, or holds something else.
        """
        from llmrouter_core.artefacts import save

        save(folder, self.pipeline)

    def load(self, folder: str | Path) -> Self:
        """Return a router that knows what was saved in *folder*; this one is unchanged.

        Raises:
            ArtefactDamaged: A file is missing, cut short or changed.
            ArtefactMismatch: It was made for another part, embedder or pool.
        """
        from llmrouter_core.artefacts import load

        return self._with(load(folder, self.pipeline))

    def _restore(self, folder: Path) -> None:
        from llmrouter_core.artefacts import load

        restored = load(folder, self.pipeline)
        if restored:
            self.__dict__.update(self._with(restored).__dict__)

    def _with(self, plugins: Mapping[str, Any], models: tuple[Model, ...] | None = None) -> Self:
        """Return a router with the plugins at those places exchanged, and other models if any."""
        parts = tuple(
            evolve(part, plugin=plugins.get(part.place, part.plugin)) for part in self.config.parts
        )
        return self.of(evolve(self.config, parts=parts, models=models or self.models))

    # ------------------------------------------------------------------ opening and closing

    def close(self) -> None:
        """Close what the first use opened; a router that was never used has nothing to close."""
        for home in self._homes:
            home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self._home.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._home.leave()


def _composed(models: Sequence[Model], plugins: Sequence[Any]) -> Config:
    """Return the config that composing *plugins* in Python amounts to."""
    parts = []
    taken: set[str] = set()
    for plugin in plugins:
        if isinstance(plugin, type):
            raise TypeError(f"{plugin.__name__} is a class; did you forget the parentheses?")
        methods = (getattr(type(plugin), name, None) for name in dir(type(plugin)))
        if not any(hasattr(method, "llmrouter_impl") for method in methods):
            raise TypeError(f"{type(plugin).__name__} has no method marked @hookimpl: no part")
        kind, name = titled(type(plugin))
        if not kind:
            kind = next((k for k, v in VERBS.items() if v and _implements(plugin, v)), "extension")
        base = kind if kind in SINGLE else str(getattr(plugin, "name", "") or name)
        name, count = base, 2
        while f"{kind}.{name}" in taken:
            name, count = f"{base}-{count}", count + 1
        taken.add(f"{kind}.{name}")
        parts.append(Part(kind, name, f"{kind} '{name}' ({type(plugin).__name__})", plugin))
    return Config(
        source="parts",
        folder=Path.cwd(),
        router=RouterOptions(),
        models=tuple(models),
        parts=tuple(parts),
        tables={},
    )


def _implements(plugin: Any, verb: str) -> bool:
    """Return whether *plugin* answers *verb* itself, rather than wrapping who does."""
    marked: Mapping[str, Any] = getattr(getattr(type(plugin), verb, None), "llmrouter_impl", {})
    return marked.get("wrapper") is False


def _offered(parts: Sequence[Part]) -> tuple[Model, ...]:
    """Return the pool of the first caller that offers one of its own."""
    for part in parts:
        offer = getattr(part.plugin, "pool", None)
        if part.kind == "caller" and callable(offer):
            models: tuple[Model, ...] = tuple(offer())
            if models:
                return models
    return ()
