"""From a chat payload to a request for messages."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from attrs import frozen
from llmrouter_core import BadRequest, Model, Refused
from llmrouter_plugin_openai.faults import Place

from llmrouter_plugin_anthropic.content import Content

_READ = {
    *("messages", "model", "stream", "max_tokens", "max_completion_tokens", "stop", "tools"),
    *("tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user"),
    *("temperature", "top_p", "n", "logprobs", "top_logprobs", "betas"),
}
_LEFT_OUT = {  # Anthropic has nothing like them, and an answer is one without them
    *("frequency_penalty", "presence_penalty", "logit_bias", "seed", "stream_options", "store"),
    *("metadata", "service_tier", "verbosity", "prediction", "prompt_cache_key", "modalities"),
    *("safety_identifier", "prompt_cache_retention", "prompt_cache_options", "llmrouter"),
}
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_EFFORTS = {"minimal": "low", "xhigh": "high"}
_JSON = "Answer with one JSON object and nothing else."


@frozen
class Asked:
    """A request, ready to be sent.

    Attributes:
        body: The JSON of its body.
        betas: What else it needs in the header `anthropic-beta`.
    """

    body: bytes
    betas: tuple[str, ...] = ()


def asked_of(
    place: Place, model: Model, payload: Mapping[str, Any], *, stream: bool, max_tokens: int
) -> Asked:
    """Return the request that asks *model* what *payload* says.

    A payload that was translated from messages, and says so by its `protocol` and `body`, is
    sent as it was before, with everything that only Anthropic knows.

    Args:
        place: Whom the call asks.
        model: The model to ask.
        payload: The chat payload.
        stream: Whether to ask for a stream; the payload may say no.
        max_tokens: The most tokens of the answer, where the payload does not say.

    Raises:
        BadRequest: The payload breaks the protocol of chat completions.
        Refused: It asks for what Anthropic does not do; another model may.
    """
    streamed = stream and payload.get("stream") is not False
    native = getattr(payload, "body", None)
    if getattr(payload, "protocol", None) == "messages" and isinstance(native, Mapping):
        body = _native(native)
    else:
        body = _translated(place, payload)
    betas = _texts(body.pop("betas", None))
    body.setdefault("max_tokens", max_tokens)
    body |= {"model": model.id, "stream": streamed}
    try:
        text = json.dumps(body, allow_nan=False, separators=(",", ":"), default=dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise place.error(BadRequest, f"the payload is not JSON ({error})") from error
    return Asked(text.encode(), betas)


# ---------------------------------------------------------------------------- as it was


def _native(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body as it was, but for what other models left in the conversation."""
    fields = {name: value for name, value in body.items() if name != "llmrouter"}
    if isinstance(fields.get("messages"), list):
        fields["messages"] = [_cleaned(message) for message in fields["messages"]]
    return fields


def _cleaned(message: Any) -> Any:
    """Return *message* without unsigned thoughts, and with identifiers that Anthropic takes."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list):
        return message
    kept = [_fit(block) for block in content if not _unsigned(block)]
    return message if kept == content else {**message, "content": kept}


def _unsigned(block: Any) -> bool:
    thought = isinstance(block, Mapping) and block.get("type") == "thinking"
    return thought and not block.get("signature")


def _fit(block: Any) -> Any:
    names = {"tool_use": "id", "tool_result": "tool_use_id"}
    name = names.get(str(block.get("type"))) if isinstance(block, Mapping) else None
    if name is None or not isinstance(block.get(name), str):
        return block
    return {**block, name: fit_id(block[name])}


def fit_id(identifier: str) -> str:
    """Return *identifier* in the letters that Anthropic takes."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", identifier)


# ---------------------------------------------------------------------------- translated


