"""Broken, hostile and outdated plugins: each breaks only the config that names it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmrouter_core import LLMRouter, LLMRouterError
from llmrouter_core.catalogue import discover, find
from llmrouter_core.errors import (
    AmbiguousPlugin,
    BadResult,
    BrokenPlugin,
    ConfigError,
    PluginError,
)

Publish = Callable[..., None]

HEAD = """
import numpy as np
from attrs import define
from llmrouter_core import Chunk, Scores, hookimpl
"""

GOOD = (
    HEAD
    + """
@define(eq=False, kw_only=True)
class GoodSelector:
    @hookimpl
    def select(self, queries, models):
        return np.tile(np.arange(len(models)), (len(queries), 1))

@define(eq=False, kw_only=True)
class GoodCaller:
    @hookimpl
    def call(self, model):
        async def answer(request):
            yield Chunk(text="fine", finish="stop")
        return answer
"""
)

HEALTHY = {
    "model": {"a": {"size": 1}, "b": {"size": 2}},
    "selector": "good",
    "caller": "good",
}


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Install a distribution: one module, and metadata that lists its entry points."""

    def installed(
        name: str, code: str, points: Mapping[str, Mapping[str, str]], metadata: str | None = None
    ) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        fields = metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
        (info / "METADATA").write_bytes(fields.encode("utf-8", "surrogateescape"))
        lines = []
        for group, entries in points.items():
            lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    installed(
        "good-plugin",
        GOOD,
        {
            "llmrouter.selector": {"good": "good_plugin:GoodSelector"},
            "llmrouter.caller": {"good": "good_plugin:GoodCaller"},
        },
    )
    yield installed
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


def answers(**changes: Any) -> str:
    """Return what a router of the healthy config, with *changes*, says."""
    with LLMRouter(HEALTHY | changes) as router:
        return router.route("hello").text


def part(body: str, base: str = "@define(eq=False, kw_only=True)") -> str:
    """Return a module whose class `Part` has *body*."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{HEAD}\n{base}\nclass Part:\n{lines}\n"


SELECT = "@hookimpl\ndef select(self, queries, models):\n    return np.zeros((1, 1), np.intp)"

UNUSABLE = {
    "import-error": ("import not_installed_anywhere", "ModuleNotFoundError"),
    "syntax-error": ("def broken(:", "SyntaxError"),
    "exit-at-import": ("raise SystemExit(0)", "SystemExit"),
    "base-exception-at-import": (
        "class Stop(BaseException): pass\nraise Stop('not\\ntoday')",
        "Stop: not",
    ),
    "missing-attribute": ("Other = 1", "AttributeError"),
    "not-a-class": ("Part = 3", "is not a class"),
    "not-attrs": (part(SELECT, base=""), "attrs class"),
    "outdated": (part("def choose(self, queries):\n    return 1"), "no method 'select'"),
    "unknown-argument": (
        part("@hookimpl\ndef select(self, queries, weather):\n    return None"),
        "weather",
    ),
    "misspelt-hook": (
        part(SELECT + "\n@hookimpl\ndef slect(self, queries):\n    return None"),
        "slect",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_plugin_breaks_only_the_config_that_names_it(
    case: str, publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence names the distribution and the reason; another config goes on answering."""
    code, reason = UNUSABLE[case]
    publish("bad-plugin", code, {"llmrouter.selector": {"bad": "bad_plugin:Part"}})

    assert [e.name for e in discover() if e.distribution == "bad-plugin"] == ["bad"]
    assert "bad_plugin" not in sys.modules
    assert answers() == "fine"
    with pytest.raises((ConfigError, BrokenPlugin)) as caught:
        LLMRouter(HEALTHY | {"selector": "bad"})
    message = str(caught.value)
    assert "bad-plugin" in message
    assert reason in message
    assert "\n" not in message
    assert answers() == "fine"
    assert capsys.readouterr() == ("", "")


def test_a_part_that_explodes_when_it_is_built_is_placed(publish: Publish) -> None:
    """Its own default raises: a sentence with the reason and the place."""
    code = part("x: int = field(factory=lambda: 1 / 0)\n" + SELECT)
    code = code.replace("import define", "import define, field")
    publish("bad-plugin", code, {"llmrouter.selector": {"bad": "bad_plugin:Part"}})

    with pytest.raises(ConfigError, match=r"division by zero.* @ selector"):
        LLMRouter(HEALTHY | {"selector": "bad"})
    assert answers() == "fine"


def score(returned: str) -> str:
    return part(f"@hookimpl\ndef score(self, queries, models):\n    return {returned}")


