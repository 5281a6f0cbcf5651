"""Answer and embed what was asked before from memory."""

import hashlib
import json
import math
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeGuard

import numpy as np
from attrs import define, evolve, field, validators
from llmrouter_core import Call, Chunk, Floats, Model, Query, Request, Usage, hookimpl
from llmrouter_core.types import estimate_tokens

from llmrouter_plugin_cache.store import Store

_positive = validators.and_(validators.gt(0.0), validators.lt(math.inf))
_COMPLETE = ("stop", "tool_calls")
_OVERHEAD = 512  # bytes that a chunk takes besides its text and its event


@define(eq=False, kw_only=True)
class CacheExtension:
    """Keep complete answers by their exact request, and embeddings by the query's text.

    Attributes:
        answers: Whether answers are kept.
        entries: How many answers are kept; the one used longest ago goes first.
        seconds: How long an answer is kept.
        bytes: About how much memory the answers may take.
        embeddings: How many embeddings are kept; 0 keeps none.
    """

    answers: bool = True
    entries: int = field(default=1024, validator=validators.ge(1))
    seconds: float = field(default=3600.0, validator=_positive)
    bytes: int = field(default=64 << 20, validator=validators.ge(1))
    embeddings: int = field(default=4096, validator=validators.ge(0))
    _answers: Store[tuple[Chunk, ...]] = field(init=False, repr=False)
    _embeddings: Store[Floats] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._answers = Store(self.entries, self.seconds, self.bytes)
        self._embeddings = Store(self.embeddings)

    @property
    def hits(self) -> Mapping[str, int]:
        """How many `answers` and `embeddings` came from memory."""
        return {"answers": self._answers.hits, "embeddings": self._embeddings.hits}

    @property
    def misses(self) -> Mapping[str, int]:
        """How many `answers` and `embeddings` did not."""
        return {"answers": self._answers.misses, "embeddings": self._embeddings.misses}

    # ------------------------------------------------------------------ embeddings

    # A wrapper can neither skip the embedder nor ask it for less. So an ordinary implementation
    # stands in front of the embedder, and the wrapper only fills its memory. The wrapper has the
    # hook's name, because a part whose method `embed` is not a wrapper is taken for an embedder.

    @hookimpl(tryfirst=True, specname="embed")
    def recall(self, queries: Sequence[Query]) -> Floats | None:
        """Return float32 (n, d) if every query is known, else None: the embedder is asked."""
        if not self.embeddings or not queries:
            return None
        found = self._embeddings.get([query.text for query in queries])
        return None if found is None else np.stack(found)  # n times (d,) -> (n, d)

    @hookimpl(wrapper=True)
    def embed(self, queries: Sequence[Query]) -> Generator[None, Floats | None, Floats | None]:
        """Remember what the embedder returned."""
        found = yield
        if self.embeddings and _is_matrix(found, len(queries)):
            for query, row in zip(queries, found, strict=True):
                self._embeddings.put(query.text, row.copy())
        return found

    # ------------------------------------------------------------------ answers

    @hookimpl(wrapper=True)
    def call(self, model: Model) -> Generator[None, Call | None, Call | None]:
        """Answer a request of *model* that was answered before."""
        inner = yield
        return inner and (self._around(inner, model) if self.answers else inner)

    def _around(self, inner: Call, model: Model) -> Call:
        async def call(request: Request) -> AsyncGenerator[Chunk, None]:
            key = _key(model, request)
            known = None if key is None else self._answers.get([key])
            if known is not None:
                for chunk in known[0]:
                    yield chunk
                return
            seen: list[Chunk] = []
            async with aclosing(inner(request)) as chunks:
                async for chunk in chunks:
                    seen.append(chunk)
                    yield chunk
            # Only a stream that was read to its end gets here.
            finish = next((chunk.finish for chunk in reversed(seen) if chunk.finish), None)
            if key is not None and finish in _COMPLETE:
                kept = _free(seen, request)
                self._answers.put(key, kept, len(key) + sum(map(_size, kept)))

        return call


def _is_matrix(found: Any, rows: int) -> TypeGuard[Floats]:
    """Return whether *found* is what an embedder must return; core blames whoever did not."""
    return (
        isinstance(found, np.ndarray)
        and found.ndim == 2
        and len(found) == rows
        and found.dtype == np.float32
    )


def _key(model: Model, request: Request) -> str | None:
    """Return the identity of a call, or None for a payload that JSON cannot express."""
    try:
        content = json.dumps(
            [model.name, model.id, request.payload], sort_keys=True, default=_mapping
        )
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(content.encode()).hexdigest()


def _mapping(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _free(chunks: Sequence[Chunk], request: Request) -> tuple[Chunk, ...]:
    """Return *chunks* as they are replayed: the tokens stay, the cost and the time do not."""
    free = [
        chunk
        if chunk.usage is None
        else evolve(chunk, usage=evolve(chunk.usage, cost=0.0, seconds=None))
        for chunk in chunks
    ]
    if not any(chunk.usage for chunk in free):  # else the estimate would be priced again
        text = "".join(chunk.text for chunk in free if chunk.kind == "text")
        usage = Usage(
            input_tokens=request.input_tokens,
            output_tokens=estimate_tokens(text) if text else 0,
            cost=0.0,
            estimated=True,
        )
        free[-1] = evolve(free[-1], usage=usage)
    return tuple(free)


def _size(chunk: Chunk) -> int:
    event = 0 if chunk.event is None else len(repr(chunk.event))
    return _OVERHEAD + len(chunk.text.encode("utf-8", "surrogatepass")) + event
