"""What is special about the rules selector: the first rule that fits ranks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import ConfigError, LLMRouter, Model, NoEligibleModel, Price, Query
from llmrouter_core.testing import EchoCaller
from llmrouter_plugin_rules import Rule, RulesSelector

POOL = [
    Model(name="mid", size=8, price=Price(input=0.1, output=0.1), tags=("code",)),
    Model(name="small", size=1, price=Price(input=0.2, output=0.2), tags=("vision",)),
    Model(name="large", size=70, price=Price(input=9, output=9), tags=("code", "vision")),
]
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


def names(selector: RulesSelector, query: Query | str, pool: list[Model] = POOL) -> str:
    asked = Query(text=query) if isinstance(query, str) else query
    [row] = selector.select([asked], pool).tolist()
    return " ".join(pool[column].name for column in row if column >= 0)


def picked(**rule: Any) -> str:
    """Return how a rule without conditions ranks."""
    return names(RulesSelector(rules=(Rule(**rule),)), "hi")


def test_the_first_rule_that_fits_wins() -> None:
    """Later ones are not looked at, and without one `otherwise` ranks."""
    selector = RulesSelector(
        rules=(
            Rule(words=("prove",), models=("mid",)),
            Rule(words=("prove", "theorem"), models=("large",)),
        ),
        otherwise="cheapest",
    )

    assert names(selector, "Prove the theorem.") == "mid small large"
    assert names(selector, "A theorem?") == "large mid small"
    assert names(selector, "Hello") == "mid small large"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"models": ("small", "large")}, "small large mid"),
        ({"models": ("largest",)}, "large small mid"),
        ({"models": ("cheapest", "largest")}, "mid large small"),
        ({"models": ("tag:code",)}, "mid large small"),
        ({"models": ("tag:code",), "otherwise": "largest"}, "large mid small"),
        ({"models": ("large", "tag:code")}, "large mid small"),
        ({"otherwise": "largest"}, "large mid small"),
        ({"otherwise": "cheapest"}, "mid small large"),
        ({"otherwise": "pool"}, "mid small large"),
        ({"models": ("smallest",), "otherwise": "pool"}, "small mid large"),
        ({"models": ("large",), "only": True}, "large"),
        ({"models": ("tag:code",), "only": True}, "mid large"),
    ],
)
def test_a_rule_says_whom_to_ask(rule: dict[str, Any], expected: str) -> None:
    """Names, tags and extremes first; the rest follows, or does not."""
    assert picked(**rule) == expected


def test_a_tag_that_nobody_has_passes_the_rule_over() -> None:
    """So one config fits many pools; `only` is meant, though, and leaves nobody."""
    lenient = RulesSelector(rules=(Rule(models=("tag:audio",)), Rule(models=("mid",))))
    strict = RulesSelector(rules=(Rule(models=("tag:audio",), only=True), Rule(models=("mid",))))

    assert names(lenient, "hi") == "mid small large"
    assert names(strict, "hi") == ""
    with pytest.raises(NoEligibleModel, match="no model may answer"):
        LLMRouter(models=POOL, parts=[strict, EchoCaller()]).decide("hi")


def test_a_name_of_no_candidate_is_refused() -> None:
    """The place leads to the rule, even if it does not fit this query."""
    selector = RulesSelector(
        rules=(Rule(models=("mid",)), Rule(words=("zebra",), models=("medium",)))
    )

    with pytest.raises(ConfigError, match=r"no candidate 'medium'.*@ selector\.rules\.2\.models"):
        names(selector, "hi")


def test_unknown_sizes_and_prices_come_last() -> None:
    """Nobody is the largest or the cheapest by not saying so."""
    pool = [Model(name="unknown"), *POOL]
    for order in ("smallest", "largest", "cheapest"):
        assert names(RulesSelector(otherwise=order), "hi", pool).endswith(" unknown")


CONDITIONS = {
    "word": ({"words": ("lemma",)}, Query(text="A LEMMA."), Query(text="dilemma")),
    "phrase": ({"words": ("step by step",)}, Query(text="go step\n by step"), Query(text="step")),
    "sign": ({"words": ("c++",)}, Query(text="in C++?"), Query(text="in C+")),
    "pattern": ({"pattern": r"\d{4}"}, Query(text="in 1999"), Query(text="in 99")),
    "case": ({"pattern": "(?i)sql"}, Query(text="SQL"), Query(text="SQ")),
    "long": ({"min_tokens": 100}, Query(text="a" * 400), Query(text="a" * 300)),
    "short": ({"max_tokens": 100}, Query(text="a" * 300), Query(text="a" * 400)),
    "language": ({"languages": ("fr",)}, Query(text="Où est la gare ?"), Query(text="Where?")),
    "vision": (
        {"needs": ("vision",)},
        Query(text="what", payload={"messages": [{"role": "user", "content": IMAGE}]}),
        Query(text="what"),
    ),
    "fact": (
        {"facts": {"task": "maths"}},
        Query(text="a", facts={"task": "maths", "more": 1}),
        Query(text="a", facts={"task": "cooking"}),
    ),
    "no fact": ({"facts": {"n": 1}}, Query(text="a", facts={"n": 1}), Query(text="a")),
    "truth": (
        {"facts": {"n": True}},
        Query(text="a", facts={"n": True}),
        Query(text="a", facts={"n": 1}),
    ),
    "user": ({"users": ("ada",)}, Query(text="a", user="ada"), Query(text="a")),
}


@pytest.mark.parametrize(("conditions", "fits", "fails"), CONDITIONS.values(), ids=CONDITIONS)
def test_each_condition_holds_or_not(
    conditions: dict[str, Any], fits: Query, fails: Query
) -> None:
    """One query for which it holds, and one for which it does not."""
    selector = RulesSelector(rules=(Rule(models=("large",), **conditions),))

    assert names(selector, fits).startswith("large")
    assert names(selector, fails).startswith("small")


ATOMS: dict[str, tuple[dict[str, Any], Any]] = {
    "words": ({"words": ("red",)}, lambda query: "red" in query.text.split()),
    "pattern": ({"pattern": "b.{1,3}e"}, lambda query: "blue" in query.text.split()),
    "users": ({"users": ("ada", "bob")}, lambda query: query.user in ("ada", "bob")),
    "facts": ({"facts": {"n": 1}}, lambda query: query.facts.get("n") == 1),
    "min_tokens": ({"min_tokens": 7}, lambda query: query.request.input_tokens >= 7),
}


@given(
    st.lists(st.sets(st.sampled_from(sorted(ATOMS)), max_size=3), max_size=5),
    st.lists(
        st.builds(
            lambda words, user, n: Query(text=" ".join(words), user=user, facts={"n": n}),
            st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, max_size=4),
            st.sampled_from([None, "ada", "bob", "eve"]),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_conditions_are_joined_by_and_and_rules_by_else(rules, queries) -> None:
    """Each row is that of the first rule whose conditions all hold, whatever they are."""
    targets = ["mid", "large", "small", "mid", "large"]
    selector = RulesSelector(
        rules=tuple(
            Rule(models=(target,), **{k: v for atom in atoms for k, v in ATOMS[atom][0].items()})
            for atoms, target in zip(rules, targets, strict=False)
        )
    )
    for query, row in zip(queries, selector.select(queries, POOL).tolist(), strict=True):
        fitting = (
            target
            for atoms, target in zip(rules, targets, strict=False)
            if all(ATOMS[atom][1](query) for atom in atoms)
        )
        assert POOL[row[0]].name == next(fitting, "small")
        assert sorted(row) == [0, 1, 2]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"words": ["a"]}, "says nothing of whom to ask; add: models = […] @ selector.rules.1"),
        ({"models": [], "only": True}, "says nothing of whom to ask"),
        ({"models": ["tag:"]}, "'models' are names, 'tag:…', or smallest, largest, cheapest"),
        ({"words": [" "]}, "'words' holds an empty one"),
        ({"pattern": "("}, "'pattern' is no regular expression: missing )"),
        ({"pattern": "(a+)+b"}, "'pattern' might search for very long"),
        ({"min_tokens": 9, "max_tokens": 8}, "'max_tokens' is below 'min_tokens'"),
        ({"min_tokens": "9"}, "expected int, got '9' @ selector.rules.1.min_tokens"),
        ({"languages": ["en", "tlh"]}, "got 'tlh' @ selector.rules.1.languages.2"),
        ({"needs": ["eyes"]}, "got 'eyes' @ selector.rules.1.needs.1"),
        ({"otherwise": "best"}, "got 'best' @ selector.rules.1.otherwise"),
        ({"patern": "x"}, "unknown option 'patern', did you mean 'pattern'?"),
    ],
)
def test_a_wrong_rule_is_a_sentence_with_its_place(rule: dict[str, Any], problem: str) -> None:
    """As a config gives it; nothing of it is a traceback."""
    rule = rule if {"words", "models"} & rule.keys() else {"models": ["a"], **rule}
    config = {
        "selector": {"use": "rules", "rules": [rule]},
        "caller": "sim",
        "model": {"a": {"id": "sim-tiny"}},
    }
    with pytest.raises(ConfigError) as caught:
        LLMRouter(config)

    assert problem in str(caught.value)
    assert "selector.rules.1" in str(caught.value)


def test_the_recipe_fits_any_pool() -> None:
    """It names no model: it sorts a tagged pool, and one that tells nothing of itself."""
    tables = {name: {"tags": list(m.tags), "size": m.size} for m in POOL for name in [m.name]}
    tagged = LLMRouter({"router": "rules", "caller": "sim", "model": _served(tables)})
    bare = LLMRouter({"router": "rules", "caller": "sim", "model": _served({"b": {}, "a": {}})})
    picture = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *IMAGE]}]}

    assert tagged.decide("Hello").model.name == "small"
    assert tagged.decide("Prove that 2 is prime").model.name == "large"
    assert tagged.decide("def f(x): return x").model.name == "large"
    assert [m.name for m in tagged.decide(picture).ranking] == ["small", "large"]
    assert [m.name for m in bare.decide(picture).ranking] == ["a", "b"]
    assert bare.decide("Prove that 2 is prime").model.name == "a"


def _served(tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"id": "sim-tiny", **table} for name, table in tables.items()}
