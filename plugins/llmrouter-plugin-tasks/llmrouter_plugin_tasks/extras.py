"""Libraries that only some tasks need, imported when they are used."""

from importlib import import_module
from typing import Any

from llmrouter_core import LLMRouterError


class MissingExtra(LLMRouterError):
    """A task needs a library that is not installed."""

    exit_code = 2


def need(module: str, extra: str, why: str) -> Any:
    """Return *module*, imported.

    Raises:
        MissingExtra: It is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{why} needs the library '{error.name or module}', which is not installed; "
            f"run: pip install 'llmrouter-plugin-tasks[{extra}]'"
        ) from error
