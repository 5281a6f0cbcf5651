"""The pipeline: it asks in order, checks every answer and names whoever gave a wrong one."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from attrs import define, field

from llmrouter_core import (
    BadResult,
    BrokenPlugin,
    ConfigError,
    Model,
    NoEligibleModel,
    NotFitted,
    Query,
    Scores,
    Unavailable,
    hookimpl,
)
from llmrouter_core.config import Part
from llmrouter_core.pipeline import Pipeline

MODELS = [Model(name=name) for name in "abc"]
QUERIES = [Query(text="one"), Query(text="two")]


def part(kind: str, plugin: Any, name: str = "mine") -> Part:
    return Part(kind, name, f"{kind} '{name}' (house 0.1.0)", plugin)


@define(eq=False, kw_only=True)
class Embedder:
    """Return what it was given, and count how often it was asked."""

    value: Any
    asked: int = field(init=False, default=0)

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Any:
        self.asked += 1
        return self.value


@define(eq=False, kw_only=True)
class Scorer:
    """Return what it was given."""

    value: Any

    @hookimpl
    def score(self) -> Any:
        return self.value


@define(eq=False, kw_only=True)
class Reader:
    """Score by the first number of the embedding."""

    @hookimpl
    def score(self, embeddings: Any, models: Any) -> Scores:
        return Scores("read", np.repeat(embeddings[:, :1].astype(float), len(models), axis=1))


@define(eq=False, kw_only=True)
class Selector:
    """Return the ranking it was given, for every query, and remember the scores."""

    value: Any = field(factory=lambda: np.tile(np.arange(3), (2, 1)))
    seen: Any = field(init=False, default=None)

    @hookimpl
    def select(self, scores: Any) -> Any:
        self.seen = scores
        return self.value


def scores(name: str = "quality", **changes: Any) -> Scores:
    return Scores(name, changes.get("values", np.ones((2, 3))), changes.get("std"))


def pipeline(*parts: Part, models: Sequence[Model] = MODELS) -> Pipeline:
    return Pipeline(models, parts)


# ---------------------------------------------------------------------------- who is to blame


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([[1.0]], "shape list"),
        (None, "shape NoneType"),
        (np.zeros((3, 4), np.float32), r"shape \(3, 4\), expected \(2, d\)"),
        (np.zeros(2, np.float32), r"shape \(2,\)"),
        (np.zeros((2, 4)), "float64, expected float32"),
    ],
)
def test_a_wrong_embedding_names_the_embedder(value, fault) -> None:
    """What came, what was expected, and from whom."""
    found = pipeline(
        part("embedder", Embedder(value=value)),
        part("scorer", Reader()),
        part("selector", Selector()),
    )

    with pytest.raises(BadResult, match=rf"^embedder 'mine' \(house 0.1.0\) returned {fault}"):
        found.decide(QUERIES)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (3, "int, expected Scores"),
        ((scores(), 3), "int, expected Scores"),
        (scores(values=np.ones(3)), r"shape \(3,\), expected \(2, 3\)"),
        (scores(values=[[1.0]]), "shape list"),
        (scores(values=None), "shape NoneType"),
        (scores(values=np.ones((2, 3), int)), "int64, expected floats"),
        (scores(std=np.ones((2, 2))), r"a std of shape \(2, 2\)"),
        (scores(std=np.ones((2, 3), bool)), "a std of bool"),
    ],
)
def test_a_wrong_score_names_the_scorer(value, fault) -> None:
    """The scorer beside it, which did nothing wrong, is not named."""
    innocent = part("scorer", Scorer(value=scores("fine")), "fine")
    name = "quality" if isinstance(value, Scores) else "guilty"
    parts = [part("scorer", Scorer(value=value), name), part("selector", Selector())]
    if isinstance(value, Scores):
        parts.append(innocent)

    with pytest.raises(BadResult, match=rf"^scorer '{name}' \(house 0.1.0\) returned {fault}"):
        pipeline(*parts).decide(QUERIES)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "returned shape NoneType"),
        ([[0]], "returned shape list"),
        (np.arange(3), r"returned shape \(3,\), expected \(2, k\) with k from 1 to 3"),
        (np.zeros((2, 0), int), r"returned shape \(2, 0\)"),
        (np.zeros((2, 4), int), r"returned shape \(2, 4\)"),
        (np.zeros((1, 3), int), r"returned shape \(1, 3\)"),
        (np.zeros((2, 1)), "returned float64, expected columns"),
        (np.zeros((2, 2), int), "ranked a model twice"),
        (np.array([[0], [3]]), r"ranked a column outside -1\.\.2"),
        (np.array([[0], [-2]]), r"ranked a column outside -1\.\.2"),
    ],
)
def test_a_wrong_ranking_names_the_selector(value, fault) -> None:
    """A ranking is checked cell by cell before anybody follows it."""
    found = pipeline(part("selector", Selector(value=value)))

    with pytest.raises(BadResult, match=rf"^selector 'mine' \(house 0.1.0\) {fault}"):
        found.decide(QUERIES)


def test_two_scorers_of_one_name_are_refused() -> None:
    """Neither silently wins."""
    found = pipeline(
        part("scorer", Scorer(value=scores()), "quality"),
        part("scorer", Scorer(value=(scores("other"), scores())), "second"),
        part("selector", Selector()),
    )

    with pytest.raises(ConfigError, match="another scorer both predict 'quality'; remove one"):
        found.decide(QUERIES)


@pytest.mark.parametrize("kind", ["embedder", "scorer", "selector", "caller", "solver"])
def test_a_hook_that_raises_names_its_part_and_keeps_the_cause(kind) -> None:
    """A plugin's own bug is told apart from ours."""

    class Broken:
        def _deep(self) -> Any:
            raise KeyError("oops")

        @hookimpl
        def embed(self) -> Any:
            return self._deep()

        score = select = call = solve = embed  # type: ignore[assignment]

    class Asks:
        @hookimpl
        def score(self, embeddings: Any) -> None:
            return None

    verbs = {
        "embedder": "embed",
        "scorer": "score",
        "selector": "select",
        "caller": "call",
        "solver": "solve",
    }
    for verb in set(verbs.values()) - {verbs[kind]}:
        setattr(Broken, verb, None)
    found = pipeline(
        part(kind, Broken(), "guilty"),
        part("scorer", Asks(), "asks"),
        part("embedder", Embedder(value=np.zeros((2, 1), np.float32)), "fine"),
        part("selector", Selector(), "fine"),
    )

    with pytest.raises(BadResult, match=f"{kind} 'guilty'.* raised KeyError in") as caught:
        {"caller": lambda: found.bind(MODELS), "solver": found.solver}.get(
            kind, lambda: found.decide(QUERIES)
        )()

    assert isinstance(caught.value.__cause__, KeyError)


