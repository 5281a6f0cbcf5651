"""What is said instead of a number that would mean nothing."""

from llmrouter_core import LLMRouterError


class NoEstimate(LLMRouterError):
    """The log cannot tell what the other router would get."""

    exit_code = 2
