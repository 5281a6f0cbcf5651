"""A key for one run: made when it starts, gone when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from llmrouter_plugin_server.keeping import Keeper, SqliteStore, new


@contextmanager
def one_key() -> Iterator[tuple[Keeper, str]]:
    """Yield a keeper that knows one key, and that key.

    The store lies in a folder that only its owner can read; it holds the key's digest, no key.
    """
    with TemporaryDirectory(prefix="llmrouter-chat-") as folder:
        record, token = new("chat")
        store = SqliteStore(Path(folder) / "keys.db")

        async def add() -> None:
            await store.open()
            await store.add(record)
            await store.aclose()

        asyncio.run(add())
        yield Keeper(store=store), token
