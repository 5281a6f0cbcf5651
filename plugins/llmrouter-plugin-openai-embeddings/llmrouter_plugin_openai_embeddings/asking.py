"""One request and its repeats, within one deadline."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field
from llmrouter_core import BadResponse, CallError, ConfigError, Floats, Secret, Unavailable
from llmrouter_plugin_openai.faults import Place, refusal
from llmrouter_plugin_openai.options import fits_header
from llmrouter_plugin_openai.reading import Body, Clock

from llmrouter_plugin_openai_embeddings.reading import rows_of

if TYPE_CHECKING:
    import httpx
    from llmrouter_plugin_openai.by_httpx import HttpxResponse

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 2.0
_PAUSE = 0.5  # seconds before the first repeat at most, doubled each time


@define(eq=False, kw_only=True)
class Provider:
    """A provider and the client that reaches it; it does not know the part that asks.

    Attributes:
        base_url: Where the provider is, up to `/v1`.
        key: Its key, if it needs one.
        headers: Further headers.
        body: The request's body, but for its input.
        deadline: Seconds that one request may take, repeats and pauses included.
        attempts: How often it is sent at most.
        largest: Bytes that a response may have.
    """

    base_url: str
    key: Secret | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any]
    deadline: float
    attempts: int
    largest: int
    _client: httpx.AsyncClient | None = field(init=False, repr=False, default=None)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hold the connections open; requests work within."""
        import httpx

        secure = urlsplit(self.base_url).scheme == "https"  # loading certificates costs 130 ms
        async with httpx.AsyncClient(timeout=None, verify=secure) as client:  # noqa: S113
            self._client = client  # `Clock` limits every wait
            yield
        self._client = None

    async def rows(self, texts: Sequence[str]) -> Floats:
        """Return the embeddings of *texts*, float32 (n, d), asking again where that may help.

        Raises:
            CallError: The last attempt failed, or there is no time for another.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        place = Place(str(self.body["model"]), urlsplit(self.base_url).netloc, self.key)
        clock = Clock(place, self.deadline, loop.time() + self.deadline)
        for attempt in range(1, self.attempts + 1):
            try:
                return await self._once(texts, clock)
            except CallError as error:
                pause = error.retry_after
                if pause is None:
                    pause = _PAUSE * 2 ** (attempt - 1) * random.random()  # noqa: S311 - jitter
                late = loop.time() + pause >= clock.ends
                if not error.again or attempt == self.attempts or late:
                    raise
            finally:
                clock.stop()
            await asyncio.sleep(pause)
        raise AssertionError  # there is at least one attempt, and it returns or raises

    async def _once(self, texts: Sequence[str], clock: Clock) -> Floats:
        place = clock.place
        async with aclosing(await self._send(texts, clock)) as response:
            body = Body(response, clock, idle=self.deadline, largest=self.largest)
            if response.status_code != 200:
                start = await body.start(_ERROR_BYTES, _ERROR_SECONDS)
                raise refusal(place, response.status_code, response.headers, start)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                what = place.quote(kind) or "no content type"
                raise place.error(BadResponse, f"answered with {what}; check its base_url")
            return rows_of(place, await body.whole(), len(texts))

    async def _send(self, texts: Sequence[str], clock: Clock) -> HttpxResponse:
        import httpx
        from llmrouter_plugin_openai.by_httpx import HttpxResponse

        assert self._client is not None, "asked outside of open()"
        message = self._client.build_request(
            "POST",
            f"{self.base_url}/embeddings",
            content=json.dumps({**self.body, "input": list(texts)}).encode(),
            headers=self._sent(),
        )
        try:
            sent = self._client.send(message, stream=True)
            return HttpxResponse(await clock.within(self.deadline, "deadline", sent))
        except httpx.HTTPError as error:
            reason = f"cannot be reached: {clock.place.quote(str(error)) or type(error).__name__}"
            raise clock.place.error(Unavailable, reason) from error

    def _sent(self) -> dict[str, str]:
        headers = {
            **self.headers,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if self.key is not None:
            if not fits_header(self.key.reveal()):
                reason = "holds characters that HTTP cannot send; set it again"
                raise ConfigError("embedder.api_key", [reason])
            headers["Authorization"] = f"Bearer {self.key.reveal()}"
        return headers
