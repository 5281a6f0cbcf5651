"""The values that flow through a router: frozen, compared by content, free of behaviour.

Arrays appear only in `Scores` and `Decision`. Shapes are written (n, m): *n* queries, *m* models.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from attrs import Factory, cmp_using, evolve, field, frozen, validators
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Ints: TypeAlias = NDArray[np.intp]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Message: TypeAlias = Mapping[str, Any]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def estimate_tokens(text: str) -> int:
    """Return a rough token count: four characters a token, at least one.

    Used only where a provider reports no usage; such a `Usage` is marked `estimated`.
    """
    return max(1, len(text) // 4)


@frozen(kw_only=True)
class Price:
    """What a model charges, in US dollars per million tokens."""

    input: float = field(default=0.0, validator=[validators.ge(0), validators.lt(math.inf)])
    output: float = field(default=0.0, validator=[validators.ge(0), validators.lt(math.inf)])

    def of(self, usage: "Usage") -> float:
        """Return the dollars that *usage* costs."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6

    @property
    def blended(self) -> float:
        """Dollars per million tokens at three input tokens for each output token."""
        return (3 * self.input + self.output) / 4


@frozen(kw_only=True)
class Model:
    """An LLM candidate.

    Attributes:
        name: What the pool calls it.
        id: What the provider calls it; the name by default.
        price: Dollars per million tokens, or None where unknown.
        context: Context window in tokens, or None where unknown.
        size: Parameters in billions, or None where unknown.
        active: Parameters used per token in billions (mixtures of experts); the size by default.
        caller: Name of the `[caller.NAME]` that serves it; None asks each in turn.
        routable: Whether it is a candidate; helpers such as judges are not.
        tags: Free labels for rules and reports; `region:NAME` says where it processes data.
        description: One sentence for people and for routers that read.
    """

    name: str
    id: str = Factory(lambda self: self.name, takes_self=True)
    price: Price | None = field(
        default=None, validator=validators.optional(validators.instance_of(Price))
    )
    context: int | None = field(default=None, validator=validators.optional(validators.gt(0)))
    size: float | None = field(default=None, validator=validators.optional(validators.gt(0)))
    active: float | None = field(default=None, validator=validators.optional(validators.gt(0)))
    caller: str | None = None
    routable: bool = True
    tags: tuple[str, ...] = ()
    description: str = ""

    @property
    def regions(self) -> tuple[str, ...]:
        """Where it processes data, as its tags `region:NAME` say; nowhere that is known if ()."""
        return tuple(tag.removeprefix("region:") for tag in self.tags if tag.startswith("region:"))

    @property
    def scale(self) -> tuple[float, float, float, str]:
        """Sort key from small to large: active parameters, all parameters, price, name.

        A model of unknown size sorts after every model of known size, by price.
        """
        size = self.size if self.size is not None else self.active
        active = self.active if self.active is not None else size
        unknown = float("inf")
        return (
            unknown if active is None else active,
            unknown if size is None else size,
            unknown if self.price is None else self.price.blended,
            self.name,
        )

    @property
    def reverse_scale(self) -> tuple[float, float, float, str]:
        """Sort key from large to small: all parameters, active ones, price, then name.

        What is unknown sorts last.
        """
        active, size, price, name = self.scale
        known = (0.0 if part == float("inf") else part for part in (size, active, price))
        size, active, price = known
        return -size, -active, -price, name


