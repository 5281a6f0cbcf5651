"""Every mistake LLMRouter can report, named after the mistake.

    LLMRouterError
    ├── ConfigError            the configuration is wrong; all its problems at once
    ├── PluginError
    │   ├── UnknownPlugin      no installed plugin has that name
    │   ├── AmbiguousPlugin    two distributions offer that name
    │   ├── BrokenPlugin       it is installed but cannot be used
    │   └── BadResult          a hook returned something its specification forbids
    ├── NotFitted              a part must be trained before it can score
    ├── NoEligibleModel        every model was vetoed for a query
    ├── DatasetError           an outcome file cannot be read or does not fit the pool
    ├── ArtefactError
    │   ├── ArtefactDamaged    files are missing, cut short or changed
    │   └── ArtefactMismatch   made for another part, embedder or pool
    └── CallError              a model did not answer
        ├── BadRequest         the request itself is at fault: no model would take it
        ├── Refused            this key or deployment does not serve it
        ├── RateLimited        too many requests; `retry_after` says when
        ├── Unavailable        the provider is down or cannot be reached
        ├── TimedOut           a deadline passed
        ├── BadResponse        the provider's answer breaks the protocol
        ├── IncompleteStream   the answer ended without saying that it was finished
        ├── BudgetExceeded     the call could cost more than is left
        ├── NoRecording        nothing was recorded for this query and model
        └── AllModelsFailed    every model of the ranking failed; `failures` has each

Messages are one sentence: a place, a reason, a next step.
"""

from collections.abc import Sequence


class LLMRouterError(Exception):
    """Base of all errors; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(LLMRouterError):
    """A configuration with one or more problems, each a sentence ending in its place."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.source, self.problems)


class PluginError(LLMRouterError):
    """Something is wrong with a plugin."""

    exit_code = 2


class UnknownPlugin(PluginError):
    """No installed plugin of that kind has that name."""


class AmbiguousPlugin(PluginError):
    """Several distributions offer the same name; the config must qualify it."""


class BrokenPlugin(PluginError):
    """A plugin cannot be imported, is not what its entry point says, or misuses a hook."""


class BadResult(PluginError):
    """A hook returned a value its specification does not allow."""

    exit_code = 1


class NotFitted(LLMRouterError):
    """A part that learns was asked to score before it was trained."""

    exit_code = 2


class NoEligibleModel(LLMRouterError):
    """Every model of the pool was vetoed for a query."""


class DatasetError(LLMRouterError):
    """Outcomes cannot be read, or do not fit the pool."""

    exit_code = 2


class ArtefactError(LLMRouterError):
    """What was saved cannot be used."""

    exit_code = 2


class ArtefactDamaged(ArtefactError):
    """A saved file is missing, cut short, too large or not what its manifest says."""


class ArtefactMismatch(ArtefactError):
    """A saved file was made for another part, embedder or pool."""


class CallError(LLMRouterError):
    """A model did not answer.

    Attributes:
        model: Name of the model that was asked.
        status: HTTP status, where there was one.
        retry_after: Seconds the provider asked to wait, where it did.
        again: Whether the same model may answer a little later.
        elsewhere: Whether another model may answer.
    """

    again = False
    elsewhere = True

    def __init__(
        self,
        message: str,
        *,
        model: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.status = status
        self.retry_after = retry_after


class BadRequest(CallError):
    """The request is at fault (400, 413, 422)."""

    elsewhere = False


class Refused(CallError):
    """The key or the deployment does not serve the request (401, 402, 403, 404)."""


class RateLimited(CallError):
    """Too many requests (429)."""

    again = True


class Unavailable(CallError):
    """The provider is down (5xx) or cannot be reached."""

    again = True


class TimedOut(CallError):
    """A connect, first-byte, idle or total limit passed."""

    again = True


class BadResponse(CallError):
    """The provider's answer is not what the protocol promises, or is too large."""


class IncompleteStream(CallError):
    """The answer ended without a finish reason."""

    again = True


class BudgetExceeded(CallError):
    """The call could cost more than is left; a cheaper model may still fit."""


class NoRecording(CallError):
    """Nothing was recorded for this query and model."""


class AllModelsFailed(CallError):
    """Every model of the ranking failed.

    Attributes:
        failures: The `CallError` of each model, in the order they were asked.
    """

    elsewhere = False

    def __init__(self, failures: Sequence[CallError]) -> None:
        self.failures = tuple(failures)
        reasons = "; ".join(str(failure) for failure in self.failures)
        super().__init__(f"no model answered: {reasons}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.failures,)