WRONG_RESULTS = {
    "scores-of-one-query": ("scorer", score("Scores('quality', np.zeros(2))"), "shape (2,)"),
    "scores-of-integers": (
        "scorer",
        score("Scores('quality', np.zeros((1, 2), int))"),
        "expected floats",
    ),
    "scores-of-objects": (
        "scorer",
        score("Scores('quality', np.zeros((1, 2), object))"),
        "expected floats",
    ),
    "scores-as-lists": ("scorer", score("Scores('quality', [[0.0, 1.0]])"), "list"),
    "std-of-another-shape": (
        "scorer",
        score("Scores('quality', np.zeros((1, 2)), np.zeros((2, 1)))"),
        "std of shape (2, 1)",
    ),
    "no-scores-at-all": ("scorer", score("{'quality': 1.0}"), "expected Scores"),
    "raising-scorer": ("scorer", score("1 / 0"), "ZeroDivisionError"),
    "flat-ranking": (
        "selector",
        part("@hookimpl\ndef select(self, queries, models):\n    return np.arange(2)"),
        "shape (2,)",
    ),
    "ranking-of-names": (
        "selector",
        part("@hookimpl\ndef select(self, queries, models):\n    return [['a', 'b']]"),
        "list",
    ),
    "ranking-of-floats": (
        "selector",
        part("@hookimpl\ndef select(self, queries, models):\n    return np.zeros((1, 2))"),
        "float64",
    ),
    "ranking-out-of-range": (
        "selector",
        part("@hookimpl\ndef select(self, queries, models):\n    return np.array([[7]])"),
        "outside",
    ),
    "ranking-a-model-twice": (
        "selector",
        part("@hookimpl\ndef select(self, queries, models):\n    return np.array([[0, 0]])"),
        "twice",
    ),
}


@pytest.mark.parametrize("case", WRONG_RESULTS)
def test_a_wrong_result_names_whose_it_is(case: str, publish: Publish) -> None:
    """The sentence has the part, its distribution and the fault."""
    kind, code, fault = WRONG_RESULTS[case]
    publish("bad-plugin", code, {f"llmrouter.{kind}": {"bad": "bad_plugin:Part"}})
    router = LLMRouter(HEALTHY | {kind: "bad"})

    with pytest.raises(BadResult) as caught:
        router.decide("hello")

    assert "(bad-plugin 1.2)" in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)
    assert answers() == "fine"


WRONG_ANSWERERS = {
    "caller-that-raises": ("caller", "def call(self, model):\n    return {}['key']", "KeyError"),
    "caller-of-text": ("caller", "def call(self, model):\n    return 'hello'", "returned str"),
    "solver-that-raises": ("solver", "def solve(self):\n    return 1 / 0", "ZeroDivisionError"),
    "solver-of-text": ("solver", "def solve(self):\n    return 'hello'", "returned str"),
    "wrapper-that-raises": (
        "extension",
        "def select(self):\n    yield\n    raise ValueError('spoiled')",
        "ValueError in 'select': spoiled",
    ),
    "wrapper-of-nonsense": (
        "extension",
        "def select(self):\n    yield\n    return 'first'",
        "shape str",
    ),
    "wrapper-without-yield": (
        "extension",
        "def select(self):\n    return None",
        "misuses a hook",
    ),
}


@pytest.mark.parametrize("case", WRONG_ANSWERERS)
def test_a_part_that_cannot_answer_is_named_before_any_call(case: str, publish: Publish) -> None:
    """Callers, solvers and wrappers are judged when the router is built or first decides."""
    kind, body, fault = WRONG_ANSWERERS[case]
    mark = "@hookimpl(wrapper=True)" if kind == "extension" else "@hookimpl"
    publish(
        "bad-plugin", part(f"{mark}\n{body}"), {f"llmrouter.{kind}": {"bad": "bad_plugin:Part"}}
    )

    with pytest.raises(PluginError) as caught, LLMRouter(HEALTHY | {kind: "bad"}) as router:
        router.route("hello")

    assert "(bad-plugin 1.2)" in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)
    assert answers() == "fine"


def test_two_scorers_of_one_name_are_both_named(publish: Publish) -> None:
    """Neither silently wins."""
    code = score("Scores('quality', np.zeros((len(queries), 2)))")
    publish("bad-plugin", code, {"llmrouter.scorer": {"bad": "bad_plugin:Part"}})
    router = LLMRouter(HEALTHY | {"scorer": {"one": "bad", "two": "bad"}})

    with pytest.raises(ConfigError, match="both predict 'quality'"):
        router.decide("hello")


def test_unknown_scores_are_no_mistake(publish: Publish) -> None:
    """A row of NaN says that nothing is known, and the selector still ranks."""
    code = score("Scores('quality', np.full((1, 2), np.nan))")
    publish("shy-plugin", code, {"llmrouter.scorer": {"shy": "shy_plugin:Part"}})

    assert answers(scorer="shy") == "fine"


def test_parts_that_compare_equal_are_refused_by_name(publish: Publish) -> None:
    """Two equal parts would be one to the plugin manager."""
    code = part(
        "@hookimpl\ndef score(self, queries, models):\n    return ()", base="@define(kw_only=True)"
    )
    publish("twin-plugin", code, {"llmrouter.scorer": {"twin": "twin_plugin:Part"}})

    with pytest.raises(LLMRouterError, match="twin-plugin"):
        LLMRouter(HEALTHY | {"scorer": {"one": "twin", "two": "twin"}})