def test_our_own_errors_pass_as_they_are() -> None:
    """A scorer that says it is not trained is not accused of a bug."""

    class Untrained:
        @hookimpl
        def score(self) -> Any:
            raise NotFitted("train it")

    with pytest.raises(NotFitted, match=r"^train it$"):
        pipeline(part("scorer", Untrained()), part("selector", Selector())).decide(QUERIES)


@pytest.mark.parametrize(("kind", "verb"), [("caller", "call"), ("solver", "solve")])
def test_what_is_no_function_names_who_returned_it(kind, verb) -> None:
    """`call` and `solve` return the function, not its result."""

    class Wrong:
        @hookimpl
        def call(self) -> Any:
            return "text"

        solve = call

    setattr(Wrong, "solve" if verb == "call" else "call", None)
    found = pipeline(part(kind, Wrong()))

    with pytest.raises(BadResult, match=f"^{kind} 'mine'.* returned str.*function that streams"):
        found.bind(MODELS) if verb == "call" else found.solver()


@pytest.mark.parametrize("verb", ["embed", "score", "select", "solve"])
def test_a_wrapper_that_forgets_to_return_is_among_the_suspects(verb) -> None:
    """The part inside may be innocent, so both are named."""

    class Forgetful:
        @hookimpl(wrapper=True)
        def embed(self) -> Any:
            yield

        score = select = solve = embed

    class Solver:
        @hookimpl
        def solve(self) -> Any:
            return lambda session, query: None

    for other in {"embed", "score", "select", "solve"} - {verb}:
        setattr(Forgetful, other, None)
    found = pipeline(
        part("extension", Forgetful(), "forgetful"),
        part("embedder", Embedder(value=np.zeros((2, 1), np.float32))),
        part("scorer", Reader()),
        part("selector", Selector()),
        part("solver", Solver()),
    )

    with pytest.raises(BadResult, match=r"extension 'forgetful'.* returned .*NoneType"):
        found.solver() if verb == "solve" else found.decide(QUERIES)


