"""The body of a request: the payload as it came, but for the fields that are ours to set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from llmrouter_core import BadRequest, Model, Payload

from llmrouter_plugin_openai.faults import Place

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Encoder().encode


def body_of(place: Place, model: Model, payload: Mapping[str, Any], *, stream: bool) -> bytes:
    """Return *payload* as JSON, to ask *model*.

    A `Payload` keeps the text of its fields, to the last digit and escape; any other mapping is
    written anew.

    Raises:
        BadRequest: The payload is not JSON, or its `stream_options` are no object.
    """
    stream = stream and payload.get("stream") is not False
    ours: dict[str, Any] = {"model": model.id, "stream": stream}
    if stream:
        options = payload.get("stream_options") or {}
        if not isinstance(options, Mapping):
            raise place.error(BadRequest, "'stream_options' in the payload is not an object")
        ours["stream_options"] = {**options, "include_usage": True}
    if isinstance(payload, Payload):
        spliced = _spliced(payload, ours)
        if spliced is not None:
            return spliced
    whole = {**payload, **ours}
    if not stream:
        whole.pop("stream_options", None)  # providers refuse it without a stream
    try:
        return json.dumps(
            whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dict
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"the payload is not JSON ({error})"
        raise place.error(BadRequest, reason) from error


def _spliced(payload: Payload, ours: Mapping[str, Any]) -> bytes | None:
    """Return the text of *payload* with *ours* in it, None where it has another's fields.

    A field that the payload does not have any more is left out of its text too.
    """
    try:
        texts = _fields(payload.source)
        if not payload.keys() <= texts.keys() | ours.keys():
            return None
        kept: dict[str, Any] = {name: text for name, text in texts.items() if name in payload}
        if "stream_options" not in ours:
            kept.pop("stream_options", None)
        return _text({**kept, **ours})
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None
