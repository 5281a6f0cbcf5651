"""How long embedders take, beside sentence-transformers, text by text in the same minute.

    python tests/benchmarks/embed.py [--peer PYTHON] [--rounds 3] [--out docs/benchmarks.md]

Texts are made of English words, the most frequent ones most often, with figures, punctuation and
a few compounds; no text comes twice. Every embedder is asked one text after the other, taking
turns with the others so that a busy moment strikes all of them, those with a network apart from
those without; and then in batches of 256. All use one thread. The baseline of those without is
CRC-32 over every word of the text in plain Python: the least that any embedder that reads words
does.

sentence-transformers is asked in a process of its own, in the interpreter `--peer` or in this one;
the model is the one that `minilm` finds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import quality_page
from attrs import frozen
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_minilm import MinilmEmbedder
from llmrouter_plugin_minilm.locating import DEFAULT, locate
from llmrouter_plugin_static import StaticEmbedder

from llmrouter_core import ConfigError, Query

WORDS = (12, 60, 400)
BATCH = 256
SINGLES = {12: 256, 60: 128, 400: 32}
PEER, CRC = "sentence-transformers", "CRC-32 of the words"
QUICK = (CRC, "hashing", "static")

Embed: TypeAlias = Callable[[Sequence[str]], Any]

_PEER = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
print("ready", flush=True)
for line in sys.stdin:
    texts = json.loads(line)
    started = time.perf_counter()
    rows = model.encode(texts, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
    spent = time.perf_counter() - started
    print(json.dumps({"seconds": spent, "rows": rows.round(7).tolist()}), flush=True)
"""


@frozen
class Measured:
    """Microseconds a text of each embedder, and how near `minilm` is to the peer.

    Attributes:
        single: By embedder and number of words, asked one by one: the median.
        batch: The same in batches, the best round.
        cosines: By embedder: the cosine of every text to the peer's embedding.
    """

    single: dict[tuple[str, int], float]
    batch: dict[tuple[str, int], float]
    cosines: dict[str, list[float]]