def text_of(message: Message) -> str:
    """Return the text of one chat message, whose content may be a list of typed parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return "\n".join(text for text in parts if isinstance(text, str))
    return ""


class Payload(dict[str, Any]):
    """A chat payload that remembers the JSON text it was parsed from.

    A caller may send that text on as it came, with the fields exchanged that it sets itself.
    Whoever changes a payload makes a new dictionary of it, which remembers nothing.

    Attributes:
        source: The JSON text, UTF-8.
    """

    __slots__ = ("source",)

    def __init__(self, fields: Mapping[str, Any], source: bytes) -> None:
        super().__init__(fields)
        self.source = source


@frozen(kw_only=True)
class Request:
    """One call: the whole chat payload, of which nothing is dropped.

    Attributes:
        payload: The body of a chat completion: messages, tools, temperature, anything.
        alternatives: How many further models may still be asked if this call fails.
    """

    payload: Mapping[str, Any]
    alternatives: int = 0

    @classmethod
    def of(cls, text: str, **options: Any) -> "Request":
        """Return the request of a single user message."""
        return cls(payload={"messages": [{"role": "user", "content": text}], **options})

    @property
    def messages(self) -> Sequence[Message]:
        """The chat messages, oldest first."""
        messages: Sequence[Message] = self.payload.get("messages", ())
        return messages

    @property
    def text(self) -> str:
        """The text of the last user message, or of the last message if no user spoke."""
        spoken = [m for m in self.messages if m.get("role") == "user"] or self.messages
        return text_of(spoken[-1]) if spoken else ""

    @property
    def limit(self) -> int | None:
        """The most tokens the answer may have, where the payload says."""
        for key in ("max_completion_tokens", "max_tokens"):
            value = self.payload.get(key)
            if isinstance(value, int):
                return value
        return None

    @property
    def input_tokens(self) -> int:
        """A rough count of the input tokens: all messages, four characters a token."""
        return sum(estimate_tokens(text_of(message)) + 4 for message in self.messages)


@frozen(kw_only=True)
class Query:
    """A question to route: the text routing reads, and the request that will be sent.

    Attributes:
        text: The last user message.
        payload: The full chat payload; what routing does not read passes through untouched.
        user: Who asks, for personalised routers.
        facts: Anything else a part may read, such as `{"tradeoff": 0.8}`.
    """

    text: str
    payload: Mapping[str, Any] = field(
        default=Factory(
            lambda self: {"messages": [{"role": "user", "content": self.text}]}, takes_self=True
        ),
        repr=False,
    )
    user: str | None = None
    facts: Mapping[str, Any] = _NOTHING

    @classmethod
    def of(
        cls,
        prompt: "str | Query | Sequence[Message] | Mapping[str, Any]",
        *,
        user: str | None = None,
        facts: Mapping[str, Any] = _NOTHING,
    ) -> "Query":
        """Return *prompt* as a query: a text, chat messages, a chat payload or a query.

        Raises:
            TypeError: *prompt* is none of these.
            ValueError: It holds no text to route on.
        """
        if isinstance(prompt, Query):
            query = prompt
            if user is not None or facts:
                query = evolve(prompt, user=user or prompt.user, facts={**prompt.facts, **facts})
        elif isinstance(prompt, str):
            query = cls(text=prompt, user=user, facts=facts)
        elif isinstance(prompt, Mapping):
            query = cls(text=_read(prompt), payload=prompt, user=user, facts=facts)
        elif isinstance(prompt, Sequence) and not isinstance(prompt, bytes | bytearray):
            payload = {"messages": list(prompt)}
            query = cls(text=_read(payload), payload=payload, user=user, facts=facts)
        else:
            kind = type(prompt).__name__
            raise TypeError(f"a query is a text, messages or a chat payload, not {kind}")
        if not query.text.strip() and not any(map(_shows, query.request.messages)):
            raise ValueError("the query is empty: give it at least one character of text")
        return query

    @property
    def request(self) -> Request:
        """The request that carries this query's payload."""
        return Request(payload=self.payload)


def _read(payload: Mapping[str, Any]) -> str:
    messages = payload.get("messages", ())
    chat = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
    if not chat or not all(isinstance(message, Mapping) for message in messages):
        raise TypeError('messages are a list of {"role": …, "content": …}')
    request = Request(payload=payload)
    if request.text.strip():
        return request.text
    # A picture without words is routed by the last words before it, if there are any.
    return next((text for text in map(text_of, reversed(messages)) if text.strip()), "")


def _shows(message: Message) -> bool:
    """Return whether a message has content other than text, such as an image."""
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else ()
    return any(isinstance(part, Mapping) and part.get("type") != "text" for part in parts)


def _equal(one: Any, other: Any) -> bool:
    """Return whether two arrays are equal, where what is unknown equals what is unknown."""
    return one is other or (one is not None and np.array_equal(one, other, equal_nan=True))


@frozen
class Scores:
    """One prediction for every query and model.

    Attributes:
        name: What is predicted. Standard names: `quality` (expected score, 0..1), `cost`
            (expected US dollars of the whole call), `latency` (expected seconds) and
            `output_tokens` (expected length of the answer).
        values: Float (n, m). NaN means unknown; `-inf` means never use this model.
        std: Standard error of *values*, float (n, m), or None where it is not known.
    """

    name: str
    values: Floats = field(eq=cmp_using(eq=_equal))
    std: Floats | None = field(default=None, eq=cmp_using(eq=_equal))


