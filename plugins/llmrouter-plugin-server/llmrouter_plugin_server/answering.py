"""One request from its body to its last byte, whatever happens in between."""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from llmrouter_core import (
    CallError,
    Chunk,
    IncompleteStream,
    Model,
    NoEligibleModel,
    Query,
    Request,
    Usage,
)

from llmrouter_plugin_server.asking import Asking, asking
from llmrouter_plugin_server.faults import Fault, fault_of
from llmrouter_plugin_server.generations import Generation
from llmrouter_plugin_server.leaving import Client
from llmrouter_plugin_server.logs import REQUEST, told
from llmrouter_plugin_server.notes import (
    answered_by,
    cost_header,
    cost_of,
    headers_of,
    note_of,
    reason_of,
)
from llmrouter_plugin_server.reading import ClientLeft, body_of, fields_of
from llmrouter_plugin_server.records import Records, entry_of
from llmrouter_plugin_server.replies import (
    NOT_STORED,
    Receive,
    Scope,
    Send,
    reply,
    reply_fault,
)
from llmrouter_plugin_server.tongues import Read, Shape, Tongue
from llmrouter_plugin_server.wishes import Wish, query_of, wish_of

if TYPE_CHECKING:
    from llmrouter_plugin_server.gateway import Gateway
    from llmrouter_plugin_server.keeping import Holder

LOGGER = logging.getLogger("llmrouter.server")

_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_UNBUFFERED = (b"x-accel-buffering", b"no")