def test_a_property_that_explodes_is_left_alone(publish: Publish) -> None:
    """Composing a router reads no property of a part."""
    body = "@property\ndef trap(self):\n    raise RuntimeError('touched')\n"
    code = part(body + "@hookimpl\ndef score(self, queries, models):\n    return ()")
    publish("trap-plugin", code, {"llmrouter.scorer": {"trap": "trap_plugin:Part"}})

    assert answers(scorer="trap") == "fine"


def test_what_an_unnamed_plugin_prints_is_never_seen(
    publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would have to be imported first."""
    publish("loud-plugin", "print('buy me')", {"llmrouter.selector": {"loud": "loud_plugin:Part"}})

    assert "loud" in {entry.name for entry in discover()}
    assert answers() == "fine"
    assert "loud_plugin" not in sys.modules
    assert capsys.readouterr().out == ""


def test_a_name_that_two_distributions_offer_must_be_qualified(publish: Publish) -> None:
    """The sentence shows the spelling, and the spelling works."""
    for owner in ("first-plugin", "second-plugin"):
        module = owner.replace("-", "_")
        publish(owner, GOOD, {"llmrouter.selector": {"twin": f"{module}:GoodSelector"}})

    with pytest.raises(AmbiguousPlugin, match='use = "first-plugin/twin"'):
        find(discover(), "selector", "twin")
    with pytest.raises(ConfigError, match="first-plugin and second-plugin"):
        LLMRouter(HEALTHY | {"selector": "twin"})
    assert answers(selector="second-plugin/twin") == "fine"
    assert "first_plugin" not in sys.modules


@pytest.mark.parametrize(
    "group", ["llmrouter0.selector", "llmrouter.strategy", "llmrouterselector"]
)
def test_a_group_of_another_time_is_not_a_plugin(group: str, publish: Publish) -> None:
    """The sentence says how to install the one that was meant."""
    publish("old-plugin", GOOD, {group: {"old": "old_plugin:GoodSelector"}})

    with pytest.raises(ConfigError, match="pip install llmrouter-plugin-old"):
        LLMRouter(HEALTHY | {"selector": "old"})
    assert answers() == "fine"


@pytest.mark.parametrize(
    "metadata",
    [
        "\0\1\2",
        "Metadata-Version: 2.1\n",
        "Name:\nVersion:\n",
        "Name: \udcff\udcfe\nVersion: \udc80",
    ],
    ids=["noise", "nameless", "empty", "not-utf-8"],
)
def test_damaged_metadata_of_one_distribution_harms_no_other(
    metadata: str, publish: Publish
) -> None:
    """Whatever it is, listing goes on and the rest works."""
    points = {"llmrouter.selector": {"hurt": "hurt_plugin:GoodSelector"}}
    publish("hurt-plugin", GOOD, points, metadata)

    assert {"good"} <= {entry.name for entry in discover() if entry.kind == "selector"}
    assert answers() == "fine"
    assert "hurt_plugin" not in sys.modules


def test_entry_points_with_odd_names_harm_nobody(publish: Publish) -> None:
    """Spaces, accents, slashes, markup: listed or not, but never in the way."""
    odd = dict.fromkeys(("a b", "é", "x/y", "<b>", "[red]", "good!"), "odd_plugin:GoodSelector")
    publish("odd-plugin", GOOD, {"llmrouter.selector": odd})

    assert {e.name for e in discover() if e.distribution == "odd-plugin"} == set(odd)
    assert answers() == "fine"
    assert answers(selector="é") == "fine"


def test_only_listed_distributions_load(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLMROUTER_LOAD_PLUGINS allows distributions; empty allows none; spelling is forgiving."""
    publish("other-plugin", GOOD, {"llmrouter.selector": {"other": "other_plugin:GoodSelector"}})

    monkeypatch.setenv("LLMROUTER_LOAD_PLUGINS", "Good_Plugin")
    assert {entry.distribution for entry in discover()} == {"good-plugin"}
    assert answers() == "fine"
    with pytest.raises(ConfigError, match="no selector 'other' is installed"):
        LLMRouter(HEALTHY | {"selector": "other"})
    monkeypatch.setenv("LLMROUTER_LOAD_PLUGINS", "")
    assert discover() == ()


def test_blocked_distributions_do_not_load(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLMROUTER_DISABLE_PLUGINS blocks distributions, even listed ones."""
    publish("other-plugin", GOOD, {"llmrouter.selector": {"other": "other_plugin:GoodSelector"}})

    monkeypatch.setenv("LLMROUTER_DISABLE_PLUGINS", "other-plugin, unheard-of")
    assert answers() == "fine"
    with pytest.raises(ConfigError, match="no selector 'other' is installed"):
        LLMRouter(HEALTHY | {"selector": "other"})
    monkeypatch.setenv("LLMROUTER_LOAD_PLUGINS", "good-plugin,other-plugin")
    assert {entry.distribution for entry in discover()} == {"good-plugin"}