class Peer:
    """sentence-transformers in a process of its own, whose clock counts only its work."""

    def __init__(self, python: str, folder: Path) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [python, "-c", _PEER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **threads, **quiet},
        )
        if self._line() != "ready":
            raise SystemExit(f"{python} cannot import or load sentence-transformers")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __call__(self, texts: Sequence[str]) -> tuple[float, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(texts)) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._line())
        return answer["seconds"], np.array(answer["rows"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def vocabulary() -> list[str]:
    """Return 20,000 English words, frequent ones first: the whole words among tokens."""
    table = Path(sys.modules["llmrouter_plugin_static"].__file__ or "").with_name("table")
    tokens = json.loads((table / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return [token for token in tokens if token.isascii() and token.isalpha() and len(token) > 1]


def texts(number: int, words: int, rng: np.random.Generator) -> list[str]:
    """Return *number* texts of *words* words."""
    known = vocabulary()
    share = 1 / (np.arange(len(known)) + 3.0)
    share /= share.sum()
    found = []
    for _ in range(number):
        line = [known[i] for i in rng.choice(len(known), words, p=share)]
        for place in range(words):
            kind = rng.random()
            if kind < 0.03:
                line[place] = str(rng.integers(10**4))
            elif kind < 0.05:
                line[place] += known[rng.integers(len(known))]  # a compound nobody has seen
            elif kind < 0.15:
                line[place] += ","
        found.append(" ".join(line).capitalize() + ("?" if words < 100 else "."))
    return found


def timed(embed: Embed) -> Callable[[Sequence[str]], tuple[float, Any]]:
    def ask(asked: Sequence[str]) -> tuple[float, Any]:
        started = time.perf_counter()
        rows = embed(asked)
        return time.perf_counter() - started, rows

    return ask


def measure(embedders: dict[str, Callable[[Sequence[str]], Any]], rounds: int) -> Measured:
    """Return what each takes: text by text in turns, then in batches in turns."""
    found = Measured({}, {}, {name: [] for name in embedders})
    rng = np.random.default_rng(0)
    for words in WORDS:
        warm, alone, *batches = (
            texts(number, words, rng) for number in (4, SINGLES[words], *[BATCH] * rounds)
        )
        for ask in embedders.values():
            ask(warm)
        spent: dict[str, list[float]] = {name: [] for name in embedders}
        quick = [name for name in embedders if name in QUICK]
        for group in (quick, [name for name in embedders if name not in QUICK]):
            for text in alone:
                rows = {}
                for name in group:
                    seconds, rows[name] = embedders[name]([text])
                    spent[name].append(seconds)
                for name in group if PEER in rows else ():
                    found.cosines[name].append(float((rows[name] * rows[PEER]).sum()))
        for name, all_spent in spent.items():
            found.single[name, words] = statistics.median(all_spent) * 1e6
        for batch in batches:
            for name, ask in embedders.items():
                each = ask(batch)[0] / BATCH * 1e6
                found.batch[name, words] = min(each, found.batch.get((name, words), each))
    return found


def lines(found: Measured) -> list[str]:
    """Return the figures and ratios as Markdown."""
    names = list(dict.fromkeys(name for name, _ in found.single))
    heads = [f"{words} words, {way}" for words in WORDS for way in ("single", f"of {BATCH}")]
    shown = [
        f"| embedder, microseconds a text | {' | '.join(heads)} |",
        "|---|" + "---|" * len(heads),
    ]
    for name in names:
        figures = [table[name, words] for words in WORDS for table in (found.single, found.batch)]
        shown.append(f"| {name} | {' | '.join(map(_number, figures))} |")
    shown += ["", f"| times as fast | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    minilm = [name for name in names if name.startswith("minilm")]
    pairs = [("hashing", minilm[0]), ("static", minilm[0])] if minilm else []
    if PEER in names:
        pairs += [(name, PEER) for name in names if name not in (PEER, CRC)]
    for fast, slow in pairs:
        ratios = [
            table[slow, words] / table[fast, words]
            for words in WORDS
            for table in (found.single, found.batch)
        ]
        shown.append(f"| {fast} as {slow} | {' | '.join(f'{ratio:.3g}' for ratio in ratios)} |")
    if not pairs:
        shown = shown[:-3]
    slower = [
        f"{name} takes {found.batch[name, words] / found.batch[CRC, words]:.0f} x"
        for words in WORDS[1:2]
        for name in ("hashing", "static")
    ]
    shown += ["", f"A CRC-32 of its words is the baseline: {', '.join(slower)} (60 words, batch)."]
    for name, cosines in found.cosines.items():
        if cosines and name != PEER:
            shown += [
                f"Cosine of `{name}` to {PEER}: mean {np.mean(cosines):.5f}, "
                f"least {min(cosines):.5f} ({len(cosines)} texts)."
            ]
    return shown


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def main() -> None:
    """Measure and print, or write the section."""
    parser = argparse.ArgumentParser(description="Time the embedders.")
    parser.add_argument("--peer", help="interpreter that has sentence-transformers")
    parser.add_argument("--rounds", type=int, default=3, help="batches of each length")
    parser.add_argument("--out", type=Path, help="page that gets the section")
    options = parser.parse_args()
    embedders: dict[str, Callable[[Sequence[str]], Any]] = {
        CRC: timed(lambda asked: [[zlib.crc32(w.encode()) for w in t.split()] for t in asked])
    }
    for name, embedder in {
        "hashing": HashingEmbedder(),
        "static": StaticEmbedder(),
        "minilm": MinilmEmbedder(),
        "minilm, quantise = false": MinilmEmbedder(quantise=False),
    }.items():
        try:
            embedder.embed([Query(text="hello")])
        except ConfigError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
            continue
        embedders[name] = timed(
            lambda asked, embedder=embedder: embedder.embed([Query(text=text) for text in asked])
        )
    python = options.peer or (sys.executable if find_spec("sentence_transformers") else None)
    peer = None
    if python and "minilm" in embedders:
        peer = embedders[PEER] = Peer(python, locate(DEFAULT))
    else:
        print(f"left out: {PEER}: name an interpreter that has it with --peer", file=sys.stderr)
    found = lines(measure(embedders, options.rounds))
    if peer is not None:
        peer.close()
    print("\n".join(found))
    if options.out:
        quality_page.place(
            options.out, "Embedders", "\n".join(["## Embedders", "", *_HOW, *found, ""])
        )


_HOW = [
    "`python tests/benchmarks/embed.py --peer PYTHON --out docs/benchmarks.md`, one thread each,",
    "no text twice. *Single* is the median of texts asked in turns with the other embedders,",
    "*of 256* the best of several batches; sentence-transformers runs the same all-MiniLM-L6-v2",
    "with torch.",
    "",
]


if __name__ == "__main__":
    main()
