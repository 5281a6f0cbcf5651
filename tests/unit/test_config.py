"""A config becomes parts: shorthands, recipes, strict options and exact places."""

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import define, field, frozen, validators

from llmrouter_core import ConfigError, LLMRouter, Secret, hookimpl
from llmrouter_core.catalogue import Entry
from llmrouter_core.config import Config, expand, load


class Mood(enum.Enum):
    CALM = "calm"
    BOLD = "bold"


@frozen
class Inner:
    depth: int
    ratio: float = 0.5


@define(eq=False, kw_only=True)
class EverySelector:
    """One option of every type that an author may use."""

    text: str = ""
    count: int = field(default=1, validator=validators.ge(1))
    share: float = 0.0
    flag: bool = False
    maybe: int | None = None
    either: int | str = 0
    nested: Inner | None = None
    inner: Inner = Inner(depth=1)
    mode: Literal["fast", "exact"] = "fast"
    mood: Mood = Mood.CALM
    file: Path | None = None
    files: tuple[Path, ...] = ()
    names: list[str] = field(factory=list)
    pair: tuple[int, str] = (0, "")
    labels: frozenset[str] = frozenset()
    weights: Mapping[str, float] = field(factory=dict)
    inners: Mapping[str, Inner] = field(factory=dict)
    free: dict[str, Any] = field(factory=dict)
    key: Secret | None = None
    keys: tuple[Secret, ...] = ()
    _hidden: int = 0
    learned: Any = field(init=False, factory=dict)

    @hookimpl
    def select(self, queries: Any, models: Any, scores: Any) -> Any:
        """Never asked here."""


@define(eq=False, kw_only=True)
class NamedScorer:
    name: str
    size: int

    @hookimpl
    def score(self, queries: Any) -> None:
        """Never asked here."""


@define(eq=False, kw_only=True)
class PickyCaller:
    name: str = "default"
    only: str = "small"

    @hookimpl
    def call(self, model: Any) -> Any:
        """Serve a single model."""

        async def answer(request: Any) -> Any:
            yield request

        return answer if model.name == self.only else None


@define(eq=False, kw_only=True)
class FalsyExtension:
    def __len__(self) -> int:
        return 0


@define(eq=False, kw_only=True)
class RaisingExtension:
    def __attrs_post_init__(self) -> None:
        raise ZeroDivisionError("a\nbug")


@define(eq=False, kw_only=True)
class UnreadableExtension:
    option: "NotThere"  # noqa: F821 - that is the point


@define(eq=False, kw_only=True)
class LearningExtension:
    size: "int" = 3
    _net: "torch.Module" = field(init=False, default=None)  # noqa: F821 - not imported


class PlainExtension:
    pass


@frozen
class Point:
    thing: Any
    dist: Any = None

    def load(self) -> Any:
        return self.thing


def entry(kind: str, name: str, thing: Any) -> Entry:
    return Entry(kind, name, f"llmrouter-plugin-{name}", "1.0", f"module:{name}", Point(thing))


ENTRIES = (
    entry("selector", "every", EverySelector),
    entry("scorer", "named", NamedScorer),
    entry("caller", "picky", PickyCaller),
    entry("extension", "falsy", FalsyExtension),
    entry("extension", "raising", RaisingExtension),
    entry("extension", "unreadable", UnreadableExtension),
    entry("extension", "plain", PlainExtension),
    entry("extension", "learning", LearningExtension),
)


def build(source: Mapping[str, Any]) -> Config:
    return load({"selector": "every", "caller": "picky", **source}, ENTRIES)


def every(**options: Any) -> EverySelector:
    config = build({"selector": {"use": "every", **options}})
    return next(part.plugin for part in config.parts if part.kind == "selector")


