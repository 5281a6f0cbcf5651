"""From a request for a response to a chat payload."""

from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadRequest

from llmrouter_plugin_server.protocols.checking import entries, entry, text
from llmrouter_plugin_server.protocols.foreign import Translated

_READ = {
    *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "include", "stream"),
    *("max_output_tokens", "top_logprobs", "metadata", "store", "truncation", "stream_options"),
    *("background", "conversation", "previous_response_id", "prompt", "max_tool_calls"),
}
_STORED = {
    "background": "answers are not kept here; leave it out and wait or stream",
    "conversation": "conversations are not kept here; send all items in 'input'",
    "previous_response_id": "responses are not kept here; send all items in 'input'",
    "prompt": "prompts are not kept here; send 'instructions' and 'input'",
}
_ROLES = {"developer": "system"}  # which not every provider knows
_LOGPROBS = "message.output_text.logprobs"


def payload_of(body: Mapping[str, Any]) -> Translated:
    """Return the chat payload of a request for a response.

    Raises:
        BadRequest: The request is not one, or needs what is not kept here; the message names
            the field.
    """
    for name, reason in _STORED.items():
        if body.get(name):
            raise BadRequest(f"'{name}': {reason}")
    fields = {key: value for key, value in body.items() if key not in _READ}
    fields["messages"] = _instructions(body) + _messages(body.get("input"))
    fields["stream"] = bool(body.get("stream"))
    if body.get("max_output_tokens") is not None:
        fields["max_completion_tokens"] = body["max_output_tokens"]
    return Translated(
        fields | _tools(body) | _form(body) | _effort(body) | _logprobs(body),
        protocol="responses",
        body=body,
    )


# ---------------------------------------------------------------------------- messages


def _instructions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    said = body.get("instructions")
    return [{"role": "system", "content": text(said, "instructions")}] if said else []


def _messages(given: object) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[dict[str, Any]] = []
    items = entries(given, "input")
    for number, item in enumerate(items):
        _add(messages, item, f"input[{number}]")
    if not messages:
        raise BadRequest("'input' is empty; give a text or at least one message")
    return messages


def _add(messages: list[dict[str, Any]], item: Mapping[str, Any], place: str) -> None:
    """Add what *item* says to the messages; calls go to the turn in which they were made."""
    kind = item.get("type") or "message"
    if kind == "message":
        messages.append(_message(item, place))
    elif kind in ("function_call", "custom_tool_call"):
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": None})
        messages[-1].setdefault("tool_calls", []).append(_call(item, kind, place))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        _output(messages, item, place)
    elif kind != "reasoning":
        raise BadRequest(f"'{place}.type': an item of type '{kind}' cannot be sent from here")


def _message(item: Mapping[str, Any], place: str) -> dict[str, Any]:
    role = text(item.get("role"), f"{place}.role")
    content = item.get("content")
    if not isinstance(content, str):
        found = entries(content, f"{place}.content")
        parts = [_part(p, f"{place}.content[{n}]") for n, p in enumerate(found)]
        plain = all(part["type"] == "text" for part in parts)
        if plain and (role == "assistant" or len(parts) == 1):
            content = "".join(part["text"] for part in parts)
        else:
            content = parts
    return {"role": _ROLES.get(role, role), "content": content}


