"""The values: what a query may be made of, what answers add up to, what a decision tells."""

import copy
import json

import numpy as np
import pytest

from llmrouter_core import Answer, Decision, Model, Price, Query, Request, Scores, Step, Usage

PARTS = [
    {"type": "text", "text": "What is on"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "text", "text": "this picture?"},
]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Hello", "Hello"),
        ([{"role": "user", "content": "Hello"}], "Hello"),
        (({"role": "user", "content": "Hello"},), "Hello"),
        ({"messages": [{"role": "user", "content": "Hello"}], "seed": 1}, "Hello"),
        ([{"role": "user", "content": PARTS}], "What is on\nthis picture?"),
        (
            [
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                {"role": "tool", "content": "42"},
                {"role": "user", "content": "last"},
                {"role": "assistant", "content": "sure"},
            ],
            "last",
        ),
        ([{"role": "system", "content": "alone"}], "alone"),
        (Query(text="Hello"), "Hello"),
    ],
)
def test_every_form_of_a_prompt_becomes_a_query(prompt, text) -> None:
    """The text routing reads is the last user message's."""
    query = Query.of(prompt)

    assert query.text == text


def test_the_payload_passes_through_untouched() -> None:
    """What routing does not read reaches the caller as it came, the very object."""
    payload = {
        "messages": [{"role": "user", "content": PARTS}],
        "tools": [{}],
        "new_field": {1: 2},
    }
    before = copy.deepcopy(payload)

    query = Query.of(payload, user="ada", facts={"tradeoff": 0.8})

    assert query.payload is payload
    assert payload == before
    assert query.request.payload is payload
    assert (query.user, query.facts) == ("ada", {"tradeoff": 0.8})


def test_a_query_keeps_what_it_knows_and_takes_what_is_added() -> None:
    """Facts are merged, and the user is replaced only where one is given."""
    query = Query(text="?", user="ada", facts={"a": 1, "b": 1})

    assert Query.of(query) is query
    assert Query.of(query, facts={"b": 2}).facts == {"a": 1, "b": 2}
    assert Query.of(query, facts={"b": 2}).user == "ada"
    assert Query.of(query, user="bob").user == "bob"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "  \n",
        [],
        [{"role": "user", "content": ""}],
        {"messages": []},
        {"model": "x"},
        [{"role": "user"}],
    ],
)
def test_nothing_to_route_on_is_refused(prompt) -> None:
    """A blank prompt says what is missing."""
    with pytest.raises(ValueError, match="at least one character"):
        Query.of(prompt)


@pytest.mark.parametrize("prompt", [None, 3, b"text", {"a", "b"}])
def test_what_is_no_prompt_is_refused(prompt) -> None:
    """The message says what a query is and what came instead."""
    with pytest.raises(TypeError, match=f"not {type(prompt).__name__}"):
        Query.of(prompt)


@pytest.mark.parametrize("messages", ["text", ["text"], None, 3, [None], b"text"])
def test_messages_that_are_none_are_refused(messages) -> None:
    """A payload whose messages are not chat messages is a mistake of the type."""
    with pytest.raises(TypeError, match="messages are a list"):
        Query.of({"messages": messages})


def test_a_request_knows_its_limit_and_its_size() -> None:
    """The newer name of the limit wins, and every message counts."""
    request = Request.of("four", max_tokens=5, max_completion_tokens=7)

    assert request.limit == 7
    assert Request.of("x").limit is None
    assert request.input_tokens == 5
    assert Request(payload={}).text == ""


def test_prices_are_dollars_per_million_tokens() -> None:
    """Usage times price, and a blend of three to one."""
    price = Price(input=2.0, output=6.0)

    assert price.of(Usage(input_tokens=1000, output_tokens=500)) == pytest.approx(0.005)
    assert price.blended == pytest.approx(3.0)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_finite_number_from_zero(value) -> None:
    """A negative or unbounded price would turn every ranking upside down."""
    with pytest.raises(ValueError, match=r"must be (>=|<)"):
        Price(input=value)


