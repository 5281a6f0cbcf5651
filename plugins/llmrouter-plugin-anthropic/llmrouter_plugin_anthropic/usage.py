"""What a call used, where a prompt cache is read and written at prices of its own."""

from collections.abc import Mapping
from typing import Any

from llmrouter_core import Model, Usage

READ = 0.1
"""Price of a token read from the cache, as a share of an input token's."""
WRITTEN = 1.25
"""Price of a token written to the cache for five minutes."""
WRITTEN_FOR_AN_HOUR = 2.0
"""Price of a token written to the cache for an hour."""


def counts_of(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `usage` of a chat completion, whose prompt includes what was cached."""
    read = _count(counts, "cache_read_input_tokens")
    written = _count(counts, "cache_creation_input_tokens")
    taken = _count(counts, "input_tokens") + read + written
    made = _count(counts, "output_tokens")
    found: dict[str, Any] = {
        "prompt_tokens": taken,
        "completion_tokens": made,
        "total_tokens": taken + made,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
    details = counts.get("output_tokens_details")
    thought = _count(details, "thinking_tokens") if isinstance(details, Mapping) else 0
    if thought:
        found["completion_tokens_details"] = {"reasoning_tokens": thought}
    return found


def usage_of(counts: Mapping[str, Any], model: Model) -> Usage | None:
    """Return what a call used, None where that is not said.

    Its cost is told only where the cache had a part in it: else the model's price says it all.
    """
    if type(counts.get("input_tokens")) is not int:
        return None
    fresh, made = _count(counts, "input_tokens"), _count(counts, "output_tokens")
    read = _count(counts, "cache_read_input_tokens")
    written = _count(counts, "cache_creation_input_tokens")
    cost = None
    if model.price is not None and read + written:
        by_age = counts.get("cache_creation")
        old = _count(by_age, "ephemeral_1h_input_tokens") if isinstance(by_age, Mapping) else 0
        old = min(old, written)
        worth = fresh + READ * read + WRITTEN * (written - old) + WRITTEN_FOR_AN_HOUR * old
        cost = (worth * model.price.input + made * model.price.output) / 1e6
    return Usage(input_tokens=fresh + read + written, output_tokens=made, cost=cost)


def _count(counts: Mapping[str, Any], name: str) -> int:
    found = counts.get(name)
    return found if type(found) is int and found > 0 else 0
