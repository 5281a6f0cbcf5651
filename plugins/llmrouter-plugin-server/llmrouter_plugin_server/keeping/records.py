"""A key as it is kept, and its holder as the server knows it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from attrs import field, frozen
from llmrouter_core import Model

from llmrouter_plugin_server.keeping.limits import (
    NO_LIMITS,
    Charge,
    Limits,
    key_account,
    limits_of,
    user_account,
)
from llmrouter_plugin_server.keeping.tokens import digest, issue


@frozen(kw_only=True)
class Record:
    """A key at rest.

    Attributes:
        id: Public and unique; accounts are named after it.
        name: Unique among the keys that are valid.
        digest: SHA-256 of its token.
        models: Names of the models it may use; None for all.
        region: Where its requests may be processed; None for anywhere.
        limits: What it may spend.
        made: When, in seconds of the Unix time.
        revoked: When it ceased to be valid; None while it is.
    """

    id: str
    name: str
    digest: bytes = field(repr=False)
    models: tuple[str, ...] | None = None
    region: str | None = None
    limits: Limits = NO_LIMITS
    made: float = 0.0
    revoked: float | None = None

    def table(self) -> dict[str, Any]:
        """Return what a store keeps beside id, name, digest and revocation."""
        models = None if self.models is None else list(self.models)
        return {
            "models": models,
            "region": self.region,
            "limits": self.limits.table(),
            "made": self.made,
        }

    def text(self) -> str:
        """Return `table` as JSON."""
        return json.dumps(self.table(), separators=(",", ":"))


def record_of(key: str, name: str, digest: bytes, revoked: float | None, text: str) -> Record:
    """Return the record of which *text* is `Record.text`."""
    table = json.loads(text)
    return Record(
        id=key,
        name=name,
        digest=digest,
        revoked=revoked,
        models=None if table["models"] is None else tuple(table["models"]),
        region=table.get("region"),  # which older stores do not have
        limits=limits_of(table["limits"]),
        made=table["made"],
    )


def new(
    name: str,
    *,
    models: Iterable[str] | None = None,
    region: str | None = None,
    limits: Limits | None = None,
) -> tuple[Record, str]:
    """Return the record of a new key and its token, which nothing else will ever know."""
    token = issue()
    found = digest(token)
    record = Record(
        id=found.hex()[:12],  # of the digest, which tells nothing about the token
        name=name,
        digest=found,
        models=None if models is None else tuple(models),
        region=region,
        limits=limits or NO_LIMITS,
        made=time.time(),
    )
    return record, token


@frozen(kw_only=True)
class Holder:
    """Who sends a request: what the server may know of a key.

    Attributes:
        name: Of the key.
        id: Of the key; empty for the anonymous holder.
        models: Names of the models it may use; None for all.
        region: Where its requests may be processed; None for anywhere.
        limits: What it may spend.
    """

    name: str
    id: str = ""
    models: tuple[str, ...] | None = None
    region: str | None = None
    limits: Limits = NO_LIMITS
    limited: bool = field(init=False, repr=False)
    _own: tuple[Charge, ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "limited", bool(self.limits))
        own = self.limits.key.charges(key_account(self.id))
        if self.limits and not own:  # so that what its users spend together is known
            own = (Charge(account=key_account(self.id)),)
        object.__setattr__(self, "_own", own)

    def allows(self, model: str) -> bool:
        """Return whether it may use *model*, if that is in its region."""
        return self.models is None or model in self.models

    def permits(self, model: Model) -> bool:
        """Return whether it may use *model*."""
        inside = self.region is None or self.region in model.regions
        return inside and self.allows(model.name)

    def charges(self, user: str | None) -> tuple[Charge, ...]:
        """Return every account that a call for *user* is booked on, with its limits."""
        if not self.limits.user:
            return self._own
        return self._own + self.limits.user.charges(user_account(self.id, user))


def holder_of(record: Record) -> Holder:
    """Return the holder of a key."""
    return Holder(
        name=record.name,
        id=record.id,
        models=record.models,
        region=record.region,
        limits=record.limits,
    )
