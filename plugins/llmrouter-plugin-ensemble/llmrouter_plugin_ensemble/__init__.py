"""Embed text by several embedders side by side."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import numpy as np
from attrs import define, field, validators
from llmrouter_core import BadResult, ConfigError, Embedder, Floats, Query, hookimpl


@define(eq=False, kw_only=True)
class EnsembleEmbedder:
    """Concatenate what several embedders say, each scaled to length one and weighted.

    With `e_i` the embeddings and `w_i` the weights, `e = [w_1 e_1 / |e_1|, w_2 e_2 / |e_2|, …]`,
    scaled to length one: the cosine of two texts is then the mean of their members' cosines,
    weighted by `w_i^2`. Words and meaning, say, are seen at once.

    Attributes:
        members: The embedders.
        weights: Weight of each member; all alike by default.
    """

    members: tuple[Embedder, ...] = field(validator=validators.min_len(1))
    weights: tuple[float, ...] = field(
        default=(), validator=validators.deep_iterable(validators.gt(0))
    )

    def __attrs_post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.members):
            problem = f"{len(self.weights)} weights for {len(self.members)} members; give one each"
            raise ConfigError("embedder", [problem])

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d) with rows of length one; d is the sum of the members' sizes.

        Raises:
            BadResult: A member returned something else than one row per query.
        """
        blocks = []
        for member, weight in zip(self.members, self._shares(), strict=True):
            found = member.embed(queries)
            if getattr(found, "ndim", 0) != 2 or len(found) != len(queries):
                got = getattr(found, "shape", type(found).__name__)
                raise BadResult(
                    f"embedder 'ensemble': its member {type(member).__name__} returned shape "
                    f"{got}, expected ({len(queries)}, d)"
                )
            blocks.append(weight * _unit(found))
        return _unit(np.concatenate(blocks, axis=1).astype(np.float32, copy=False))

    def _shares(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.members)

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Open and close what the members must open and close."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for member in self.members:
                context = member.lifespan() if hasattr(member, "lifespan") else None
                if context is not None:
                    await stack.enter_async_context(context)
            yield


def _unit(rows: Floats) -> Floats:
    """Return *rows* (n, d) at length one; zero stays zero."""
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    found: Floats = rows / np.maximum(length, 1e-9)[:, None]
    return found