def problem(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        every(**options)
    [found] = caught.value.problems
    return found


ACCEPTED: Sequence[tuple[str, Any, Any]] = [
    ("text", "x", "x"),
    ("count", 3, 3),
    ("share", 3, 3.0),
    ("share", 0.5, 0.5),
    ("flag", True, True),
    ("maybe", 3, 3),
    ("maybe", None, None),
    ("either", 3, 3),
    ("either", "3", "3"),
    ("nested", {"depth": 2}, Inner(depth=2)),
    ("inner", {"depth": 2, "ratio": 1}, Inner(depth=2, ratio=1.0)),
    ("mode", "exact", "exact"),
    ("mood", "bold", Mood.BOLD),
    ("names", ["a", "b"], ["a", "b"]),
    ("pair", [3, "x"], (3, "x")),
    ("labels", ["a", "a"], frozenset({"a"})),
    ("weights", {"quality": 1, "cost": 0.5}, {"quality": 1.0, "cost": 0.5}),
    ("inners", {"a": {"depth": 1}}, {"a": Inner(depth=1)}),
    ("free", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    ("key", {"env": "KEY"}, Secret(env="KEY")),
    ("keys", [{"env": "A"}], (Secret(env="A"),)),
    ("hidden", 4, 4),
]


@pytest.mark.parametrize(("option", "value", "meant"), ACCEPTED)
def test_options_arrive_with_their_exact_type(option: str, value: Any, meant: Any) -> None:
    """Whole numbers count as numbers; nothing else is converted."""
    plugin = every(**{option: value})
    got = getattr(plugin, "_hidden" if option == "hidden" else option)

    assert got == meant
    assert type(got) is type(meant)


REFUSED: Sequence[tuple[str, Any, str]] = [
    ("text", 3, "expected str, got 3 @ selector.text"),
    ("count", "3", "expected int, got '3' @ selector.count"),
    ("count", 3.0, "expected int, got 3.0 @ selector.count"),
    ("count", True, "expected int, got True @ selector.count"),
    ("count", 0, "'count' must be >= 1: 0 @ selector"),
    ("share", True, "expected float, got True @ selector.share"),
    ("share", float("nan"), "expected a finite number, got nan @ selector.share"),
    ("share", 10**400, "expected a finite number, got inf @ selector.share"),
    ("flag", "false", "expected bool, got 'false' @ selector.flag"),
    ("flag", 0, "expected bool, got 0 @ selector.flag"),
    ("maybe", "3", "expected int, got '3' @ selector.maybe"),
    ("either", 3.5, "expected int or str, got 3.5 @ selector.either"),
    (
        "nested",
        {"depht": 2, "depth": 1},
        "unknown option 'depht', did you mean 'depth'? @ selector.nested",
    ),
    ("nested", {}, "required option 'depth' is missing @ selector.nested"),
    ("nested", "x", "expected a table, got 'x' @ selector.nested"),
    ("inner", {"depth": "x"}, "expected int, got 'x' @ selector.inner.depth"),
    ("mode", "slow", "expected one of 'fast', 'exact'; got 'slow' @ selector.mode"),
    ("mood", "sad", "expected one of 'calm', 'bold'; got 'sad' @ selector.mood"),
    ("file", 3, "expected str, got 3 @ selector.file"),
    ("files", "a", "expected a list, got 'a' @ selector.files"),
    ("names", "abc", "expected a list, got 'abc' @ selector.names"),
    ("names", ["a", 3], "expected str, got 3 @ selector.names.2"),
    ("pair", [3], "expected a list of 2, got 1 @ selector.pair"),
    ("pair", ["x", "x"], "expected int, got 'x' @ selector.pair.1"),
    ("weights", {"cost": "x"}, "expected float, got 'x' @ selector.weights.cost"),
    ("weights", [1], "expected a table, got a list @ selector.weights"),
    (
        "inners",
        {"a": {"depth": 1, "ratio": "x"}},
        "expected float, got 'x' @ selector.inners.a.ratio",
    ),
    ("key", "sk", 'a secret is written { env = "VARIABLE" }, never as a literal @ selector.key'),
    (
        "keys",
        [{"env": "A", "b": 1}],
        'a secret is written { env = "VARIABLE" }, never as a literal @ selector.keys.1',
    ),
    ("learned", {}, "unknown option 'learned'; there are: count, either, file"),
    ("_hidden", 1, "unknown option '_hidden', did you mean 'hidden'? @ selector"),
]


@pytest.mark.parametrize(("option", "value", "sentence"), REFUSED)
def test_a_wrong_option_is_named_where_it_stands(option: str, value: Any, sentence: str) -> None:
    """However deep it stands, the place is the path to it."""
    assert problem(**{option: value}).startswith(sentence)


def test_paths_are_relative_to_the_folder_of_the_config(tmp_path: Path) -> None:
    """Alone, optional and in lists; absolute ones stay as they are."""
    (tmp_path / "router.toml").write_text(
        'caller = "picky"\n[selector]\nuse = "every"\nfile = "a/b"\nfiles = ["c", "/d"]\n',
        encoding="utf-8",
    )
    plugin = load(tmp_path / "router.toml", ENTRIES).parts[0].plugin

    assert plugin.file == tmp_path / "a/b"
    assert plugin.files == (tmp_path / "c", Path("/d"))


def test_a_part_is_told_its_name_and_a_missing_option_is_named() -> None:
    """The table's name is the part's; what has no default must be given."""
    part = build({"scorer": {"mine": {"use": "named", "size": 3}}}).parts[1]

    assert (part.place, part.plugin.name) == ("scorer.mine", "mine")
    with pytest.raises(ConfigError, match=r"required option 'size' is missing @ scorer\.quality"):
        build({"scorer": "named"})


def test_a_part_that_looks_empty_is_still_a_part() -> None:
    """Truth is not asked of plugins."""
    assert build({"extension": "falsy"}).parts[-1].plugin is not None


def test_only_the_types_of_options_are_evaluated() -> None:
    """What is learned may be annotated with what only a type checker imports."""
    part = build({"extension": {"use": "learning", "size": 4}}).parts[-1]

    assert part.plugin.size == 4
    with pytest.raises(ConfigError, match=r"got .4. @ extension\.learning\.size"):
        build({"extension": {"use": "learning", "size": "4"}})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("raising", "raised ZeroDivisionError: a bug; report it to the plugin's author"),
        ("unreadable", "the options of UnreadableExtension cannot be read (NameError: name"),
        ("plain", "is not an attrs class, so it has no options @ extension.plain"),
    ],
)
def test_a_plugins_own_bug_is_not_blamed_on_the_config(name: str, sentence: str) -> None:
    """The sentence says who can mend it."""
    with pytest.raises(ConfigError) as caught:
        build({"extension": [name]})

    assert sentence in caught.value.problems[0]
    assert caught.value.problems[0].endswith(f"@ extension.{name}")


