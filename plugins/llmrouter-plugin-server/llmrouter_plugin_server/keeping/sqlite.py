"""The store in one file: SQLite in WAL mode, shared by the processes of one machine.

A transaction takes some 50 microseconds, less than handing it to a thread and back, so it is tried
on the event loop first, without waiting for anything. Only where another process is writing just
then does a thread wait for it; checkpoints, which wait for the disk, are the thread's as well.

Commits survive a process that is killed. A machine that loses power may forget the last of them
(`synchronous = NORMAL`), but never half of one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from llmrouter_core import ConfigError

from llmrouter_plugin_server.keeping.errors import KeyTaken, StoreDown, UnknownKey
from llmrouter_plugin_server.keeping.limits import Charge
from llmrouter_plugin_server.keeping.records import Record, record_of
from llmrouter_plugin_server.keeping.refusing import Standing, refusal, started
from llmrouter_plugin_server.keeping.store import DAYS, TOMBSTONE, Balance, Hold, Refusal

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_OURS = 0x4C52_4B59  # what SQLite calls an application id
_VERSION = 1
_SECOND = 10**9
_PATIENCE = 5.0  # seconds that a thread waits for other processes to write
_COMMITS = 1000  # after which what they wrote is moved from the log into the file
_LONGEST = 16_384  # pages of the log, 64 MiB, from which writers have to wait until it is empty
_MOST = 2**63 - 1

_SCHEMA = """
CREATE TABLE key (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
    made REAL NOT NULL, revoked REAL, rest TEXT NOT NULL
);
CREATE UNIQUE INDEX key_name ON key (name) WHERE revoked IS NULL;
CREATE TABLE account (
    name TEXT PRIMARY KEY, spent INTEGER NOT NULL DEFAULT 0, reserved INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, under_way INTEGER NOT NULL DEFAULT 0,
    free_at INTEGER NOT NULL DEFAULT 0, day INTEGER
) WITHOUT ROWID;
CREATE INDEX account_day ON account (day) WHERE day IS NOT NULL;
CREATE TABLE lease (
    id TEXT PRIMARY KEY, amount INTEGER NOT NULL, accounts TEXT NOT NULL, book INTEGER NOT NULL,
    renewed INTEGER NOT NULL, until INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX lease_until ON lease (lost, until);
"""


class SqliteStore:
    """Keys and accounts in a SQLite file.

    Leases and rates run on the machine's monotonic clock, which all its processes share and nobody
    can set. It starts again when the machine does; what was reserved before that is lost by then.

    Args:
        path: The file; it is made, readable by its owner only, where there is none.
        monotonic: Nanoseconds of a clock that never goes back, the same for all processes.
        wall: Seconds of the Unix time, for days.
    """

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._monotonic = monotonic
        self._wall = wall
        self._quick: sqlite3.Connection | None = None
        self._patient: sqlite3.Connection | None = None
        self._mover: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._moving: ThreadPoolExecutor | None = None  # it waits for the disk, and nobody for it
        self._commits = 0

    @classmethod
    def at(cls, address: str) -> Self:
        """Return the store in the file *address*: a path, or `sqlite:` and a path."""
        path = address.removeprefix("sqlite:").removeprefix("//")
        if not path:
            raise ConfigError("store", ["the address names no file; write sqlite:keys.db"])
        return cls(Path(path).expanduser())

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    # ------------------------------------------------------------------ opening

    async def open(self) -> None:
        """Open the file, and make it where there is none.

        Raises:
            StoreDown: It cannot be opened.
            ConfigError: It is something else.
        """
        self._thread = ThreadPoolExecutor(1, "keys")
        self._moving = ThreadPoolExecutor(1, "keys-log")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connect)
        except BaseException:
            await self.aclose()
            raise

    def _connect(self) -> None:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreDown(f"{self.path}: cannot be opened: {error.strerror}") from None
        with self._explained():
            self._patient = _connection(self.path, _PATIENCE)
            _use_wal(self._patient)
            self._transact(self._patient, self._prepare)
            self._quick = _connection(self.path, 0.0)
            self._mover = _connection(self.path, _PATIENCE)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        [ours], [version] = (
            connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("application_id", "user_version")
        )
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_OURS}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif ours != _OURS:
            raise ConfigError(str(self.path), ["it is not a store of keys; choose another file"])
        elif version != _VERSION:
            reason = f"it has version {version}, and this LLMRouter reads version {_VERSION}"
            raise ConfigError(str(self.path), [f"{reason}; update LLMRouter"])
        # A lease from the clock's future was made before the machine started: its call is over.
        now = self._monotonic()
        query = "SELECT id, amount, accounts, book FROM lease WHERE lost = 0 AND renewed > ?"
        _lose(connection, connection.execute(query, (now,)).fetchall(), now)

    async def aclose(self) -> None:
        """Close the file; the last process to do so leaves nothing beside it."""
        quick, self._quick = self._quick, None
        others = [self._patient, self._mover]
        self._patient = self._mover = None
        if quick is not None:
            quick.close()
        loop = asyncio.get_running_loop()
        for thread, connection in zip((self._thread, self._moving), others, strict=True):
            if thread is not None:
                if connection is not None:  # the last one to close empties the log
                    await loop.run_in_executor(thread, connection.close)
                thread.shutdown()
        self._thread = self._moving = None

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite raises into `StoreDown`."""
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                problem = "it is not a store of keys; choose another file"
                raise ConfigError(str(self.path), [problem]) from None
            raise StoreDown(f"{self.path}: the store of keys does not answer: {error}") from None

    def _transact(self, connection: sqlite3.Connection, operation: Operation[T]) -> T:
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = operation(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    async def _write(self, operation: Operation[T]) -> T:
        """Return what *operation* returns, which is one transaction."""
        quick, patient = self._opened()
        with self._explained():
            try:
                result = self._transact(quick, operation)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                result = await self._threaded(lambda: self._transact(patient, operation))
        self._commits += 1
        if self._commits >= _COMMITS and self._moving is not None and self._mover is not None:
            self._commits = 0
            self._moving.submit(_move, self._mover)
        return result

    async def _read(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        quick, patient = self._opened()
        with self._explained():
            try:
                return quick.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return await self._threaded(lambda: patient.execute(query, values).fetchall())

    async def _threaded(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _opened(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        if self._quick is None or self._patient is None:
            raise StoreDown(f"{self.path}: the store of keys is not open")
        return self._quick, self._patient

    # ------------------------------------------------------------------ keys

    async def add(self, record: Record) -> None:
        """Keep a new key; see `Store`."""
        row = (record.id, record.name, record.digest, record.made, record.revoked, record.text())

        def operation(connection: sqlite3.Connection) -> None:
            taken = "SELECT 1 FROM key WHERE name = ? AND revoked IS NULL"
            if connection.execute(taken, (record.name,)).fetchone():
                raise KeyTaken(
                    f"there is a key '{record.name}' already; revoke it first or choose a name"
                )
            connection.execute("INSERT INTO key VALUES (?, ?, ?, ?, ?, ?)", row)

        await self._write(operation)

    async def find(self, digest: bytes) -> Record | None:
        """Return the key whose token has *digest*; see `Store`."""
        rows = await self._read(f"{_KEYS} WHERE digest = ?", (digest,))
        return _record(rows[0]) if rows else None

    async def records(self) -> Sequence[Record]:
        """Return all keys, oldest first."""
        return [_record(row) for row in await self._read(f"{_KEYS} ORDER BY made, id")]

    async def revoke(self, key: str) -> Record:
        """End the valid key of that name or id; see `Store`."""
        when = self._wall()

        def operation(connection: sqlite3.Connection) -> Record:
            where = "WHERE revoked IS NULL AND (name = ? OR id = ?)"
            row = connection.execute(f"{_KEYS} {where} ORDER BY id = ?", (key,) * 3).fetchone()
            if row is None:
                raise UnknownKey(f"there is no valid key '{key}'; list them: llmrouter keys list")
            connection.execute("UPDATE key SET revoked = ? WHERE id = ?", (when, row[0]))
            return _record(row)

        return await self._write(operation)

    # ------------------------------------------------------------------ accounts

    async def reserve(self, hold: Hold) -> Refusal | None:
        """Reserve on every account, or on none; see `Store`."""

        def operation(connection: sqlite3.Connection) -> Refusal | None:
            now, wall = self._monotonic(), self._wall()
            refused = _try(connection, hold, now, wall)
            if refused and _expire(connection, now):
                refused = _try(connection, hold, now, wall)
            return refused

        return await self._write(operation)

    async def settle(self, lease: str, amount: int, calls: int = 1) -> None:
        """End *lease* and book what it was; see `Store`."""

        def operation(connection: sqlite3.Connection) -> None:
            query = "SELECT amount, accounts, book, lost FROM lease WHERE id = ?"
            row = connection.execute(query, (lease,)).fetchone()
            if row is None:
                return
            held, accounts, book, lost = row
            connection.execute("DELETE FROM lease WHERE id = ?", (lease,))
            if not lost:
                change = (amount, -held, calls, -1)
            elif book:
                change = (amount - held, 0, calls - 1, 0)
            else:
                change = (amount, 0, calls, 0)
            _change(connection, json.loads(accounts), change)

        await self._write(operation)

    async def renew(self, leases: Sequence[str], seconds: float) -> None:
        """Let *leases* run on, and drop what is too old; see `Store`."""
        today = _day(self._wall())

        def operation(connection: sqlite3.Connection) -> None:
            now = self._monotonic()
            until = now + round(seconds * _SECOND)
            query = "UPDATE lease SET renewed = ?, until = ? WHERE id = ? AND lost = 0"
            connection.executemany(query, [(now, until, lease) for lease in leases])
            _expire(connection, now)
            old = now - round(TOMBSTONE * _SECOND)
            connection.execute("DELETE FROM lease WHERE lost = 1 AND until <= ?", (old,))
            connection.execute("DELETE FROM account WHERE day <= ?", (today - DAYS,))

        await self._write(operation)

    async def balances(self, charges: Sequence[Charge]) -> Mapping[Charge, Balance]:
        """Return what is on accounts; see `Store`."""
        today, found = _day(self._wall()), {}
        for charge in charges:
            query = "SELECT spent, reserved, calls, under_way FROM account WHERE name = ?"
            rows = await self._read(query, (_named(charge, today),))
            spent, reserved, calls, under_way = rows[0] if rows else (0, 0, 0, 0)
            found[charge] = Balance(
                spent=spent, reserved=reserved, calls=calls, under_way=under_way
            )
        return found


_KEYS = "SELECT id, name, digest, revoked, rest FROM key"
_STANDING = "SELECT spent, reserved, calls, under_way, free_at FROM account WHERE name = ?"
_BOOK = """
INSERT INTO account (name, day, reserved, under_way, free_at) VALUES (?1, ?2, ?3, 1, ?4)
ON CONFLICT (name) DO UPDATE SET
    reserved = reserved + ?3, under_way = under_way + 1, free_at = ?4
"""
_CHANGE = """
UPDATE account SET
    spent = spent + min(?1, ?5 - spent),
    reserved = reserved + ?2, calls = calls + ?3, under_way = under_way + ?4
WHERE name = ?6
"""


def _try(connection: sqlite3.Connection, hold: Hold, now: int, wall: float) -> Refusal | None:
    """Reserve *hold*, or return why not."""
    today, names, rows = _day(wall), [], []
    for charge in hold.charges:
        name = _named(charge, today)
        row = connection.execute(_STANDING, (name,)).fetchone()
        standing = Standing(*row) if row else Standing()
        refused = refusal(charge, hold.amount, standing, now, wall)
        if refused is not None:
            again = connection.execute("SELECT 1 FROM lease WHERE id = ?", (hold.lease,))
            return None if again.fetchone() else refused
        free_at = started(charge, standing, now)
        names.append(name)
        rows.append((name, today if charge.daily else None, hold.amount, free_at))
    until = now + round(hold.seconds * _SECOND)
    lease = (hold.lease, hold.amount, json.dumps(names), hold.lost == "book", now, until)
    made = connection.execute("INSERT OR IGNORE INTO lease VALUES (?, ?, ?, ?, ?, ?, 0)", lease)
    if made.rowcount:
        connection.executemany(_BOOK, rows)
    return None


def _expire(connection: sqlite3.Connection, now: int) -> bool:
    """Take leases that ran out off their accounts, and return whether there were any."""
    query = "SELECT id, amount, accounts, book FROM lease WHERE lost = 0 AND until <= ?"
    return _lose(connection, connection.execute(query, (now,)).fetchall(), now)


def _lose(
    connection: sqlite3.Connection, leases: Sequence[tuple[str, int, str, int]], now: int
) -> bool:
    for lease, amount, accounts, book in leases:
        change = (amount, -amount, 1, -1) if book else (0, -amount, 0, -1)
        _change(connection, json.loads(accounts), change)
        query = "UPDATE lease SET lost = 1, renewed = ?1, until = ?1 WHERE id = ?2"
        connection.execute(query, (now, lease))
    return bool(leases)


def _change(
    connection: sqlite3.Connection, accounts: Sequence[str], change: tuple[int, int, int, int]
) -> None:
    connection.executemany(_CHANGE, [(*change, _MOST, name) for name in accounts])


def _move(connection: sqlite3.Connection) -> None:
    """Move the log into the file, beside the writers; they wait only where it grew too long."""
    try:
        [(_, pages, _)] = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if pages > _LONGEST:
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    except sqlite3.Error:
        return  # the log grows a little; the next one tries again


def _connection(path: Path, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the log; several processes may try at once, and SQLite does not wait here."""
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)


def _day(wall: float) -> int:
    return int(wall // 86_400)


def _named(charge: Charge, today: int) -> str:
    return f"{charge.account}:{today}" if charge.daily else charge.account


def _record(row: Sequence[Any]) -> Record:
    key, name, digest, revoked, rest = row
    return record_of(key, name, digest, revoked, rest)
