"""What the checks look at: an entry of a house, with fresh parts built from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import attrs
import numpy as np
from attrs import define, evolve, field
from importlib_metadata import EntryPoint
from numpy.typing import NDArray

from llmrouter_core.artefacts import options
from llmrouter_core.catalogue import VERBS, Entry, canonical
from llmrouter_core.config import NAMED, SINGLE, Part, load
from llmrouter_core.errors import BrokenPlugin, LLMRouterError
from llmrouter_core.pipeline import Pipeline
from llmrouter_core.testing.house import House
from llmrouter_core.testing.recording import toy_part, toy_parts
from llmrouter_core.testing.rules import Unmet
from llmrouter_core.testing.toys import toy_dataset, toy_models, toy_scores
from llmrouter_core.types import Model, Query

QUERIES = tuple(sorted(toy_dataset(seed=1, queries=6).queries, key=lambda query: query.text))
"""What deciding parts are asked."""

LEARNING = ("fit", "state", "restore")

_TOYS = "llmrouter_core.testing.toys"
_TOY_ENTRIES = tuple(
    Entry(
        kind,
        "toy",
        "llmrouter-core",
        "0",
        f"{_TOYS}:{value}",
        EntryPoint("toy", f"{_TOYS}:{value}", f"llmrouter.{kind}"),
    )
    for kind, value in (("selector", "ToySelector"), ("caller", "EchoCaller"))
)


@define(eq=False, kw_only=True)
class Subject:
    """One entry of a house, or the house itself, under check.

    Attributes:
        kind: Kind of the entry, or `house`.
        name: Name of the entry, or what the house is called.
        house: Where it comes from.
        entry: The entry; none for a house.
        example: Options, or a built part, or a function that returns a context with either.
    """

    kind: str
    name: str
    house: House
    entry: Entry | None = None
    example: Any = None
    _probed: list[Unmet | None] = field(init=False, factory=list)

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"

    @contextmanager
    def opened(self) -> Iterator[Subject]:
        """Return a subject whose example is there: a server runs, a file is written."""
        example = self.example
        ready = example is None or isinstance(example, Mapping) or attrs.has(type(example))
        if not ready and callable(example):
            example = example()
        if isinstance(example, AbstractContextManager):
            with example as inner:
                yield evolve(self, example=inner)
        else:
            yield evolve(self, example=example)

    # ------------------------------------------------------------------ the class

    def load(self) -> Any:
        """Return what the entry names."""
        assert self.entry is not None
        try:
            loaded = self.entry.load()
        except BrokenPlugin as error:
            raise Unmet(f"{error}; see the check 'entry_point_loads'") from error
        if self.kind in VERBS and not attrs.has(loaded):
            raise Unmet(f"{self} is not an attrs class; see the check 'is_a_plain_class'")
        return loaded

    @property
    def learns(self) -> bool:
        """Whether the class has all that learning needs."""
        return all(callable(getattr(self.load(), name, None)) for name in LEARNING)

    @property
    def hooks(self) -> dict[str, Mapping[str, Any]]:
        """The options of each method that is marked as a hook, by its name."""
        found = (
            (name, getattr(method, "llmrouter_impl", None))
            for name, method in inspect.getmembers_static(self.load())
        )
        return {name: options for name, options in found if options is not None}

    @property
    def fields(self) -> list[Any]:
        """The attrs fields that are options."""
        items = attrs.fields(self.load())
        return [item for item in items if item.init and item.alias != "name"]

    # ------------------------------------------------------------------ fresh parts

    def table(self) -> tuple[str, dict[str, Any]]:
        """Return the name and the options of its table: of the example, or of the recipe."""
        default = getattr(attrs.fields_dict(self.load()).get("name"), "default", None)
        label = default if isinstance(default, str) else "quality"
        try:
            tables = self.house.recipe()
        except LLMRouterError:
            tables = {}
        listed = tables.get(self.kind) or {}
        if self.kind in SINGLE:
            listed = {label: listed}
        elif self.kind == "extension":
            listed = dict(enumerate(listed))
        mine = {
            str(name): table
            for name, table in listed.items()
            if canonical(str(table.get("use", "")).rpartition("/")[2]) == self.name
        }
        label, table = next(iter(mine.items()), (label, {}))
        if isinstance(self.example, Mapping):
            table = dict(self.example)
        elif self.example is not None:
            table = options(self.example)
        return label, {key: value for key, value in table.items() if key != "use"}

    def configure(self, table: Mapping[str, Any]) -> Any:
        """Return the part that a config with these options builds.

        Raises:
            ConfigError: The options are wrong.
        """
        entry = self.entry
        assert entry is not None
        mine = {"use": f"{entry.distribution}/{entry.name}", **table}
        tables: dict[str, Any] = {
            "selector": "llmrouter-core/toy",
            "caller": "llmrouter-core/toy",
        }
        if self.kind in NAMED:
            mine = {self.table()[0]: mine}
        tables[self.kind] = [mine] if self.kind == "extension" else mine
        others = [one for one in self.house.known if one != entry]  # its options may hold parts
        parts = load(tables, [entry, *others, *_TOY_ENTRIES]).parts
        return next(part.plugin for part in parts if part.entry is entry)

    def fresh(self) -> Any:
        """Return a new part, not fitted."""
        if attrs.has(type(self.example)):
            return evolve(self.example)
        return self.configure(self.table()[1])

    def build(self) -> Any:
        """Return a new part, not fitted, or leave the complaint to 'constructible'."""
        try:
            return self.fresh()
        except LLMRouterError as error:
            raise Unmet(f"{error}; see the check 'constructible'") from error

    def fitted(self) -> Any:
        """Return a new part, fitted if it learns, or leave the complaint to another check."""
        part = self.build()
        if not self.learns:
            return part
        try:
            return part.fit(self.lesson())
        except Exception as error:
            raise Unmet(f"fit raised {error!r}; see the check 'fit_returns_a_new_part'") from error

    def ready(self) -> Any:
        """Return a fitted part that decides, or leave the complaint to another check."""
        part = self.fitted()
        if VERBS[self.kind] in ("embed", "score", "select"):
            if not self._probed:
                self._probed.append(self._probe(part))
            if self._probed[0] is not None:
                raise self._probed[0]
        return part

    def _probe(self, part: Any) -> Unmet | None:
        try:
            means_something(self.kind, self.decisions(part))
        except (LLMRouterError, AssertionError) as error:
            return Unmet(f"{error}; see the check 'shapes_and_dtypes'")
        return None

    # ------------------------------------------------------------------ asking them

    def pipeline(
        self, part: Any, *others: Part, models: Sequence[Model] | None = None, toys: bool = True
    ) -> Pipeline:
        """Return a pipeline of *part*, *others* and the toys that it may need."""
        own = Part(self.kind, self.table()[0], f"{self.kind} '{self.name}'", part, self.entry)
        verb = VERBS[self.kind]
        if verb and verb not in self.hooks:
            raise Unmet(f"{self} has no hook '{verb}'; see the check 'implements_its_verb'")
        kept = [toy for toy in toy_parts() if toy.kind != self.kind] if toys else []
        try:
            return Pipeline(models or toy_models(), [own, *others, *kept])
        except BrokenPlugin as error:
            raise Unmet(f"{error}; see the check 'hooks_match_the_spec'") from error

    def decisions(
        self,
        part: Any,
        queries: Sequence[Query] = QUERIES,
        models: Sequence[Model] | None = None,
        *,
        frozen: bool = False,
    ) -> dict[str, NDArray[Any]]:
        """Return what a deciding part answers, by name: (n, d), (n, m) or (n, k)."""
        models = models or toy_models()
        toys = [toy for toy in toy_parts() if toy.kind == "embedder" and self.kind != "embedder"]
        pipeline = self.pipeline(part, *toys, models=models, toys=False)
        if self.kind == "embedder":
            return {"embeddings": pipeline.embed(queries)}
        if self.kind == "selector":
            scores = toy_scores(queries, pipeline.models)
            for one in scores.values():
                one.values.setflags(write=not frozen)
            return {"ranking": pipeline.select(queries, scores)}
        embeddings = pipeline.embed(queries)
        embeddings.setflags(write=not frozen)
        found = {}
        for name, one in pipeline.score(queries, embeddings).items():
            found[name] = one.values
            if one.std is not None:
                found[f"std of {name}"] = one.std
        assert found, f"{self} predicts nothing"
        return found

    def lesson(self, *, gaps: float = 0.0, seed: int = 0) -> Any:
        """Return the toy data set with toy embeddings."""
        dataset = toy_dataset(seed=seed, gaps=gaps)
        [embedder, *_] = toy_parts()
        return evolve(dataset, embeddings=embedder.plugin.embed(dataset.queries))


def means_something(kind: str, found: Mapping[str, NDArray[Any]]) -> None:
    """Assert that *found*, what a part of *kind* answered, holds no number without a meaning."""
    for name, array in found.items():
        fine = np.isfinite(array) if kind == "embedder" else ~np.isposinf(array)
        assert fine.all(), f"'{name}' holds numbers that mean nothing"


def part_of(subject: Subject, plugin: Any) -> Part:
    """Return *plugin* as a pipeline takes it, standing where *subject* stands."""
    return toy_part(subject.kind, plugin, subject.table()[0])
