"""From the address of a store to the store."""

from __future__ import annotations

import re

from llmrouter_core.catalogue import discover, find

from llmrouter_plugin_server.keeping.sqlite import SqliteStore
from llmrouter_plugin_server.keeping.store import Store

DEFAULT = "sqlite:keys.db"
"""Where keys are kept if nobody says otherwise."""

VARIABLE = "LLMROUTER_KEYS"
"""The variable that says otherwise: an address with a password belongs there, not in a command."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")
_SAME = {"rediss": "redis"}  # the same store, encrypted on the way


def store_at(address: str) -> Store:
    """Return the store at *address*, not opened yet.

    `redis://host:6379/0` is of the house of that name, found by its entry point in the group
    `llmrouter.store`; `sqlite:keys.db`, or a path alone, is a file.

    Raises:
        UnknownPlugin: No house for such an address is installed.
        ConfigError: The address cannot be one.
    """
    scheme = _SCHEME.match(address)
    if scheme is None or scheme[1] == "sqlite":
        return SqliteStore.at(address)
    name = _SAME.get(scheme[1], scheme[1])
    kind: type[Store] = find(discover(), "store", name).load()
    return kind.at(address)
