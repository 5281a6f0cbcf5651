"""Keys, budgets and rate limits: who may ask, for how much, exact between processes."""

from llmrouter_plugin_server.keeping.addresses import DEFAULT, VARIABLE, store_at
from llmrouter_plugin_server.keeping.amounts import UNITS, units
from llmrouter_plugin_server.keeping.errors import (
    KeyTaken,
    NotAllowed,
    OverLimit,
    StoreDown,
    Unauthorized,
    UnknownKey,
)
from llmrouter_plugin_server.keeping.keeper import Keeper, Lease
from llmrouter_plugin_server.keeping.limits import Bounds, Charge, Limits
from llmrouter_plugin_server.keeping.records import Holder, Record, new
from llmrouter_plugin_server.keeping.sqlite import SqliteStore
from llmrouter_plugin_server.keeping.store import Balance, Hold, Refusal, Store

__all__ = [
    "DEFAULT",
    "UNITS",
    "VARIABLE",
    "Balance",
    "Bounds",
    "Charge",
    "Hold",
    "Holder",
    "Keeper",
    "KeyTaken",
    "Lease",
    "Limits",
    "NotAllowed",
    "OverLimit",
    "Record",
    "Refusal",
    "SqliteStore",
    "Store",
    "StoreDown",
    "Unauthorized",
    "UnknownKey",
    "new",
    "store_at",
    "units",
]