class Answer:
    """The answer to one request: asked, streamed, settled, counted and recorded.

    Args:
        gateway: Whose parts are used.
        endpoint: What metrics call it.
        read: Makes a tongue of the fields and the bytes of a body.
        shape: Words an error.
        holder: Who asks; None where no keys are needed.
    """

    def __init__(
        self,
        gateway: Gateway,
        endpoint: str,
        read: Read,
        shape: Shape,
        holder: Holder | None,
    ) -> None:
        self._gateway = gateway
        self._endpoint = endpoint
        self._read = read
        self._shape = shape
        self._holder = holder
        self._id = gateway.identifier()
        self._started = time.perf_counter()
        self._status = 0
        self._events = 0
        self._session: Asking | None = None
        self._wish: Wish | None = None
        self._query: Query | None = None

    async def run(
        self, scope: Scope, receive: Receive, send: Send, head: Mapping[bytes, bytes]
    ) -> None:
        """Answer; a client that leaves ends the call of the model."""
        REQUEST.set(self._id)
        metrics = self._gateway.metrics
        try:
            body = await body_of(scope, receive, head, self._gateway.options)
            client = Client(scope, receive)
            with client:
                try:
                    await self._admitted(body, head, send)
                except asyncio.CancelledError:
                    if client.left:
                        self._status = 499
                        metrics.left()
                    else:  # the server stops, and its patience is over
                        await self._broken(send, _STOPPING)
        except ClientLeft:
            self._status = 499
            metrics.left()
        except Exception as error:  # noqa: BLE001 - every failure has an answer
            await self._failed(send, error)
        metrics.answered(self._endpoint, self._status, time.perf_counter() - self._started)
        self._record()

    # ------------------------------------------------------------------ asking

    async def _admitted(self, body: bytes, head: Mapping[bytes, bytes], send: Send) -> None:
        gateway = self._gateway
        async with gateway.admission:
            with gateway.generations.now as generation:
                fields = fields_of(body, gateway.options)
                wish = self._wish = wish_of(
                    fields, head, generation, gateway.options.deadline, self._holder
                )
                tongue = self._read(fields, body)
                query = self._query = query_of(tongue.payload, wish)
                await self._reserved(generation, tongue, query, wish, send)

    async def _reserved(
        self, generation: Generation, tongue: Tongue, query: Query, wish: Wish, send: Send
    ) -> None:
        """Answer on a reservation of the key's budget, and settle what it really cost."""
        gateway, holder = self._gateway, self._holder
        allowed = wish.permit.models
        session = self._session = asking(
            generation, gateway.metrics, gateway.options.decision, wish.permit
        )
        if holder is None or gateway.keeper is None or not holder.limited:
            await self._timed(generation, session, tongue, query, wish, send)
            return
        candidates = [
            model
            for name, model in generation.candidates.items()
            if (allowed is None or name in allowed) and wish.pinned in (None, name)
        ]
        most = _most(candidates, query.request, gateway.options.expected_output)
        lease = await gateway.keeper.reserve(
            holder, most, user=query.user, models=[model.name for model in candidates]
        )
        try:
            await self._timed(generation, session, tongue, query, wish, send)
        finally:
            if session.steps:  # what has no known price is booked as it was reserved
                await gateway.keeper.settle(lease, cost_of(session.steps))
            else:
                await gateway.keeper.release(lease)

    async def _timed(
        self,
        generation: Generation,
        session: Asking,
        tongue: Tongue,
        query: Query,
        wish: Wish,
        send: Send,
    ) -> None:
        async with asyncio.timeout(wish.seconds):
            chunks = self._chunks(generation, session, query, wish)
            if tongue.streamed:
                await self._stream(session, tongue, wish, chunks, send)
            else:
                await self._whole(session, tongue, wish, chunks, send)

    async def _chunks(
        self, generation: Generation, session: Asking, query: Query, wish: Wish
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer; where the router itself fails before a word, the default answers."""
        started = False
        try:
            if wish.pinned is not None:
                stream = session.stream(wish.pinned, Request(payload=query.payload))
            else:
                stream = generation.router.astream(query, session=session)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    started = True
                    yield chunk
            return
        except (CallError, NoEligibleModel, TimeoutError):
            raise
        except Exception as error:
            if started or wish.pinned is not None:
                raise
            session.failed(error)
        last = session.stream(session.default, Request(payload=query.payload))
        async with aclosing(last) as chunks:
            async for chunk in chunks:
                yield chunk

    # ------------------------------------------------------------------ answering

    async def _whole(
        self,
        session: Asking,
        tongue: Tongue,
        wish: Wish,
        chunks: AsyncGenerator[Chunk, None],
        send: Send,
    ) -> None:
        found: list[Chunk] = []
        async with aclosing(chunks):
            async for chunk in chunks:
                if not found:
                    self._began()
                found.append(chunk)
        note = note_of(self._id, session, wish.pinned)
        annotate = self._gateway.options.annotate
        body = tongue.whole(found, note, _usage(session), annotate=annotate)
        head = headers_of(self._id, note.model, note.reason) + cost_header(note.cost)
        self._status = 200
        await reply(send, 200, body, [*head, NOT_STORED])

    async def _stream(
        self,
        session: Asking,
        tongue: Tongue,
        wish: Wish,
        chunks: AsyncGenerator[Chunk, None],
        send: Send,
    ) -> None:
        voice = None
        events = 0
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    if voice is None:
                        model = answered_by(session)
                        voice = tongue.voice(model, self._id)
                        self._voice = voice
                        self._began()
                        reason = reason_of(session, model, wish.pinned)
                        head = [_EVENTS, NOT_STORED, _UNBUFFERED]
                        head += headers_of(self._id, model, reason)
                        self._status = 200
                        await send({"type": "http.response.start", "status": 200, "headers": head})
                    data = voice.feed(chunk)
                    if data:
                        events += 1
                        await send({"type": "http.response.body", "body": data, "more_body": True})
            if voice is None:
                raise IncompleteStream("the solver ended without an answer; ask again")
            note = note_of(self._id, session, wish.pinned)
            end = voice.end(note if self._gateway.options.annotate else None, _usage(session))
            self._voice = None
            await send({"type": "http.response.body", "body": end})
        finally:
            self._gateway.metrics.streamed(events)

    _voice: Any = None  # who words a stream that has begun and not ended

    def _began(self) -> None:
        self._gateway.metrics.began(time.perf_counter() - self._started)

    # ------------------------------------------------------------------ failing

    async def _failed(self, send: Send, error: Exception) -> None:
        fault = fault_of(error)
        if fault.status == 500:
            LOGGER.error("request %s failed: %s", self._id, told(error), extra={"error": error})
        await self._broken(send, fault)

    async def _broken(self, send: Send, fault: Fault) -> None:
        """Tell *fault*: as a response, or as the last event of a stream that has begun."""
        begun, voice = self._status == 200, self._voice
        self._status = fault.status
        with suppress(Exception):  # the connection may be gone
            if not begun:
                await reply_fault(
                    send, fault, [(b"x-llmrouter-id", self._id.encode())], self._shape
                )
            elif voice is not None:
                await send({"type": "http.response.body", "body": voice.fail(fault)})

    def _record(self) -> None:
        """Count the calls, and write the decision record."""
        session, gateway = self._session, self._gateway
        if session is None:
            return
        steps, metrics = session.steps, gateway.metrics
        metrics.called(steps)
        model, pinned = answered_by(session), self._wish.pinned if self._wish else None
        if steps and reason_of(session, model, pinned) == "fallback":
            metrics.fell_back()
        largest = gateway.generations.now.largest
        if largest is not None and largest.price is not None and steps:
            metrics.largest(largest.price.of(steps[-1].usage))
        if gateway.records is None or self._query is None or not model:
            return
        options, seconds = gateway.options, time.perf_counter() - self._started
        entry = entry_of(
            self._id, session, model, self._query, self._status, seconds, texts=options.log_texts
        )
        if options.log_embeddings:
            gateway.start(self._embedded(entry, self._query, gateway.records))
        else:
            gateway.records.add(entry)

    async def _embedded(self, entry: dict[str, Any], query: Query, records: Records) -> None:
        """Add the record once its embedding is computed, which nobody waits for."""
        with suppress(Exception):  # without an embedder, or while it is down, there is none
            with self._gateway.generations.now as generation:
                [found] = await generation.router.session().embed([query])
            entry["embedding"] = b64encode(found.astype("<f4").tobytes()).decode()
        records.add(entry)


_STOPPING = Fault(503, "the server is stopping; ask again", "server_error", "stopping", None, 1.0)


def _most(models: list[Model], request: Request, expected: int) -> float:
    """Return the most dollars that *request* is expected to cost at any of *models*."""
    limit, answers = request.limit, request.payload.get("n")
    output = limit if limit is not None and limit > 0 else expected
    if type(answers) is int and answers > 1:
        output *= min(answers, 128)
    usage = Usage(input_tokens=request.input_tokens, output_tokens=min(output, 10**9))
    return max((m.price.of(usage) for m in models if m.price is not None), default=0.0)


def _usage(session: Asking) -> Usage:
    """Return the tokens of the call that answered."""
    return session.steps[-1].usage if session.steps else Usage()
