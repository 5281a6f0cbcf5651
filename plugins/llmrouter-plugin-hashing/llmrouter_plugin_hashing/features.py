"""From texts to features: integer keys with weights, in four views of each text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from math import log2, sqrt
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

VIEWS = 4  # words, edges, shape, character 3-grams: in this order everywhere

_WORD = re.compile(rb"[a-z0-9_\x80-\xff]+")
_OPTION = re.compile(rb"\n[ \t]*\(?[A-Ja-j1-9][.):]")  # a line that opens like "A." or "(b)"
_ONE_DIGIT = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))

# Shape counts how many bytes of a text are of each class.
_CLASSES = (
    b"0123456789",
    bytes(range(65, 91)),  # capitals
    bytes(range(128, 256)),  # beyond ASCII
    *(b"\n", b".", b",", b"?", b"!", b":;", b"([{", b")]}", b"=<>", b"+*/^%"),
    *(b"_", b"\\", b"$", b'"', b"'`", b"-", b"#&@|~"),
)
_DIGITS, _CAPITALS, _BEYOND, _LINES = range(4)


def _class_table() -> bytes:
    table = bytearray([255]) * 256
    for number, members in enumerate(_CLASSES):
        for byte in members:
            table[byte] = number
    return bytes(table)


_CLASS_OF = _class_table()
_BYTE, _BYTES = np.uint64(8), np.uint64(16)


@frozen(eq=False)
class Features:
    """Features of several texts: view after view, and within a view text after text.

    Attributes:
        keys: uint64 (f,), what is hashed.
        weights: float64 (f,), how much it counts.
        sizes: int (VIEWS, n), how many features each text has in each view.
    """

    keys: NDArray[np.uint64]
    weights: NDArray[np.float64]
    sizes: NDArray[Any]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Features:
        """Return the features of *texts*."""
        words: list[int] = []
        edges: list[int] = []
        shapes: list[int] = []
        weights: list[float] = []
        padded: list[bytes] = []
        sizes: list[tuple[int, int, int, int]] = []
        for text in texts:
            raw = text.encode("utf-8", "replace")
            lower = raw.lower() if raw.isascii() else text.lower().encode("utf-8", "replace")
            lower = b" ".join(lower.translate(_ONE_DIGIT).split())  # 1998 and 2010 are both 0000
            found = list(map(zlib.crc32, _WORD.findall(lower)))
            ends = _edges(lower, found)
            keys, levels = _shape(raw, len(found))
            words += found
            edges += ends
            shapes += keys
            weights += levels
            padded.append(b" " + lower + b" ")
            sizes.append((len(found), len(ends), len(keys), len(lower)))
        few = np.array(words + edges + shapes, np.uint64)
        every = np.ones(len(few) + sum([size[-1] for size in sizes]))
        every[len(few) - len(shapes) : len(few)] = weights
        return cls(
            keys=np.concatenate((few, _trigrams(padded))),
            weights=every,
            sizes=np.array(sizes, np.intp).reshape(-1, VIEWS).T,
        )


def _edges(lower: bytes, words: Sequence[int]) -> list[int]:
    """Return keys for the first word, the first two, the last, and the outermost characters."""
    keys = []
    if words:
        second = words[1] if len(words) > 1 else 0
        keys += [words[0], (words[0] << 24) ^ second, words[-1] | 1 << 60]
    if lower:
        keys += [lower[0] | 1 << 61, lower[-1] | 1 << 62]
    return keys


def _trigrams(padded: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return the byte 3-grams of all texts at once, without those that straddle two texts."""
    joined = np.frombuffer(b"".join(padded), np.uint8).astype(np.uint64)
    first, second, third = joined[:-2], joined[1:-1], joined[2:]
    grams: NDArray[np.uint64] = first | second << _BYTE | third << _BYTES
    if len(padded) == 1:
        return grams
    ends = np.cumsum([len(text) for text in padded[:-1]], dtype=np.intp)
    return np.delete(grams, np.concatenate((ends - 2, ends - 1)))


def _shape(raw: bytes, words: int) -> tuple[list[int], list[float]]:
    """Return keys and weights of what a text looks like, whatever it says.

    A number x > 0 lights its two nearest whole levels in proportion, so that near values look
    alike; a zero lights nothing.
    """
    length = len(raw) or 1
    classes = raw.translate(_CLASS_OF)
    counts = [classes.count(number) for number in range(len(_CLASSES))]
    logs = [log2(count + 1) for count in counts]
    long = 1.5 * log2(length + 1)
    values = (
        *logs,
        *(long, long + 0.5),  # twice, half a level apart: length weighs double
        length / (words + 1),
        log2(len(_OPTION.findall(raw)) + 1),
        20 * sqrt(counts[_DIGITS] / length),
        20 * sqrt(counts[_CAPITALS] / length),
        20 * sqrt(sum(counts[_LINES + 1 :]) / length),  # punctuation
        20 * sqrt(counts[_BEYOND] / length),
    )
    keys: list[int] = []
    weights: list[float] = []
    for number, value in enumerate(values, start=1):
        if value > 0:
            level = int(value)
            key = number << 16 | level
            keys += (key, key + 1)
            weights += (level + 1 - value, value - level)
    return keys, weights
