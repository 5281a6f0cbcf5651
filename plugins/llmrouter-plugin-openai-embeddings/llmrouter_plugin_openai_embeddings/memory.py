"""What was embedded lately, so that a decision and its explanation ask once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock

from llmrouter_core import Floats


class Memory:
    """Embeddings by their text, safe from any thread; the one used longest ago goes first.

    Args:
        entries: How many are kept; 0 keeps none.
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._rows: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def known(self, texts: Iterable[str]) -> dict[str, Floats]:
        """Return the embedding, (d,), of each of *texts* that is remembered."""
        found = {}
        with self._lock:
            for text in texts:
                row = self._rows.get(text)
                if row is not None:
                    self._rows.move_to_end(text)
                    found[text] = row
        return found

    def keep(self, rows: Mapping[str, Floats]) -> None:
        """Remember *rows*, (d,) each, and forget what there is no room for."""
        with self._lock:
            for text, row in rows.items():
                self._rows[text] = row
                self._rows.move_to_end(text)
            while len(self._rows) > self._entries:
                self._rows.popitem(last=False)
