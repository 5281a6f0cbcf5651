"""litellm itself: loaded late, kept quiet, and tidied up behind.

On import it would fetch a table of prices from the network, read the nearest `.env` into the
process, and it prints advice next to errors. None of that happens here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Lock
from typing import Any

from llmrouter_core import ConfigError, Secret
from llmrouter_plugin_openai.faults import clean

LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}

_lock = Lock()


def load() -> Any:
    """Return the library; the first time takes seconds.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    with _lock, _environment(), _handlers():
        litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    if hasattr(litellm, "telemetry"):  # of older versions
        litellm.telemetry = False
    return litellm


@contextmanager
def _environment() -> Iterator[None]:
    """Set what litellm reads on import, where the user did not, and take it back."""
    ours = [name for name in _ENVIRONMENT if name not in os.environ]
    os.environ.update({name: _ENVIRONMENT[name] for name in ours})
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _handlers() -> Iterator[None]:
    """Take away what litellm puts on its loggers: where lines go is for the application to say."""
    before = {name: [*logging.getLogger(name).handlers] for name in LOGGERS}
    yield
    for name, kept in before.items():
        logger = logging.getLogger(name)
        if logger.handlers != kept:
            logger.handlers[:] = kept
            logger.propagate = True


class Scrubber(logging.Filter):
    """Takes keys out of what litellm logs, whatever its level.

    Args:
        secrets: The keys of one caller.
    """

    def __init__(self, secrets: tuple[Secret, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite *record*; it stays."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__})"
        for secret in self._secrets:
            with suppress(ConfigError):  # it is not set any more
                text = text.replace(secret.reveal(), "•••")
        record.msg, record.args = clean(text), ()
        record.exc_info = record.exc_text = None
        return True


@contextmanager
def scrubbed(secrets: tuple[Secret, ...]) -> Iterator[None]:
    """Keep *secrets* out of litellm's log while the block runs."""
    scrubber = Scrubber(secrets)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(scrubber)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(scrubber)


def clients(litellm: Any) -> frozenset[str]:
    """Return the names of the clients that litellm keeps for the running loop."""
    cache = getattr(litellm, "in_memory_llm_clients_cache", None)
    mark = getattr(cache, "update_cache_key_with_event_loop", None)
    if cache is None or mark is None:
        return frozenset()
    suffix = mark("")
    return frozenset(name for name in cache.cache_dict if suffix and name.endswith(suffix))


async def close_clients(litellm: Any, kept: frozenset[str]) -> None:
    """Close the clients that litellm opened on the running loop, except those that are *kept*."""
    for name in clients(litellm) - kept:
        client = litellm.in_memory_llm_clients_cache.cache_dict.pop(name, None)
        for closing in ("close", "aclose"):
            if hasattr(client, closing):
                with suppress(Exception):
                    await getattr(client, closing)()
                break
