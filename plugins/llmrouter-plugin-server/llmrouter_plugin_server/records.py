"""One line for each decision: what live traffic teaches later routers, and their estimates.

A thread of its own writes them, so that a slow or full disk delays nobody: what cannot be written
is dropped, counted and warned about once. Queries are in a record only where that was asked for,
and answers never are.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llmrouter_core import ConfigError, Query

from llmrouter_plugin_server.asking import Asking
from llmrouter_plugin_server.notes import cost_of, telling
from llmrouter_plugin_server.replies import encode

LOGGER = logging.getLogger("llmrouter.server")

_PROPENSITY = "propensity"
_WAITING = 100_000  # records in memory
_EVERY = 0.25  # seconds between writes
_LARGEST = 64 << 20  # bytes after which another file is begun


def entry_of(
    identifier: str,
    session: Asking,
    answered: str,
    query: Query,
    status: int,
    seconds: float,
    *,
    texts: bool,
) -> dict[str, Any]:
    """Return the record of one request.

    Args:
        identifier: Of the request.
        session: What was decided and asked.
        answered: The model that answered; after a fallback it is not the one that was chosen.
        query: What was asked.
        status: HTTP status of the response.
        seconds: The request took.
        texts: Whether the text of the query belongs in the record.
    """
    decision, steps = session.decision, session.steps
    models = [model.name for model in decision.models] if decision else [answered]
    chosen = decision.model.name if decision else answered
    odds = _odds(session, models, chosen)
    entry: dict[str, Any] = {
        "id": identifier,
        "when": time.time(),
        "conversation": query.facts.get("conversation"),
        "user": query.user,
        "tradeoff": query.facts.get("tradeoff"),
        "models": models,
        "scores": _scores(session),
        "chosen": chosen,
        "answered": answered,
        "propensity": None if odds is None else odds[models.index(chosen)],
        "propensities": odds,
        "cost": cost_of(steps),
        "input_tokens": sum(step.usage.input_tokens for step in steps),
        "output_tokens": sum(step.usage.output_tokens for step in steps),
        "seconds": seconds,
        "status": status,
    }
    if texts:
        entry["text"] = query.text
    return entry


def _odds(session: Asking, models: Sequence[str], chosen: str) -> list[float] | None:
    """Return how likely each model was to be chosen; None where nothing was decided.

    An extension that draws says so by scores of that name; else the choice was certain.
    """
    if session.decision is None or session.trouble is not None:
        return None
    drawn = session.decision.scores.get(_PROPENSITY)
    if drawn is not None:
        odds: list[float] = drawn.values.tolist()
        if all(map(math.isfinite, odds)):
            return odds
    return [float(name == chosen) for name in models]


def _scores(session: Asking) -> dict[str, list[float]]:
    decision = session.decision
    if decision is None:
        return {}
    return {
        name: one.values.tolist()  # what is not finite becomes null as JSON
        for name, one in telling(decision)
        if name != _PROPENSITY
    }


class Records:
    """Appends lines to files of a folder: `decisions-…jsonl` and `feedback-…jsonl`.

    Each process writes files of its own, so that no line is torn by another.

    Args:
        folder: Where to write; it is made if needed.
        lost: Called with the number of records that were dropped.

    Raises:
        ConfigError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path, lost: Callable[[int], None]) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made: {error.strerror}; give another folder"
            raise ConfigError(str(folder), [f"{reason} @ log"]) from None
        if not os.access(folder, os.W_OK):
            raise ConfigError(str(folder), ["cannot be written; give another folder @ log"])
        self._folder = folder
        self._lost = lost
        self._lines: deque[tuple[str, bytes]] = deque()
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._ended = False
        self._warned = False
        self._files: dict[str, tuple[Path, int]] = {}
        self._thread = threading.Thread(target=self._run, name="llmrouter-records", daemon=True)
        self._thread.start()

    def add(self, entry: dict[str, Any], kind: str = "decisions") -> None:
        """Hand a record over; it never waits."""
        if len(self._lines) >= _WAITING:
            self._drop(1, "the disk is slower than the requests")
            return
        self._lines.append((kind, encode(entry)))

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._ended = True
        self._wake.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait(_EVERY)
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what has been handed over so far."""
        with self._writing:
            found: dict[str, list[bytes]] = {}
            while self._lines:
                kind, line = self._lines.popleft()
                found.setdefault(kind, []).append(line)
            for kind, lines in found.items():
                self._append(kind, lines)

    def _append(self, kind: str, lines: Sequence[bytes]) -> None:
        content = b"".join(line + b"\n" for line in lines)
        path, size = self._files.get(kind, (None, _LARGEST))
        if path is None or size >= _LARGEST:
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
            path, size = self._folder / f"{kind}-{stamp}-{os.getpid()}.jsonl", 0
        try:
            with path.open("ab") as file:
                file.write(content)
        except OSError as error:
            self._files.pop(kind, None)  # a line may be torn: the next file begins anew
            self._drop(len(lines), error.strerror or type(error).__name__)
            return
        self._files[kind] = (path, size + len(content))

    def _drop(self, records: int, reason: str) -> None:
        self._lost(records)
        if not self._warned:
            self._warned = True
            LOGGER.warning("decision records are lost: %s; answers are not affected", reason)
