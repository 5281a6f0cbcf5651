"""From a request for messages to a chat payload."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from llmrouter_core import BadRequest, Request
from llmrouter_core.types import estimate_tokens

from llmrouter_plugin_server.protocols.checking import entries, entry, text
from llmrouter_plugin_server.protocols.events import encoded
from llmrouter_plugin_server.protocols.foreign import Translated

_READ = {
    *("system", "messages", "tools", "tool_choice", "stop_sequences", "stream"),
    *("thinking", "output_config", "output_format", "metadata"),
}
_LEFT_OUT = {  # they ask Anthropic to work differently, not to answer differently
    *("cache_control", "context_management", "diagnostics", "inference_geo", "service_tier"),
    *("speed", "betas"),
}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_LONGEST_USER = (
    64  # characters that OpenAI takes; some clients of Anthropic's send three times that
)
_EFFORTS = {"xhigh": "high", "max": "high"}


def payload_of(body: Mapping[str, Any]) -> Translated:
    """Return the chat payload of a request for messages.

    Raises:
        BadRequest: The request is not one; the message names the field.
    """
    fields = {k: v for k, v in body.items() if k not in _READ and k not in _LEFT_OUT}
    messages = _system(body.get("system"))
    for number, message in enumerate(entries(body.get("messages"), "messages")):
        messages += _turn(message, f"messages[{number}]")
    if not body.get("messages"):
        raise BadRequest("'messages' is empty; give at least one message")
    fields["messages"] = messages
    fields["stream"] = bool(body.get("stream"))
    if body.get("stop_sequences"):
        fields["stop"] = body["stop_sequences"]
    fields |= _tools(body) | _effort(body) | _form(body) | _user(body)
    return Translated(fields, protocol="messages", body=body)


def count_of(body: Mapping[str, Any]) -> int:
    """Return roughly how many tokens the request has, four characters a token.

    Raises:
        BadRequest: It is not a request for messages.
    """
    payload = payload_of(body)
    tools = payload.get("tools")
    return Request(payload=payload).input_tokens + (
        estimate_tokens(encoded(tools).decode()) if tools else 0
    )


# ---------------------------------------------------------------------------- messages


def _system(system: Any) -> list[dict[str, Any]]:
    if not system:
        return []
    if not isinstance(system, str):
        system = _joined([_part(b, f"system[{n}]") for n, b in _blocks(system, "system")])
    return [{"role": "system", "content": system}]


def _turn(message: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Return the chat messages that one message becomes."""
    role = text(message.get("role"), f"{place}.role")
    content = message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = _blocks(content, f"{place}.content")
    if role == "assistant":
        return _answered(blocks, f"{place}.content")
    results: list[dict[str, Any]] = []  # they follow the calls, before anything else is said
    parts: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for number, block in blocks:
        where = f"{place}.content[{number}]"
        if block.get("type") == "tool_result":
            result, images = _result(block, where)
            results.append(result)
            shown += images
        else:
            parts.append(_part(block, where))
    if shown or parts:
        return [*results, {"role": role, "content": _joined([*shown, *parts])}]
    return results


def _answered(blocks: list[tuple[int, Mapping[str, Any]]], place: str) -> list[dict[str, Any]]:
    """Return the message of an earlier answer: its text and calls, without its thoughts."""
    parts: list[dict[str, Any]] = []
    calls = []
    for number, block in blocks:
        kind = text(block.get("type"), f"{place}[{number}].type")
        if kind == "tool_use":
            body = {
                "name": block.get("name"),
                "arguments": encoded(block.get("input") or {}).decode(),
            }
            calls.append({"id": block.get("id"), "type": "function", "function": body})
        elif kind == "text":
            parts.append(_part(block, f"{place}[{number}]"))
        elif kind not in ("thinking", "redacted_thinking"):
            parts.append(dict(block))
    content: Any = parts
    if all(part["type"] == "text" for part in parts):  # others read no parts of an answer
        content = "".join(part["text"] for part in parts) or None
    if not calls:
        return [{"role": "assistant", "content": content or ""}]
    return [{"role": "assistant", "content": content, "tool_calls": calls}]


