"""Small parts, models and outcomes to test with: deterministic, offline, instant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from math import inf
from zlib import crc32

import numpy as np
from attrs import define, field, validators

from llmrouter_core.hooks import Call, hookimpl
from llmrouter_core.training import Dataset
from llmrouter_core.types import (
    Chunk,
    Floats,
    Ints,
    Model,
    Price,
    Query,
    Request,
    Scores,
    Usage,
    estimate_tokens,
)

TOPICS = {
    "maths": "prime number proof integral sum theorem equation angle root matrix limit digit",
    "cooking": "bread butter oven onion soup recipe pepper garlic bake boil salt dough",
}
SKILLS = {"small": (0.2, 0.8), "maths": (0.9, 0.3), "large": (0.75, 0.75)}
"""Mean quality of each toy model, on maths and on cooking."""


def toy_models() -> tuple[Model, ...]:
    """Return three models: one small, one good at maths, one large."""
    return (
        Model(
            name="small",
            price=Price(input=0.1, output=0.2),
            context=8192,
            size=1.5,
            description="Small, quick and good in the kitchen.",
        ),
        Model(
            name="maths",
            price=Price(input=0.5, output=1.0),
            context=16384,
            size=7,
            description="Good at maths.",
        ),
        Model(
            name="large",
            price=Price(input=2.0, output=6.0),
            context=32768,
            size=70,
            description="Large and good at most things.",
        ),
    )


def toy_dataset(seed: int = 0, queries: int = 120, gaps: float = 0.1) -> Dataset:
    """Return outcomes of the toy models on questions about maths and about cooking.

    The text tells the topic and the topic tells who is good at it, so a scorer that reads the
    text can do better than the best single model, and that one better than chance.

    Args:
        seed: Seed of everything random in it.
        queries: How many queries, n.
        gaps: Share of the (n, 3) cells that were never asked; each query keeps one at least.
    """
    rng = np.random.default_rng(seed)
    models = toy_models()
    topics = rng.integers(len(TOPICS), size=queries)  # (n,)
    texts = [
        " ".join([*rng.choice(list(TOPICS.values())[topic].split(), size=8), str(number)])
        for number, topic in enumerate(topics)
    ]
    means = np.array([SKILLS[model.name] for model in models]).T[topics]  # (2, m) -> (n, m)
    quality = np.clip(means + rng.normal(scale=0.1, size=means.shape), 0, 1)
    asked = rng.random(means.shape) >= gaps
    asked[np.arange(queries), rng.integers(len(models), size=queries)] = True
    read = np.array([[float(estimate_tokens(text))] for text in texts]) + 0 * means
    written = np.round(rng.uniform(20, 200, size=means.shape))
    prices = [model.price or Price() for model in models]
    cost = (read * [p.input for p in prices] + written * [p.output for p in prices]) / 1e6
    size = np.array([model.size or 0.0 for model in models])
    return Dataset(
        queries=tuple(
            Query(text=text, user="ada" if number % 2 else "bob")
            for number, text in enumerate(texts)
        ),
        models=tuple(model.name for model in models),
        tasks=tuple(list(TOPICS)[topic] for topic in topics),
        quality=np.where(asked, quality, np.nan),
        cost=np.where(asked, cost, np.nan),
        input_tokens=np.where(asked, read, np.nan),
        output_tokens=np.where(asked, written, np.nan),
        latency=np.where(asked, 0.1 + written * size / 1e4, np.nan),
    )


def toy_scores(queries: Sequence[Query], models: Sequence[Model]) -> dict[str, Scores]:
    """Return scores of every standard name, (n, m); each cell depends on its text and model."""
    ranges = {
        "quality": (0.0, 1.0),
        "cost": (1e-5, 1e-2),
        "latency": (0.1, 5.0),
        "output_tokens": (10.0, 500.0),
    }
    scores = {}
    for name, (low, high) in ranges.items():
        cells = [
            [
                low + (high - low) * crc32(f"{name}/{query.text}/{model.name}".encode()) / 2**32
                for model in models
            ]
            for query in queries
        ]
        values = np.array(cells, dtype=np.float64).reshape(len(queries), len(models))
        scores[name] = Scores(name, values, std=0.1 * values if name == "quality" else None)
    return scores


@define(eq=False, kw_only=True)
class ToyEmbedder:
    """Count words in hashed buckets; float32 rows of length one."""

    dimensions: int = field(default=32, validator=validators.ge(1))

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d)."""
        rows = np.zeros((len(queries), self.dimensions), np.float32)
        for row, query in zip(rows, queries, strict=True):
            for word in query.text.lower().split():
                row[crc32(word.encode("utf-8", "surrogatepass")) % self.dimensions] += 1
            row /= max(float(np.linalg.norm(row)), 1.0)
        return rows


