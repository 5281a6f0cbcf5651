"""From a chat payload to the arguments of litellm: fields of a chat, and nothing else.

Whoever sends a payload must not steer the library. Passed on as it came, a field such as
`api_base` would send the key to a server of the sender's choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadRequest, Model
from llmrouter_plugin_openai.faults import Place

FIELDS = frozenset(
    (
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    )
)
"""What litellm translates; any other field stands in the body only, where providers find it."""

OURS = frozenset(
    (
        "acompletion",
        "api_base",
        "api_key",
        "base_url",
        "drop_params",
        "extra_headers",
        "fallbacks",
        "headers",
        "max_retries",
        "messages",
        "model",
        "num_retries",
        "stream",
        "stream_options",
        "timeout",
    )
)
"""Arguments that are set here, by options of their own."""


def arguments_of(
    place: Place,
    model: Model,
    payload: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    stream: bool,
) -> dict[str, Any]:
    """Return the arguments that ask *model*; nothing in them is shared with the payload.

    Args:
        place: Whom the call asks.
        model: The model.
        payload: The chat.
        defaults: Arguments that apply where the payload has no such field.
        stream: Whether answers are asked for in pieces, unless the payload says they are not.

    Raises:
        BadRequest: The payload is not JSON, or has no messages.
    """
    try:
        text = json.dumps(dict(payload), allow_nan=False, default=dict)
        fields: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"the payload is not JSON ({error})"
        raise place.error(BadRequest, reason) from error
    if not isinstance(fields.get("messages"), list):
        raise place.error(BadRequest, "the payload has no list of 'messages'")
    stream = stream and fields.pop("stream", None) is not False
    fields.pop("model", None)
    fields.pop("stream", None)
    options = fields.pop("stream_options", None) or {}
    if not isinstance(options, dict):
        raise place.error(BadRequest, "'stream_options' in the payload is not an object")
    known = {name: value for name, value in fields.items() if name in FIELDS}
    found = {**defaults, **known, "model": model.id, "stream": stream}
    others = {name: value for name, value in fields.items() if name not in FIELDS}
    if others:
        found["extra_body"] = {**(defaults.get("extra_body") or {}), **others}
    if stream:
        found["stream_options"] = {**options, "include_usage": True}
    return found
