"""Server-sent events and the JSON inside them."""

import json
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"

_ENCODER = msgspec.json.Encoder(enc_hook=dict)  # for mappings that are no dictionaries


def encoded(value: Any) -> bytes:
    """Return *value* as compact JSON.

    Half of a surrogate pair, which some providers send in either of two events, is escaped.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=dict).encode()


def event(data: Any) -> bytes:
    """Return the event that holds *data*."""
    return b"data: %b\n\n" % encoded(data)


def named_event(data: Any) -> bytes:
    """Return the event that holds *data* and is named by its `type`."""
    return b"event: %b\ndata: %b\n\n" % (str(data["type"]).encode(), encoded(data))
