"""Embed text as the mean of token vectors distilled from a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from attrs import define, field, validators
from llmrouter_core import Floats, Query, hookimpl

if TYPE_CHECKING:
    from llmrouter_plugin_static.averaging import Averager


@define(eq=False, kw_only=True)
class StaticEmbedder:
    """The mean of the vectors of a text's tokens, scaled to length one.

    The vectors were distilled from a sentence encoder (`llmrouter distill`), as Model2Vec
    (Tulkens & van Dongen 2024) does, so that nothing is left to compute but the mean. A text
    without a token in the table is the zero vector.

    Attributes:
        table: Folder that `llmrouter distill` wrote; None is the table of this package, distilled
            from all-MiniLM-L6-v2.
        longest: Characters that are read: a longer text is cut to its head and its tail.
    """

    table: Path | None = None
    longest: int = field(default=4000, validator=validators.ge(16))
    _lock: Lock = field(init=False, repr=False, factory=Lock)
    _averager: Averager | None = field(init=False, repr=False, default=None)

    @hookimpl
    def embed(self, queries: Sequence[Query]) -> Floats:
        """Return float32 (n, d) with rows of length one; d is the table's.

        Raises:
            ArtefactError: The table cannot be used.
        """
        averager = self._averager or self._loaded()
        return averager.average([self._cut(query.text) for query in queries])

    def _cut(self, text: str) -> str:
        if len(text) <= self.longest:
            return text
        half = self.longest // 2
        return f"{text[:half]} {text[-half:]}"

    def _loaded(self) -> Averager:
        with self._lock:
            if self._averager is None:
                from llmrouter_plugin_static.averaging import Averager
                from llmrouter_plugin_static.table import Table

                folder = Path(__file__).with_name("table") if self.table is None else self.table
                self._averager = Averager(Table.read(folder))
            return self._averager
