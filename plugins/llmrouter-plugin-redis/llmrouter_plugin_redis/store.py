"""The store in Redis: every verb is one script, which Redis runs alone."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import urlsplit

from llmrouter_core import ConfigError
from llmrouter_plugin_server.keeping.errors import KeyTaken, StoreDown, UnknownKey
from llmrouter_plugin_server.keeping.limits import Charge
from llmrouter_plugin_server.keeping.records import Record, record_of
from llmrouter_plugin_server.keeping.store import DAYS, TOMBSTONE, Balance, Hold, Reason, Refusal

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

PREFIX = "{llmrouter}"
"""What every key in Redis begins with; the braces keep them on one node of a cluster."""

_PATIENCE = 1.0  # seconds for a connection, and for an answer
_CONNECTIONS = 32
_SCRIPTS = ("reserve", "settle", "renew", "add", "revoke")


class RedisStore:
    """Keys and accounts in Redis 7 or later, or in what speaks its protocol and runs Lua.

    Time is the server's. Leases and rates run on a clock that goes on where the server's is set
    back.

    Args:
        address: `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._place = _place(address)
        self._redis: Redis | None = None
        self._scripts: dict[str, Any] = {}

    @classmethod
    def at(cls, address: str) -> Self:
        """Return the store at *address*, not opened yet.

        Raises:
            ConfigError: The address cannot be one.
        """
        return cls(address)

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r})"  # without user and password

    # ------------------------------------------------------------------ opening

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreDown: Redis does not answer.
        """
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Lost

        try:
            pool = BlockingConnectionPool.from_url(
                self._address,
                max_connections=_CONNECTIONS,
                timeout=_PATIENCE,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                # A connection that Redis closed meanwhile; asking twice does nothing twice.
                retry=Retry(NoBackoff(), 1, supported_errors=(Lost,)),
            )
        except (ValueError, TypeError):
            raise _bad_address() from None
        self._redis = Redis.from_pool(pool)
        self._scripts = {name: self._redis.register_script(_source(name)) for name in _SCRIPTS}
        try:
            await self._asked(self._redis.ping())
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connections."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def _asked(self, answer: Awaitable[T]) -> T:
        """Return *answer*; whatever goes wrong is `StoreDown`, which never shows the address."""
        from redis.exceptions import RedisError

        try:
            return await answer
        except (RedisError, OSError, TimeoutError) as error:
            reason = type(error).__name__
        raise StoreDown(f"the Redis at {self._place} does not answer ({reason})")

    async def _run(self, script: str, *arguments: str | int) -> Any:
        self._opened()
        return await self._asked(self._scripts[script](keys=[PREFIX], args=arguments))

    def _opened(self) -> Redis:
        if self._redis is None:
            raise StoreDown(f"the Redis at {self._place} is not open")
        return self._redis

    # ------------------------------------------------------------------ keys

    async def add(self, record: Record) -> None:
        """Keep a new key; see `Store`."""
        if not await self._run("add", record.name, record.digest.hex(), _text(record, None)):
            raise KeyTaken(
                f"there is a key '{record.name}' already; revoke it first or choose a name"
            )

    async def find(self, digest: bytes) -> Record | None:
        """Return the key whose token has *digest*; see `Store`."""
        redis = self._opened()
        asked = cast("Awaitable[Any]", redis.hget(f"{PREFIX}:keys", digest.hex()))
        text = await self._asked(asked)
        return None if text is None else _record(digest, text)

    async def records(self) -> Sequence[Record]:
        """Return all keys, oldest first."""
        redis = self._opened()
        found = await self._asked(cast("Awaitable[Any]", redis.hgetall(f"{PREFIX}:keys")))
        records = [_record(bytes.fromhex(_str(key)), text) for key, text in found.items()]
        return sorted(records, key=lambda record: (record.made, record.id))

    async def revoke(self, key: str) -> Record:
        """End the valid key of that name or id; see `Store`."""
        valid = [record for record in await self.records() if record.revoked is None]
        named = [record for record in valid if record.name == key]
        for record in named or [record for record in valid if record.id == key]:
            was, shall_be = _text(record, None), _text(record, time.time())
            if await self._run("revoke", record.name, record.digest.hex(), was, shall_be):
                return record
        raise UnknownKey(f"there is no valid key '{key}'; list them: llmrouter keys list")

    # ------------------------------------------------------------------ accounts

    async def reserve(self, hold: Hold) -> Refusal | None:
        """Reserve on every account, or on none; see `Store`."""
        arguments: list[str | int] = [
            hold.lease,
            hold.amount,
            round(hold.seconds * 1e6),
            int(hold.lost == "book"),
            round(TOMBSTONE),
            (DAYS + 1) * 86_400,
        ]
        for charge in hold.charges:
            limits = (charge.dollars, charge.calls, charge.calls_at_once, charge.calls_per_minute)
            arguments += [charge.account, int(charge.daily)]
            arguments += ["" if limit is None else limit for limit in limits]
        refused = await self._run("reserve", *arguments)
        if not refused:
            return None
        place, reason, wait, spent, reserved = refused
        return Refusal(
            charge=hold.charges[int(place)],
            reason=cast(Reason, _str(reason)),
            retry_after=int(wait) / 1e6 if wait else None,
            spent=int(spent),
            reserved=int(reserved),
        )

    async def settle(self, lease: str, amount: int, calls: int = 1) -> None:
        """End *lease* and book what it was; see `Store`."""
        await self._run("settle", lease, amount, calls)

    async def renew(self, leases: Sequence[str], seconds: float) -> None:
        """Let *leases* run on; see `Store`."""
        await self._run("renew", round(seconds * 1e6), round(TOMBSTONE), *leases)

    async def balances(self, charges: Sequence[Charge]) -> Mapping[Charge, Balance]:
        """Return what is on accounts; see `Store`."""
        redis = self._opened()
        [seconds, _] = await self._asked(cast("Awaitable[Any]", redis.time()))
        found = {}
        for charge in charges:
            day = f":{int(seconds) // 86_400}" if charge.daily else ""
            fields = ["spent", "reserved", "calls", "under_way"]
            asked = redis.hmget(f"{PREFIX}:account:{charge.account}{day}", fields)
            row = await self._asked(cast("Awaitable[Any]", asked))
            spent, reserved, calls, under_way = (int(number or 0) for number in row)
            found[charge] = Balance(
                spent=spent, reserved=reserved, calls=calls, under_way=under_way
            )
        return found


@cache
def _source(script: str) -> str:
    folder = files(__package__)
    parts = ("accounts", script) if script in ("reserve", "settle", "renew") else (script,)
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return text if len(parts) > 1 else f"local prefix = KEYS[1]\n{text}"


def _place(address: str) -> str:
    """Return where *address* leads, without user and password."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or 6379
    except ValueError:
        raise _bad_address() from None
    if parts.scheme not in ("redis", "rediss") or not host or parts.query:
        raise _bad_address()
    return f"{host}:{port}"


def _bad_address() -> ConfigError:
    problem = "the address of the Redis cannot be read; write redis://host:6379/0"
    return ConfigError("store", [problem])


def _text(record: Record, revoked: float | None) -> str:
    return json.dumps([record.id, record.name, revoked, record.text()])


def _record(digest: bytes, text: bytes | str) -> Record:
    key, name, revoked, rest = json.loads(text)
    return record_of(key, name, digest, revoked, rest)


def _str(text: bytes | str) -> str:
    return text if isinstance(text, str) else text.decode()
