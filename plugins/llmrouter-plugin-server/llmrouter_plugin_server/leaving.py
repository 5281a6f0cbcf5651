"""Noticing that a client has gone: then nobody pays for an answer that nobody reads."""

from __future__ import annotations

import asyncio

from llmrouter_plugin_server.replies import Receive, Scope

CONNECTION = "llmrouter.connection"
"""Where our own HTTP protocol puts the `Connection` of a request into its scope."""


class Connection:
    """A connection that cancels the requests on it when the client closes it.

    Attributes:
        clients: Who waits for an answer on it.
        whole: Whether the request that came last is complete, so that nobody waits for its body.
    """

    __slots__ = ("clients", "whole")

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.whole = False

    def lost(self) -> None:
        """Cancel whoever answers; what is answered already is left alone."""
        for client in tuple(self.clients):
            client.leave()


class Client:
    """Whoever waits for the answer that the running task makes.

    Within `with client:` the task is cancelled as soon as the client leaves. Under a server that
    is not ours, a second task watches for that.

    Attributes:
        left: Whether the client has gone.
    """

    __slots__ = ("_connection", "_receive", "_task", "_watch", "left")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.left = False
        self._connection: Connection | None = scope.get(CONNECTION)
        self._receive = receive
        self._task: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Client:
        self._task = asyncio.current_task()
        if self._connection is not None:
            self._connection.clients.add(self)
        else:
            self._watch = asyncio.create_task(self._watching())
        return self

    def __exit__(self, *_: object) -> None:
        self._task = None
        if self._connection is not None:
            self._connection.clients.discard(self)
        elif self._watch is not None:
            self._watch.cancel()

    def leave(self) -> None:
        """Cancel the task that answers."""
        self.left = True
        if self._task is not None:
            self._task.cancel()

    async def _watching(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()