def _result(block: Mapping[str, Any], place: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the message of a tool's result, and its images, which only a user may show."""
    content = block.get("content")
    identifier = text(block.get("tool_use_id"), f"{place}.tool_use_id")
    images: list[dict[str, Any]] = []
    if content is None or isinstance(content, str):
        said = content or ""
    else:
        parts = [
            _part(b, f"{place}.content[{n}]") for n, b in _blocks(content, f"{place}.content")
        ]
        said = "\n".join(str(part["text"]) for part in parts if part["type"] == "text")
        images = [part for part in parts if part["type"] != "text"]
        if images:
            note = f"What tool call {identifier} returned:"
            images.insert(0, {"type": "text", "text": note})
            said = said or "It follows in the next message."
    if block.get("is_error") and not said.lower().startswith("error"):
        said = f"Error: {said}"
    return {"role": "tool", "tool_call_id": identifier, "content": said}, images


def _part(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the content part that a block becomes; the block itself where chat has none."""
    kind = text(block.get("type"), f"{place}.type")
    if kind == "text":
        return {"type": "text", "text": text(block.get("text"), f"{place}.text")}
    if kind == "image":
        source = entry(block.get("source"), f"{place}.source")
        if (url := _url(source)) is not None:
            return {"type": "image_url", "image_url": {"url": url}}
    if kind == "document":
        return _document(block, place)
    if kind == "search_result":
        parts = entries(block.get("content"), f"{place}.content")
        lines = [block.get("title"), block.get("source"), *(part.get("text") for part in parts)]
        return {"type": "text", "text": "\n".join(str(line) for line in lines if line)}
    return dict(block)


def _document(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    source = entry(block.get("source"), f"{place}.source")
    title = block.get("title") or "document.pdf"
    if (url := _url(source)) is not None:
        return {"type": "file", "file": {"filename": title, "file_data": url}}
    content = source.get("data") if source.get("type") == "text" else source.get("content")
    if source.get("type") == "content" and not isinstance(content, str):
        found = entries(content, f"{place}.source.content")
        if any(part.get("type") != "text" for part in found):
            return dict(block)
        content = "\n".join(str(part.get("text", "")) for part in found)
    if not isinstance(content, str):
        return dict(block)
    lines = [block.get("title"), block.get("context"), content]
    return {"type": "text", "text": "\n".join(str(line) for line in lines if line)}


def _url(source: Mapping[str, Any]) -> str | None:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return str(source.get("url")) if source.get("type") == "url" else None


def _blocks(value: object, place: str) -> list[tuple[int, Mapping[str, Any]]]:
    if value is None:
        raise BadRequest(f"'{place}' is missing")
    return list(enumerate(entries(value, place)))


def _joined(parts: list[dict[str, Any]]) -> Any:
    """Return the parts, or the bare text where they are nothing else."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


# ---------------------------------------------------------------------------- options


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if tools := entries(body.get("tools"), "tools"):
        fields["tools"] = [_tool(tool) for tool in tools]
    if body.get("tool_choice") is None:
        return fields
    choice = entry(body["tool_choice"], "tool_choice")
    kind = text(choice.get("type"), "tool_choice.type")
    if kind == "tool":
        name = text(choice.get("name"), "tool_choice.name")
        fields["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind in _CHOICES:
        fields["tool_choice"] = _CHOICES[kind]
    else:
        raise BadRequest("'tool_choice.type' is none of auto, any, tool and none")
    if choice.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        return dict(tool)  # one that runs at Anthropic
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {}}
    function |= {name: tool[name] for name in ("description", "strict") if name in tool}
    return {"type": "function", "function": function}


def _effort(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return how hard the model shall think, where the request insists on it."""
    config = entry(body.get("output_config") or {}, "output_config")
    if effort := config.get("effort"):
        return {"reasoning_effort": _EFFORTS.get(str(effort), effort)}
    thinking = entry(body.get("thinking") or {}, "thinking")
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or type(budget) is not int:
        return {}
    effort = "low" if budget < 4096 else "medium" if budget < 16384 else "high"
    return {"reasoning_effort": effort}


def _form(body: Mapping[str, Any]) -> dict[str, Any]:
    config = entry(body.get("output_config") or {}, "output_config")
    form = config.get("format") or body.get("output_format")
    if not form:
        return {}
    form = entry(form, "output_config.format")
    if form.get("type") != "json_schema":
        return {"response_format": dict(form)}
    schema = {"name": "answer", "schema": form.get("schema") or {}, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _user(body: Mapping[str, Any]) -> dict[str, Any]:
    user = entry(body.get("metadata") or {}, "metadata").get("user_id")
    if not isinstance(user, str) or not user:
        return {}
    if len(user) > _LONGEST_USER:
        user = sha256(user.encode("utf-8", "replace")).hexdigest()
    return {"user": user}