@frozen(kw_only=True)
class Decision:
    """The models worth asking for one query, best first, and why.

    Attributes:
        query: The query that was decided.
        ranking: Candidate models, best first; at least one.
        models: The whole pool, in the order of the columns of *scores*.
        scores: What each scorer predicted, by name; `values` and `std` have shape (m,).
        excluded: For each model left out of the ranking, the reason.
        examples: The training examples each scorer leant on, where it offers them.
    """

    query: Query
    ranking: tuple[Model, ...]
    models: tuple[Model, ...]
    scores: Mapping[str, Scores]
    excluded: Mapping[str, str] = _NOTHING
    examples: Mapping[str, Sequence[Mapping[str, Any]]] = _NOTHING

    @property
    def model(self) -> Model:
        """The model to ask first."""
        return self.ranking[0]

    def explain(self) -> dict[str, Any]:
        """Return the decision as plain data, ready for JSON; unknown numbers are None."""
        rank = {model.name: place for place, model in enumerate(self.ranking, start=1)}
        rows = []
        for column, model in enumerate(self.models):
            row: dict[str, Any] = {"model": model.name, "rank": rank.get(model.name)}
            for name, scores in self.scores.items():
                row[name] = _plain(scores.values[column])
                if scores.std is not None:
                    row[f"{name}_std"] = _plain(scores.std[column])
            row["excluded"] = self.excluded.get(model.name)
            rows.append(row)
        return {
            "query": self.query.text,
            "model": self.model.name,
            "ranking": list(rank),
            "models": rows,
            "examples": {name: list(found) for name, found in self.examples.items()},
        }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@frozen(kw_only=True)
class Usage:
    """What a call used.

    Attributes:
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        cost: US dollars as billed, where the provider says; else the model's price applies.
        seconds: How long the call took, where it was not measured here (recorded, simulated).
        estimated: Whether the tokens were estimated because the provider reported none.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    seconds: float | None = None
    estimated: bool = False


@frozen(kw_only=True)
class Chunk:
    """One piece of an answer.

    Attributes:
        text: New text; `""` for pieces without any.
        kind: `text` is for the user; other kinds (such as `note`) are not part of the answer.
        finish: Why the answer ended (`stop`, `length`, `tool_calls`…), on the last pieces only.
        usage: What the call used, once known.
        event: The provider's own event, whole.
        data: The JSON text of that event as it came, where it was JSON.
    """

    text: str = ""
    kind: str = "text"
    finish: str | None = None
    usage: Usage | None = None
    event: Mapping[str, Any] | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Step:
    """One call as it happened, paid for whether or not it helped.

    Attributes:
        model: Name of the model asked.
        request: What it was asked.
        text: What it answered, as far as it got.
        usage: What the call used.
        cost: US dollars, or None where neither the provider nor the pool states a price.
        seconds: How long it took.
        finish: Why it ended; None if it failed or was abandoned.
        error: The error that ended it, as a sentence.
    """

    model: str
    request: Request = field(repr=False)
    text: str
    usage: Usage
    cost: float | None
    seconds: float
    finish: str | None = None
    error: str | None = None


@frozen(kw_only=True)
class Answer:
    """What the user gets; `str(answer)` is its text.

    Attributes:
        text: The answer.
        steps: Every call made on the way, failed ones too.
        decision: The first decision taken, or None where a solver decided nothing.
    """

    text: str
    steps: tuple[Step, ...] = ()
    decision: Decision | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def model(self) -> str:
        """Name of the model that answered last."""
        return self.steps[-1].model if self.steps else ""

    @property
    def finish(self) -> str | None:
        """Why the last call ended."""
        return self.steps[-1].finish if self.steps else None

    @property
    def usage(self) -> Usage:
        """Tokens of all calls together."""
        return Usage(
            input_tokens=sum(step.usage.input_tokens for step in self.steps),
            output_tokens=sum(step.usage.output_tokens for step in self.steps),
            estimated=any(step.usage.estimated for step in self.steps),
        )

    @property
    def cost(self) -> float | None:
        """US dollars of all calls together, or None if any of them has no known price."""
        costs = [step.cost for step in self.steps]
        return None if None in costs else float(sum(cost for cost in costs if cost is not None))

    @property
    def seconds(self) -> float:
        """Seconds of all calls together."""
        return sum(step.seconds for step in self.steps)
