"""Microseconds per text of the `hashing` embedder, and the ratio to a scan of the same bytes.

    python tests/benchmarks/embed.py

The baseline is CRC-32 over every word of the text in plain Python: the least that any embedder
that reads words does.
"""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable

from llmrouter_plugin_hashing import HashingEmbedder

from llmrouter_core import Query

BATCH = 256


def microseconds(work: Callable[[], object], texts: int, rounds: int) -> float:
    """Return the median microseconds per text of *work*."""
    spent = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent) / texts * 1e6


def main() -> None:
    """Print one line per length: single, batch of 256, and the ratio of the batch to the scan."""
    embedder = HashingEmbedder()
    for words in (12, 60, 400):
        text = " ".join(f"word{i % 37} of" for i in range(words // 2))
        query = Query(text=text)
        single = microseconds(lambda query=query: embedder.embed([query]), 1, 300)
        batch = microseconds(lambda query=query: embedder.embed([query] * BATCH), BATCH, 9)
        scan = microseconds(
            lambda text=text: [zlib.crc32(word.encode()) for word in text.split()], 1, 300
        )
        print(
            f"{words:>4} words: single {single:.0f} us, in a batch {batch:.0f} us a text, "
            f"{batch / scan:.0f} x a scan of its words"
        )


if __name__ == "__main__":
    main()
