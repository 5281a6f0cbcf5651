"""The ways a simulated call can fail, each the typed error a real one would raise."""

from typing import NoReturn

from llmrouter_core import (
    BadResponse,
    IncompleteStream,
    RateLimited,
    TimedOut,
    Unavailable,
)

FAULTS = ("rate_limit", "unavailable", "timeout", "cut", "malformed", "slow")
"""Every fault a config may name; `slow` raises nothing, the answer takes ten times as long."""


def raise_fault(fault: str, model: str) -> NoReturn:
    """Raise the error of *fault*; the message says that it was simulated."""
    place = f"model '{model}' (simulated)"
    if fault == "rate_limit":
        raise RateLimited(
            f"{place} got too many requests; wait 0.05 seconds",
            model=model, status=429, retry_after=0.05,
        )  # fmt: skip
    if fault == "unavailable":
        raise Unavailable(f"{place} is down; try again", model=model, status=503)
    if fault == "timeout":
        raise TimedOut(f"{place} did not answer in time; try again", model=model)
    if fault == "malformed":
        raise BadResponse(f"{place} sent an event that is not JSON; ask another", model=model)
    raise IncompleteStream(f"{place} stopped in the middle of its answer; try again", model=model)