@define(eq=False, kw_only=True)
class ToyScorer:
    """Predict a quality that means nothing but never changes; reads embeddings, to have some."""

    @hookimpl
    def score(
        self, queries: Sequence[Query], models: Sequence[Model], embeddings: Floats
    ) -> Scores:
        """Return `quality`, (n, m)."""
        return toy_scores(queries, models)["quality"]


@define(eq=False, kw_only=True)
class ToySelector:
    """Rank by `quality`, unknown last; in the pool's order where nothing predicts it."""

    @hookimpl
    def select(
        self, queries: Sequence[Query], models: Sequence[Model], scores: Mapping[str, Scores]
    ) -> Ints:
        """Return all columns, best first, (n, m)."""
        flat = Scores("quality", np.zeros((len(queries), len(models))))
        values = scores.get("quality", flat).values
        return np.argsort(-values, axis=1, kind="stable")  # NaN sorts last


@define(eq=False, kw_only=True)
class EchoCaller:
    """Answer each request with its own text, word by word.

    Attributes:
        name: Name of the caller; it serves models that name no other.
        answer: What to say instead of the request's text.
        requests: What was asked, oldest first.
        opened: Streams that were started.
        closed: Streams that ended or were closed.
    """

    name: str = "toy"
    answer: str | None = None
    requests: list[Request] = field(init=False, factory=list, repr=False)
    opened: int = field(init=False, default=0)
    closed: int = field(init=False, default=0)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return the echo, or None for a model of another caller."""
        return self._stream if model.caller in (None, self.name) else None

    async def _stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        self.opened += 1
        text = self.answer or request.text or "…"
        try:
            for number, word in enumerate(text.split(" ")):
                yield Chunk(text=f" {word}" if number else word, event={"number": number})
            usage = Usage(input_tokens=request.input_tokens, output_tokens=estimate_tokens(text))
            yield Chunk(finish="stop", usage=usage, event={"finish": "stop"})
        finally:
            self.closed += 1


Step = str | float | Exception
Act = Step | tuple[Step, ...]


@define(eq=False)
class ScriptedCaller:
    """Play one act a call, and the last act for good.

    An act is a step or a tuple of steps: a text is said, an error is raised, a number is seconds
    that pass, for ever where it is infinite. After a text at its end the answer is finished; an
    act that ends with a number breaks off without a finish reason.

    Attributes:
        acts: What is played, for all calls or for those of each model; a model without acts says
            the request's text. Acts that were played are taken out.
        name: Name of the caller; it serves models that name no other. None serves every model.
        asked: Identifiers of the models that were asked, oldest first.
        closed: How many streams ended or were closed.
    """

    acts: list[Act] | dict[str, list[Act]] = field(factory=list)
    name: str | None = None
    asked: list[str] = field(init=False, factory=list)
    closed: int = field(init=False, default=0)

    @hookimpl
    def call(self, model: Model) -> Call | None:
        """Return what plays, or None for a model of another caller."""
        if self.name is not None and model.caller not in (None, self.name):
            return None
        return partial(self._play, model)

    async def _play(self, model: Model, request: Request) -> AsyncGenerator[Chunk, None]:
        self.asked.append(model.id)
        step: Step = 0.0
        try:
            for step in self._next(model, request):
                if isinstance(step, str):
                    yield Chunk(text=step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    await (asyncio.Event().wait() if step == inf else asyncio.sleep(step))
            if isinstance(step, str):
                yield Chunk(finish="stop")
        finally:
            self.closed += 1

    def _next(self, model: Model, request: Request) -> tuple[Step, ...]:
        acts = self.acts.get(model.name, []) if isinstance(self.acts, dict) else self.acts
        act = request.text if not acts else acts.pop(0) if len(acts) > 1 else acts[0]
        return act if isinstance(act, tuple) else (act,)


@define(eq=False)
class StoppedClock:
    """Seconds that pass only by `now +=`; called, it tells them, as `time.monotonic` does."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now