def _translated(place: Place, payload: Mapping[str, Any]) -> dict[str, Any]:
    _check(place, payload)
    known = _READ | _LEFT_OUT
    fields = {name: value for name, value in payload.items() if name not in known}
    content = Content(place, fit_id)
    for number, message in enumerate(_messages(place, payload)):
        content.add(message, f"messages[{number}]")
    form = payload.get("response_format")
    form = form if isinstance(form, Mapping) else {}
    if form.get("type") == "json_object":  # there is no such mode
        content.system.append({"type": "text", "text": _JSON})
    fields["messages"] = content.messages()
    if content.system:
        fields["system"] = content.system
    for name in ("max_completion_tokens", "max_tokens"):
        if payload.get(name) is not None:
            fields["max_tokens"] = payload[name]
            break
    if stop := payload.get("stop"):
        fields["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(user := payload.get("user"), str) and user:
        fields["metadata"] = {"user_id": user}
    if _texts(payload.get("betas")):
        fields["betas"] = payload["betas"]
    return fields | _sampling(payload) | _tools(place, payload) | _config(payload, form, fields)


def _messages(place: Place, payload: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    messages = payload.get("messages")
    if not isinstance(messages, list | tuple):
        raise place.error(BadRequest, "'messages' in the payload is not a list")
    if not all(isinstance(message, Mapping) for message in messages):
        raise place.error(BadRequest, "'messages' in the payload holds what is no message")
    return messages


def _check(place: Place, payload: Mapping[str, Any]) -> None:
    if payload.get("n") not in (None, 1):
        _refuse(place, "answers once, so 'n' cannot be more than 1")
    if payload.get("logprobs") or payload.get("top_logprobs"):
        _refuse(place, "tells no log probabilities, so 'logprobs' cannot be had")


def _refuse(place: Place, reason: str) -> NoReturn:
    raise place.error(Refused, reason)


def _sampling(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return temperature and top_p unless they are 1, which changes nothing.

    Anthropic refuses both at once, and a temperature above 1.
    """
    fields = {}
    for name in ("temperature", "top_p"):
        value = payload.get(name)
        if isinstance(value, int | float) and value < 1:
            fields[name] = value
    return fields


def _tools(place: Place, payload: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    tools = payload.get("tools") or ()
    if not isinstance(tools, list | tuple):
        raise place.error(BadRequest, "'tools' in the payload is not a list")
    if tools:
        fields["tools"] = [_tool(place, tool) for tool in tools]
    choice = payload.get("tool_choice")
    alone = payload.get("parallel_tool_calls") is False and bool(tools)
    if choice is None and not alone:
        return fields
    found: dict[str, Any]
    if isinstance(choice, Mapping) and isinstance(choice.get("function"), Mapping):
        found = {"type": "tool", "name": choice["function"].get("name")}
    elif choice is None or (isinstance(choice, str) and choice in _CHOICES):
        found = {"type": _CHOICES[choice or "auto"]}
    else:
        _refuse(place, "knows no such 'tool_choice'")
    if alone and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return {**fields, "tool_choice": found} if tools else fields


def _tool(place: Place, tool: Any) -> dict[str, Any]:
    if not isinstance(tool, Mapping):
        raise place.error(BadRequest, "'tools' in the payload holds what is no tool")
    if tool.get("type") == "custom" and "custom" in tool:
        _refuse(place, "has no tools that take free text")
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)  # one of Anthropic's own
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    found = {"name": function.get("name"), "input_schema": schema}
    names = ("description", "strict")
    found |= {name: function[name] for name in names if function.get(name) is not None}
    if "cache_control" in tool:
        found["cache_control"] = tool["cache_control"]
    return found


def _config(
    payload: Mapping[str, Any], form: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the output's configuration: a schema, and how much effort is wanted."""
    given = fields.get("output_config")
    config = dict(given) if isinstance(given, Mapping) else {}
    schema = form.get("json_schema")
    if form.get("type") == "json_schema" and isinstance(schema, Mapping):
        config["format"] = {"type": "json_schema", "schema": schema.get("schema") or {}}
    effort = payload.get("reasoning_effort")
    if isinstance(effort, str) and effort not in ("", "none"):
        config.setdefault("effort", _EFFORTS.get(effort, effort))
    return {"output_config": config} if config else {}


def _texts(value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list | tuple) else ()
    return tuple(text for text in found if isinstance(text, str) and text.isprintable())