def test_models_sort_from_small_to_large() -> None:
    """Active parameters first, then all, then price; an unknown size is last."""
    models = [
        Model(name="unknown dear", price=Price(output=9)),
        Model(name="unknown cheap", price=Price(output=1)),
        Model(name="moe", size=100, active=3),
        Model(name="dense", size=3),
        Model(name="active only", active=2),
        Model(name="unknown"),
    ]

    names = [model.name for model in sorted(models, key=lambda model: model.scale)]

    assert names == ["active only", "dense", "moe", "unknown cheap", "unknown dear", "unknown"]
    assert Model(name="a").id == "a"


def test_scores_are_equal_by_content_even_where_unknown() -> None:
    """NaN equals NaN here: the same decision taken twice compares equal."""
    values = np.array([[0.5, np.nan, -np.inf]])

    assert Scores("a", values) == Scores("a", values.copy())
    assert Scores("a", values, values) == Scores("a", values, values.copy())
    assert Scores("a", values) != Scores("b", values)
    assert Scores("a", values) != Scores("a", values, values)
    assert Scores("a", values) != Scores("a", values + 1)
    assert Scores("a", values) != Scores("a", values[:, :2])


def test_a_decision_explains_itself_as_strict_json() -> None:
    """Unknown, vetoed and unbounded numbers are null, and no model is left out."""
    models = tuple(Model(name=name) for name in "abc")
    decision = Decision(
        query=Query(text="?"),
        ranking=models[:1],
        models=models,
        scores={
            "quality": Scores(
                "quality",
                np.array([0.5, np.nan, -np.inf], np.float32),
                np.array([0.1, np.nan, np.inf]),
            ),
        },
        excluded={"b": "unknown", "c": "vetoed"},
        examples={"quality": ({"id": "1"},)},
    )

    told = json.loads(json.dumps(decision.explain(), allow_nan=False))

    assert told["model"] == "a"
    assert told["ranking"] == ["a"]
    assert [row["rank"] for row in told["models"]] == [1, None, None]
    assert [row["quality"] for row in told["models"]] == [0.5, None, None]
    assert [row["quality_std"] for row in told["models"]] == [0.1, None, None]
    assert [row["excluded"] for row in told["models"]] == [None, "unknown", "vetoed"]
    assert told["examples"] == {"quality": [{"id": "1"}]}


def step(model: str, cost: float | None, *, estimated: bool = False) -> Step:
    return Step(
        model=model,
        request=Request.of("?"),
        text="!",
        cost=cost,
        seconds=0.5,
        finish="stop",
        usage=Usage(input_tokens=10, output_tokens=3, estimated=estimated),
    )


def test_an_answer_sums_its_steps() -> None:
    """Every call counts, and the last one names the model."""
    answer = Answer(text="yes", steps=(step("a", 0.1), step("b", 0.2, estimated=True)))

    assert str(answer) == "yes"
    assert (answer.model, answer.finish, answer.seconds) == ("b", "stop", 1.0)
    assert answer.usage == Usage(input_tokens=20, output_tokens=6, estimated=True)
    assert answer.cost == pytest.approx(0.3)


def test_an_unknown_cost_is_not_taken_for_zero() -> None:
    """One call of unknown price makes the sum unknown; no call at all costs nothing."""
    assert Answer(text="", steps=(step("a", 0.1), step("b", None))).cost is None
    assert Answer(text="").cost == 0
    assert (Answer(text="").model, Answer(text="").finish) == ("", None)


def test_a_picture_without_words_is_routed_by_the_words_before_it() -> None:
    """Content that is not text is a query too; without any words its text is empty."""
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    asked = Query.of([{"role": "user", "content": "What do you see?"}, picture])
    alone = Query.of([picture])

    assert asked.text == "What do you see?"
    assert asked.request.messages[-1] == picture
    assert alone.text == ""
    with pytest.raises(ValueError, match="the query is empty"):
        Query.of([{"role": "user", "content": [{"type": "text", "text": " "}]}])