def test_a_misused_hook_is_refused_when_the_router_is_built() -> None:
    """An argument no hook has is a mistake of the plugin, found before any query."""

    class Wrong:
        @hookimpl
        def score(self, prompts: Any) -> None:
            """Ask for what does not exist."""

    with pytest.raises(BrokenPlugin, match=r"scorer 'mine'.* misuses a hook.*prompts"):
        pipeline(part("scorer", Wrong()))


# ---------------------------------------------------------------------------- vetoes


def vetoed(*rows: Sequence[float]) -> Scores:
    return Scores("rule", np.array(rows))


NEVER = -np.inf


def test_vetoed_models_are_taken_out_whatever_the_selector_thinks() -> None:
    """What is left moves to the front, and the reason stays."""
    found = pipeline(
        part("scorer", Scorer(value=vetoed([NEVER, 0, 0], [0, NEVER, NEVER])), "rule"),
        part("selector", Selector(value=np.array([[0, 2, 1], [1, 0, 2]]))),
    )

    one, two = found.decide(QUERIES)

    assert [model.name for model in one.ranking] == ["c", "b"]
    assert [model.name for model in two.ranking] == ["a"]
    assert one.excluded == {"a": "scorer 'rule' vetoed it"}
    np.testing.assert_array_equal(found.rank(QUERIES)[0], [[2, 1, -1], [0, -1, -1]])


def test_padding_may_stand_anywhere() -> None:
    """A selector that pads in front or in between is understood."""
    found = pipeline(part("selector", Selector(value=np.array([[-1, 2, -1], [1, -1, 0]]))))

    one, two = found.decide(QUERIES)

    assert [model.name for model in one.ranking] == ["c"]
    assert [model.name for model in two.ranking] == ["b", "a"]
    assert one.excluded["a"] == "the selector did not rank it"


def test_when_nothing_is_left_every_reason_is_listed() -> None:
    """The message says which rule took out which model, and what to do."""
    found = pipeline(
        part("scorer", Scorer(value=(vetoed([0, 0, 0], [NEVER, NEVER, 0]))), "rule"),
        part("selector", Selector(value=np.array([[0, 1], [0, 1]]))),
    )

    with pytest.raises(NoEligibleModel) as caught:
        found.decide(QUERIES)

    assert "a: scorer 'rule' vetoed it; b: scorer 'rule' vetoed it" in str(caught.value)
    assert "c: the selector did not rank it" in str(caught.value)
    assert "loosen a rule or add a model" in str(caught.value)


# ---------------------------------------------------------------------------- who is asked


def test_embeddings_are_computed_only_if_a_scorer_asks() -> None:
    """And once for all scorers; known ones are not computed again."""
    embedder = Embedder(value=np.ones((2, 1), np.float32))
    parts = [
        part("embedder", embedder),
        part("scorer", Scorer(value=scores())),
        part("selector", Selector()),
    ]

    pipeline(*parts).decide(QUERIES)
    assert embedder.asked == 0

    reading = pipeline(*parts, part("scorer", Reader(), "read"))
    reading.decide(QUERIES)
    assert embedder.asked == 1

    [decision, _] = reading.decide(QUERIES, np.full((2, 1), 7, np.float32))
    assert embedder.asked == 1
    assert decision.scores["read"].values[0] == 7


def test_the_first_listed_is_asked_first_and_scores_keep_their_order() -> None:
    """A selector that passes leaves the choice to the next."""
    second = Selector(value=np.array([[1], [1]]))
    found = pipeline(
        part("scorer", Scorer(value=scores("first")), "first"),
        part("scorer", Scorer(value=(scores("second"), scores("third"))), "second"),
        part("selector", Selector(value=None), "passes"),
        part("selector", second, "second"),
        part("selector", Selector(value=np.array([[2], [2]])), "third"),
    )

    assert found.decide(QUERIES)[0].model.name == "b"
    assert list(second.seen) == ["first", "second", "third"]


