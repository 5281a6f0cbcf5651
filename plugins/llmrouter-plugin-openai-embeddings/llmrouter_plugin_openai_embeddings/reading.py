"""From a provider's JSON to rows of length one: everything is checked, nothing is guessed."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from llmrouter_core import BadResponse, Floats
from llmrouter_plugin_openai.faults import Place, reported


def rows_of(place: Place, body: bytes, count: int) -> Floats:
    """Return the embeddings in *body* in the order of the inputs, float32 (count, d), unit rows.

    Raises:
        CallError: The answer reports an error, or is not *count* embeddings of one length, each
            with its own index.
    """
    rows: list[Floats | None] = [None] * count
    for item in _items(place, body):
        index = item.get("index") if isinstance(item, Mapping) else None
        if type(index) is not int or not 0 <= index < count or rows[index] is not None:
            raise place.error(BadResponse, "answered an embedding without an index of its own")
        rows[index] = _row(place, item.get("embedding"))
    found = [row for row in rows if row is not None]
    if len(found) < count:
        raise place.error(BadResponse, f"answered {len(found)} embeddings to {count} texts")
    if len({len(row) for row in found}) > 1:
        raise place.error(BadResponse, "answered embeddings of different lengths")
    return np.stack(found)


def _items(place: Place, body: bytes) -> list[Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise place.error(BadResponse, "answered what is not JSON; check its base_url") from None
    if isinstance(answer, Mapping) and answer.get("error"):
        raise reported(place, answer["error"])
    items = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(items, list):
        raise place.error(BadResponse, "answered without a list of embeddings")
    return items


def _row(place: Place, embedding: Any) -> Floats:
    """Return *embedding*, a list of numbers or base64, as a float32 row of length one, (d,)."""
    values = _decoded(embedding) if isinstance(embedding, str) else _listed(embedding)
    if values is None or not values.size:
        raise place.error(BadResponse, "answered an embedding that is no row of numbers")
    largest = np.abs(values).max()
    if not np.isfinite(largest):  # NaN is the largest of all
        raise place.error(BadResponse, "answered an embedding with numbers that are not finite")
    if not largest:
        raise place.error(BadResponse, "answered an embedding of length zero")
    scaled = values / largest  # so that no square overflows
    unit: Floats = (scaled / np.linalg.norm(scaled)).astype(np.float32)
    return unit


def _listed(embedding: Any) -> Floats | None:
    if not isinstance(embedding, list):
        return None
    try:
        values = np.array(embedding)
    except ValueError:  # ragged
        return None
    return values.astype(np.float64) if values.ndim == 1 and values.dtype.kind in "iuf" else None


def _decoded(embedding: str) -> Floats | None:
    try:
        data = base64.b64decode(embedding, validate=True)
    except (binascii.Error, ValueError):
        return None
    return np.frombuffer(data, "<f4").astype(np.float64) if len(data) % 4 == 0 else None
