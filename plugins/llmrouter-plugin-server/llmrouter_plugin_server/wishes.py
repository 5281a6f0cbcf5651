"""What a request wishes for beside the answer: which model, which knob, where, how long."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen
from llmrouter_core import Query

from llmrouter_plugin_server import names
from llmrouter_plugin_server.faults import refuse
from llmrouter_plugin_server.generations import Generation
from llmrouter_plugin_server.permitting import ANYONE, Permit, check_pinned, permit_of

if TYPE_CHECKING:
    from llmrouter_plugin_server.keeping import Holder

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_LONGEST = 256  # characters of a user's or a conversation's name


@frozen
class Wish:
    """How to route one request.

    Attributes:
        pinned: The model that was asked for by name; None lets the router choose.
        facts: What parts may read: `tradeoff`, `conversation`, `region`, `traceparent`.
        seconds: How long it may take.
        permit: Whom it may ask.
    """

    pinned: str | None
    facts: Mapping[str, Any]
    seconds: float
    permit: Permit = ANYONE


def wish_of(
    fields: Mapping[str, Any],
    head: Mapping[bytes, bytes],
    generation: Generation,
    deadline: float,
    holder: Holder | None = None,
) -> Wish:
    """Return what a request wishes for.

    Args:
        fields: Its body, of which `llmrouter` and `model` are read.
        head: Its headers.
        generation: The router that serves.
        deadline: The most seconds it may take.
        holder: Whose key it has; None where no keys are needed.

    Raises:
        Refusal: A wish is not what it must be or not for this key, or there is no such model.
        NoEligibleModel: No model that it may use is in the region.
    """
    own = fields.get(names.FIELD)
    if own is None:
        own = {}
    elif not isinstance(own, dict):
        raise refuse(400, "'llmrouter' must be an object", "bad_request", param=names.FIELD)
    facts: dict[str, Any] = {}
    asked = fields.get("model")
    pinned = None
    if isinstance(asked, str) and asked in generation.virtual:
        knob = generation.virtual[asked]
        if knob is not None:
            facts["tradeoff"] = knob
    elif isinstance(asked, str) and asked in generation.candidates:
        pinned = asked
    elif asked is not None:
        shown = f"'{asked:.80}'" if isinstance(asked, str) else "that is not a text"
        message = f"there is no model {shown}; GET /v1/models lists them"
        raise refuse(404, message, "model_not_found", param="model")
    permit = permit_of(own.get("region"), head, generation.candidates, holder)
    if pinned is not None:
        check_pinned(generation.candidates[pinned], permit, holder)
    if permit.region is not None:
        facts["region"] = permit.region
    tradeoff = own.get("tradeoff")
    if tradeoff is None and names.TRADEOFF in head:
        tradeoff = _number(head[names.TRADEOFF])
    if tradeoff is not None:
        if type(tradeoff) not in (int, float) or not 0 <= tradeoff <= 1:
            message = "'tradeoff' must be a number from 0 (quality first) to 1 (cost first)"
            raise refuse(400, message, "bad_request", param="llmrouter.tradeoff")
        facts["tradeoff"] = tradeoff
    conversation = own.get("conversation")
    if conversation is None and names.CONVERSATION in head:
        conversation = head[names.CONVERSATION].decode("latin-1")
    if conversation is not None:
        facts["conversation"] = _name(conversation, "llmrouter.conversation")
    trace = head.get(names.TRACEPARENT)
    if trace is not None and len(trace) <= _LONGEST and _TRACEPARENT.fullmatch(trace):
        facts["traceparent"] = trace.decode("ascii")  # a malformed one is to be ignored
    return Wish(pinned, facts, _seconds(head.get(names.TIMEOUT), deadline), permit)


def query_of(prompt: Any, wish: Wish) -> Query:
    """Return *prompt*, a chat payload or a text, as the query that *wish* says.

    Raises:
        Refusal: It is neither, or holds nothing to answer.
    """
    user = prompt.get("user") if isinstance(prompt, Mapping) else None
    name = None if user is None else _name(user, "user")
    try:
        return Query.of(prompt, user=name, facts=wish.facts)
    except (TypeError, ValueError) as error:
        raise refuse(400, str(error), "bad_request", param="messages") from None


def _name(value: object, param: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        message = f"'{param}' must be a text of at most {_LONGEST} characters"
        raise refuse(400, message, "bad_request", param=param)
    return value


def _seconds(header: bytes | None, deadline: float) -> float:
    if header is None:
        return deadline
    seconds = _number(header)
    if seconds is None or not seconds > 0:
        message = f"the header {names.TIMEOUT.decode()} must be a number of seconds above 0"
        raise refuse(400, message, "bad_request")
    return min(seconds, deadline)


def _number(header: bytes) -> float | None:
    try:
        number = float(header)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
