"""The embedder: what was not asked before is asked in batches, and checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attrs import define, field, validators
from llmrouter_core import BadResponse, Floats, Query, Secret, hookimpl
from llmrouter_plugin_openai.options import bare, positive, sendable, web_address

from llmrouter_plugin_openai_embeddings.asking import Provider
from llmrouter_plugin_openai_embeddings.memory import Memory

if TYPE_CHECKING:
    from llmrouter_core.home import Home


@define(eq=False, kw_only=True)
class OpenaiEmbeddingsEmbedder:
    """Embed by `POST {base_url}/embeddings`; rows are scaled to length one.

    Connections open with the first question and close when the router closes. An embedding is
    remembered by its text, so what is asked twice is paid once.

    Attributes:
        base_url: Where the provider is, up to `/v1`; the key is sent nowhere else.
        api_key: The provider's key; None where a local server needs none.
        model: What the provider calls the model that embeds.
        dimensions: Length of an embedding, of models that can shorten theirs; it is checked.
        encoding_format: How numbers travel: `float`, or `base64`, which is a quarter as long.
        headers: Further headers.
        deadline: Seconds that one request may take, its repeats and pauses included.
        attempts: How often a request is sent at most, where asking again may help.
        batch: Texts in one request.
        longest: Characters of a text that are sent: the head and the tail of a longer one.
        remembered: How many embeddings are kept in memory; 0 keeps none.
        largest_response: Bytes a response may have.
    """

    base_url: str = field(
        default="https://api.openai.com/v1", converter=bare, validator=web_address
    )
    api_key: Secret | None = None
    model: str = field(default="text-embedding-3-small", validator=validators.min_len(1))
    dimensions: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    encoding_format: Literal["float", "base64"] = "float"
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=sendable)
    deadline: float = field(default=30.0, validator=positive)
    attempts: int = field(default=3, validator=validators.ge(1))
    batch: int = field(default=64, validator=validators.ge(1))
    longest: int = field(default=6000, validator=validators.ge(16))
    remembered: int = field(default=4096, validator=validators.ge(0))
    largest_response: int = field(default=64 << 20, validator=validators.gt(0))
    _memory: Memory = field(init=False, repr=False)
    _home: list[Home] = field(init=False, repr=False, factory=list)  # at most one
    _lock: Any = field(init=False, repr=False, factory=Lock)
    _users: int = field(init=False, repr=False, default=0)
    _length: int | None = field(init=False, repr=False)
    _provider: Provider = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._memory = Memory(self.remembered)
        self._length = self.dimensions
        body: dict[str, Any] = {"model": self.model, "encoding_format": self.encoding_format}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        self._provider = Provider(
            base_url=self.base_url,
            key=self.api_key,
            headers=self.headers,
            body=body,
            deadline=self.deadline,
            attempts=self.attempts,
            largest=self.largest_response,
        )

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d) with rows of length one.

        Raises:
            CallError: The provider did not answer, or not what it must.
            ConfigError: The key is not set, or cannot be sent.
        """
        texts = [self._sent(query.text) for query in queries]
        rows = self._memory.known(texts)
        unknown = [text for text in dict.fromkeys(texts) if text not in rows]
        for start in range(0, len(unknown), self.batch):
            batch = unknown[start : start + self.batch]
            found = dict(zip(batch, self._asked(batch), strict=True))
            self._memory.keep(found)
            rows |= found
        if not texts:
            return np.empty((0, self._length or 0), np.float32)
        return np.stack([rows[text] for text in texts])

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return the context at whose end the connections close."""
        return self._live()

    def _sent(self, text: str) -> str:
        """Return what is sent of *text*: not too much, not nothing, and valid Unicode."""
        if len(text) > self.longest:
            half = self.longest // 2
            text = f"{text[:half]} {text[-half:]}"
        return text.encode("utf-8", "replace").decode() if text.strip() else " "

    def _asked(self, texts: Sequence[str]) -> Floats:
        """Return the provider's embeddings of *texts*, (n, d)."""
        answer = self._opened().submit(self._provider.rows(texts))
        try:
            rows = answer.result()
        finally:
            answer.cancel()  # whoever interrupts the wait ends the call
        length = rows.shape[1]
        with self._lock:
            wanted = self._length = self._length or length
        if length != wanted:
            raise BadResponse(
                f"model '{self.model}' answered embeddings of length {length}, not {wanted}; "
                "check 'model' and 'dimensions' @ embedder",
                model=self.model,
            )
        return rows

    # ------------------------------------------------------------------ opening and closing

    def _opened(self) -> Home:
        """Return the event loop of the connections; its thread starts with the first request.

        A loop, because only there a deadline holds for a whole response: a blocking client
        limits each read, so a server that drips could hold it for ever.
        """
        from llmrouter_core.home import Home  # asyncio costs 40 ms; building needs none

        with self._lock:
            if not self._home:
                self._home.append(Home(self._provider.open))
            return self._home[0]

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        import asyncio

        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:  # routers that share this part share its connections
                self._users -= 1
                unused = [] if self._users else self._home[:]
            for home in unused:
                await asyncio.to_thread(home.close)