def test_a_model_that_no_caller_serves_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when the router is built, not when the model is first chosen."""
    monkeypatch.setattr("llmrouter_core.config.discover", lambda: ENTRIES)

    with pytest.raises(ConfigError, match="no caller serves model 'large'"):
        LLMRouter({"selector": "every", "caller": "picky", "model": {"small": {}, "large": {}}})


def test_an_empty_pool_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a caller brings its own."""
    monkeypatch.setattr("llmrouter_core.config.discover", lambda: ENTRIES)

    with pytest.raises(ConfigError, match="the pool is empty; list models"):
        LLMRouter({"selector": "every", "caller": "picky"})


# ------------------------------------------------------------------ expanding


def test_shorthands_are_written_out() -> None:
    """A text is a plugin's name; a lone scorer predicts quality, a lone caller is the default."""
    tables = expand(
        {"selector": "a", "scorer": "b", "caller": "c", "extension": ["d", {"use": "e"}]},
        "config",
        (),
        trusted=True,
    )

    assert tables["selector"] == {"use": "a"}
    assert tables["scorer"] == {"quality": {"use": "b"}}
    assert tables["caller"] == {"default": {"use": "c"}}
    assert tables["extension"] == [{"use": "d"}, {"use": "e"}]


RECIPE = """
selector = "every"
[caller.default]
use = "picky"
only = "small"
[scorer.quality]
use = "named"
size = 1
[scorer.cost]
use = "named"
size = 2
"""


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> tuple[Entry, ...]:
    monkeypatch.setattr("llmrouter_core.recipes.read_recipe", lambda entry: RECIPE)
    return (*ENTRIES, entry("router", "knn", None))


@pytest.mark.parametrize("use", ["knn", "KNN", "knnrouter", "KNNRouter"])
def test_a_recipe_fills_in_what_the_user_left_out(use: str, recipes: tuple[Entry, ...]) -> None:
    """Whole tables replace whole tables of the same kind and name; aliases are welcome."""
    config = load({"router": use, "scorer": {"quality": {"use": "named", "size": 9}}}, recipes)
    sizes = {part.place: getattr(part.plugin, "size", None) for part in config.parts}

    assert config.router.use == "knn"
    assert sizes["scorer.quality"] == 9
    assert sizes["scorer.cost"] == 2
    assert list(sizes) == ["selector.selector", "scorer.quality", "scorer.cost", "caller.default"]


def test_a_key_at_the_top_is_the_default_callers(recipes: tuple[Entry, ...]) -> None:
    """A literal is fine in Python, and never in a file."""
    source = {"router": "knn", "api_key": "k"}
    tables = expand(source, "config", recipes, trusted=True)
    literal = expand(source, "config", recipes, trusted=False)

    assert tables["caller"]["default"]["api_key"] == Secret("k")
    assert literal["caller"]["default"]["api_key"] == "k"


def test_a_broken_recipe_names_its_house(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user did not write it, so the user is told whose it is."""
    monkeypatch.setattr("llmrouter_core.recipes.read_recipe", lambda entry: "selector = ")

    with pytest.raises(ConfigError, match=r"router 'knn' \(llmrouter-plugin-knn 1.0\): recipe"):
        load({"router": "knn"}, (*ENTRIES, entry("router", "knn", None)))


def test_every_attrs_field_of_a_model_can_be_given() -> None:
    """The pool's table is the class `Model`."""
    given = {
        "id": "x",
        "price": {"input": 1, "output": 2},
        "context": 8,
        "size": 1.5,
        "active": 1,
        "caller": "default",
        "routable": True,
        "tags": ["a"],
        "description": "d",
    }
    [model] = build({"model": {"m": given}}).models

    assert {f.name for f in attrs.fields(type(model))} == {"name", *given}
    assert (model.name, model.price.output, model.tags) == ("m", 2.0, ("a",))