@pytest.mark.parametrize("verb", ["embed", "score", "select", "call", "solve"])
def test_the_first_extension_is_outermost_around_every_hook(verb) -> None:
    """Extensions wrap all other parts, in the order of the config."""
    order: list[str] = []

    def wrapper(name: str) -> Any:
        class Wrapper:
            @hookimpl(wrapper=True)
            def embed(self) -> Any:
                order.append(f"{name} in")
                inner = yield
                order.append(f"{name} out")
                return inner

            score = select = call = solve = embed

        return Wrapper()

    class Inner:
        @hookimpl
        def call(self) -> Any:
            return lambda request: None

        solve = call

    found = pipeline(
        part("embedder", Embedder(value=np.ones((2, 1), np.float32))),
        part("scorer", Reader()),
        part("extension", wrapper("outer"), "outer"),
        part("selector", Selector()),
        part("extension", wrapper("inner"), "inner"),
        part("solver", Inner()),
    )
    {
        "embed": lambda: found.embed(QUERIES),
        "score": lambda: found.score(QUERIES, np.ones((2, 1), np.float32)),
        "select": lambda: found.select(QUERIES, {}),
        "call": lambda: found.bind(MODELS[:1]),
        "solve": found.solver,
    }[verb]()

    assert order == ["outer in", "inner in", "inner out", "outer out"]


def test_resources_open_once_and_close_in_reverse() -> None:
    """Also those whose neighbour fails to open."""
    order: list[str] = []

    def opener(name: str, *, fails: bool = False) -> Any:
        class Opener:
            @hookimpl
            def lifespan(self) -> Any:
                return self._open()

            @asynccontextmanager
            async def _open(self) -> Any:
                if fails:
                    raise Unavailable("cannot open")
                order.append(f"open {name}")
                try:
                    yield
                finally:
                    order.append(f"close {name}")

        return part("extension", Opener(), name)

    async def live(found: Pipeline) -> None:
        async with found.lifespan():
            order.append("use")

    asyncio.run(live(pipeline(opener("a"), opener("b"))))
    assert order == ["open a", "open b", "use", "close b", "close a"]

    order.clear()
    with pytest.raises(Unavailable, match="cannot open"):
        asyncio.run(live(pipeline(opener("a"), opener("b", fails=True))))
    assert order == ["open a", "close a"]


def test_helpers_are_no_columns() -> None:
    """A model that is not routable is never scored and never ranked."""
    found = pipeline(
        part("scorer", Scorer(value=scores(values=np.ones((2, 2))))),
        part("selector", Selector(value=np.array([[1, 0], [1, 0]]))),
        models=[MODELS[0], Model(name="judge", routable=False), MODELS[2]],
    )

    [decision, _] = found.decide(QUERIES)

    assert [model.name for model in decision.ranking] == ["c", "a"]
    assert [model.name for model in decision.models] == ["a", "c"]


def test_what_a_composition_lacks_is_said_with_the_line_to_add() -> None:
    """A next step for each missing part."""
    assert pipeline().missing() == ['no selector; add: selector = "utility" @ selector']
    reading = pipeline(part("scorer", Reader()), part("selector", Selector()))
    assert "a scorer reads embeddings" in reading.missing()[0]
    with pytest.raises(ConfigError, match="there is no embedder"):
        reading.embed(QUERIES)


def test_no_query_is_no_decision() -> None:
    """An empty batch asks nobody."""
    assert pipeline(part("selector", Selector(value=None))).decide([]) == []


def test_examples_come_from_the_scorers_that_have_them() -> None:
    """The embedding of the query is handed along."""

    class Teller(Reader):
        def examples(self, query: Query, embedding: Any) -> Any:
            return [{"text": query.text, "first": float(embedding[0])}]

    found = pipeline(
        part("embedder", Embedder(value=np.ones((1, 1), np.float32))),
        part("scorer", Teller(), "knn"),
        part("selector", Selector()),
    )

    assert found.examples(Query(text="?")) == {"knn": [{"text": "?", "first": 1.0}]}
    assert pipeline(part("selector", Selector())).examples(Query(text="?")) == {}


def test_a_batch_asks_each_hook_once() -> None:
    """What core adds does not grow with the hooks of each query."""
    n = 2000
    queries = [Query(text=f"query {i}") for i in range(n)]
    embedder = Embedder(value=np.ones((n, 8), np.float32))
    found = pipeline(
        part("embedder", embedder),
        part("scorer", Reader(), "read"),
        part("scorer", Scorer(value=Scores("rule", np.tile([0, NEVER, 0], (n, 1)))), "rule"),
        part("selector", Selector(value=np.tile(np.arange(3), (n, 1)))),
    )

    decisions = found.decide(queries)

    assert embedder.asked == 1
    assert {decision.model.name for decision in decisions} == {"a"}
    assert [decision.query for decision in decisions] == queries