def _part(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": text(part.get("text"), f"{place}.text")}
    if kind == "refusal":
        return {"type": "text", "text": text(part.get("refusal"), f"{place}.refusal")}
    if kind == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"]}
        image |= {"detail": part["detail"]} if part.get("detail") not in (None, "auto") else {}
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        file = {
            name: part[name] for name in ("file_data", "file_id", "filename") if part.get(name)
        }
        if part.get("file_url"):
            file.setdefault("file_data", part["file_url"])
        return {"type": "file", "file": file}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise BadRequest(f"'{place}': content of type '{kind}' cannot be sent from here")


def _call(item: Mapping[str, Any], kind: str, place: str) -> dict[str, Any]:
    identifier = text(item.get("call_id"), f"{place}.call_id")
    name = text(item.get("name"), f"{place}.name")
    if kind == "custom_tool_call":
        custom = {"name": name, "input": text(item.get("input"), f"{place}.input")}
        return {"id": identifier, "type": "custom", "custom": custom}
    function = {"name": name, "arguments": text(item.get("arguments"), f"{place}.arguments")}
    return {"id": identifier, "type": "function", "function": function}


def _output(messages: list[dict[str, Any]], item: Mapping[str, Any], place: str) -> None:
    """Add a tool's result; what is no text in it is shown by the user, after all results."""
    output = item.get("output")
    identifier = text(item.get("call_id"), f"{place}.call_id")
    shown: list[dict[str, Any]] = []
    if not isinstance(output, str):
        found = entries(output, f"{place}.output")
        parts = [_part(p, f"{place}.output[{n}]") for n, p in enumerate(found)]
        output = "\n".join(part["text"] for part in parts if part["type"] == "text")
        shown = [part for part in parts if part["type"] != "text"]
    last = len(messages)  # a user's images must not stand between the results of one turn
    if messages and messages[-1].get("role") == "user" and last > 1:
        before = messages[-2]
        if before["role"] == "tool" and _is_note(messages[-1]):
            last -= 1
    said = output or ("It follows in the next message." if shown else "")
    messages.insert(last, {"role": "tool", "tool_call_id": identifier, "content": said})
    if shown:
        note = {"type": "text", "text": f"{_NOTE} {identifier} returned:"}
        if last + 1 < len(messages):
            messages[-1]["content"] += [note, *shown]
        else:
            messages.append({"role": "user", "content": [note, *shown]})


_NOTE = "What tool call"


def _is_note(message: Mapping[str, Any]) -> bool:
    content = message["content"]
    return isinstance(content, list) and str(content[0].get("text")).startswith(_NOTE)


# ---------------------------------------------------------------------------- options


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if tools := entries(body.get("tools"), "tools"):
        fields["tools"] = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if choice is None:
        return fields
    return {**fields, "tool_choice": choice if isinstance(choice, str) else _choice(choice)}


def _tool(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    kind = tool.get("type")
    if kind == "function":
        names = ("name", "description", "parameters", "strict")
        return {"type": kind, kind: {n: tool[n] for n in names if tool.get(n) is not None}}
    if kind == "custom":
        custom = {n: tool[n] for n in ("name", "description") if tool.get(n) is not None}
        form = tool.get("format")
        if isinstance(form, Mapping) and form.get("type") == "grammar":
            grammar = {n: form.get(n) for n in ("definition", "syntax")}
            custom["format"] = {"type": "grammar", "grammar": grammar}
        elif form is not None:
            custom["format"] = form
        return {"type": kind, kind: custom}
    reason = f"a tool of type '{kind}' runs at OpenAI and not here; remove it"
    raise BadRequest(f"'{place}': {reason}")


def _choice(choice: object) -> dict[str, Any]:
    found = entry(choice, "tool_choice")
    kind = found.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, kind: {"name": text(found.get("name"), "tool_choice.name")}}
    if kind == "allowed_tools":
        tools = entries(found.get("tools"), "tool_choice.tools")
        allowed = {"mode": found.get("mode"), "tools": [_choice(tool) for tool in tools]}
        return {"type": kind, kind: allowed}
    raise BadRequest(f"'tool_choice': a tool of type '{kind}' runs at OpenAI and not here")


def _form(body: Mapping[str, Any]) -> dict[str, Any]:
    config = entry(body.get("text") or {}, "text")
    fields: dict[str, Any] = {}
    if config.get("verbosity"):
        fields["verbosity"] = config["verbosity"]
    form = entry(config.get("format") or {}, "text.format")
    if form.get("type") == "json_schema":
        schema = {key: v for key, v in form.items() if key != "type" and v is not None}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form.get("type") not in (None, "text"):
        fields["response_format"] = dict(form)
    return fields


def _effort(body: Mapping[str, Any]) -> dict[str, Any]:
    effort = entry(body.get("reasoning") or {}, "reasoning").get("effort")
    return {"reasoning_effort": effort} if effort else {}


def _logprobs(body: Mapping[str, Any]) -> dict[str, Any]:
    most = body.get("top_logprobs")
    if not most and _LOGPROBS not in (body.get("include") or ()):
        return {}
    return {"logprobs": True} | ({"top_logprobs": most} if most else {})
