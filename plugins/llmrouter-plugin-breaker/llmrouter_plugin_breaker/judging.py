"""What the end of a call says about the model that was asked, and about its provider."""

from collections.abc import Callable

from llmrouter_core import (
    BadRequest,
    BadResponse,
    CallError,
    IncompleteStream,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)

from llmrouter_plugin_breaker.circuit import Circuit, Ticket

_FAULTS = (RateLimited, Unavailable, TimedOut, BadResponse, IncompleteStream)
_OF_THE_KEY = (401, 402, 429)  # a key without credit is refused with 429 by some


def model_answers(error: BaseException | None) -> bool | None:
    """Return whether a call that ended with *error* shows a model that works.

    A request that is refused for what it asks shows one too. None where the call shows nothing:
    it was cancelled, or never sent.
    """
    if error is None:
        return True
    if isinstance(error, _FAULTS):
        return False
    if isinstance(error, BadRequest | Refused) and error.status is not None:
        return not (isinstance(error, Refused) and error.status in _OF_THE_KEY)
    return None


def provider_answers(error: BaseException | None) -> bool | None:
    """Return whether a call that ended with *error* shows a provider that can be reached."""
    if error is None or (isinstance(error, CallError) and error.status is not None):
        return True
    return False if isinstance(error, Unavailable) else None


def conclude(
    circuit: Circuit,
    ticket: Ticket,
    error: BaseException | None,
    judge: Callable[[BaseException | None], bool | None] = model_answers,
) -> None:
    """Tell *circuit* how the call of *ticket* ended: with *error*, or well.

    A target that names the length of its rate limit rests at once; any other fault is counted.
    """
    good, wait = judge(error), getattr(error, "retry_after", None)
    if good is False and isinstance(error, RateLimited) and wait:
        circuit.rest(ticket, wait, _kind(error))
    else:
        circuit.settle(ticket, good, _kind(error), wait)


def _kind(error: BaseException | None) -> str:
    """Return what *error* is, and nothing that it says.

    Providers quote prompts, and what a circuit says of the last call is logged and told to the
    next ones, who are not whoever made it.
    """
    status = getattr(error, "status", None)
    name = type(error).__name__
    return name if status is None else f"{name} (status {status})"


def refusal(model: str, circuit: Circuit, left: float) -> CallError:
    """Return the error of a call that is not sent, because *circuit* rests for *left* seconds.

    After a rate limit, waiting is what the provider asked for, so a retry may; after failures
    nothing is gained by holding a request for seconds.
    """
    kind = RateLimited if circuit.limited else Unavailable
    reason = f"{circuit.name} rests after {circuit.reason}"
    error = kind(
        f"model '{model}' is not asked for {left:.1f} s: {reason}", model=model, retry_after=left
    )
    error.again = circuit.limited
    return error
