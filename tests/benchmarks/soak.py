"""A long while of load and faults: the money adds up, nothing leaks, no answer is cut silently.

    python tests/benchmarks/soak.py --minutes 30 --json soak.json

`llmrouter serve` (two `openai` callers, `retry`, `breaker`, keys with budgets in SQLite, a log)
is a process of its own. This one plays both upstreams, which misbehave in every way of
tests/integration/faults.py, and the clients: plain ones, streaming ones, some that leave at any
moment. A short closed loop finds what the whole takes; then requests arrive at random at a share
of that. Now and then one of the upstreams is down for some seconds.

What a call costs is known to three sides: the upstream (the tokens it made), the gateway's record
and the ledger. Records and ledger must agree to the last picodollar. Between upstream and record
there is a rule for each call, which is checked one by one:

- the usage was told: booked exactly as told, whatever happened before or after;
- nothing of use came (an error, nonsense, silence): booked at nothing;
- it broke off after a word, or ended without its usage: the estimate of the prompt and of the
  text that came;
- the client left, or a limit of time passed: as far as it had come: nothing, an estimate of what
  had been said, or all of it. The upstream goes on for a moment, and bills that.

Only the last three can differ from what the upstream made, and the difference is told by cause.

A minute of it, at half the load, is in the suite: tests/integration/test_soak.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen
from llmrouter_plugin_server import names
from llmrouter_plugin_server.keeping import Bounds, Limits, new, store_at, units

from llmrouter_core import Price, Request, Usage
from llmrouter_core.types import estimate_tokens

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from faults import (
    ROLE,
    Exchange,
    Provider,
    Reply,
    bomb,
    breaks,
    completion,
    drips,
    endless,
    event,
    hangs_up,
    resets,
    says,
    sse,
    stalls,
)

PRICES = {"one": Price(input=1.0, output=2.0), "two": Price(input=2.0, output=4.0)}
WORDS = 8
FILLER = "why the sum of what was asked is the sum of what is paid, and for how long. " * 3
FAULTY = 0.05  # share of the calls that an upstream answers with a fault
LEAVES = 0.05  # share of the clients that leave
DOWN = 4.0  # seconds in each minute that an upstream is down
LIMIT = 2.0  # seconds of silence that the gateway puts up with
POOR = 0.004  # dollars of the key whose budget runs out
AT_ONCE = 256  # requests under way, above which none is sent
ROUND = 5.0  # seconds between looks at the log
ERROR = {"error": {"message": "overloaded", "code": 503}}
COUNTED = """
import asyncio, signal, sys
from pathlib import Path
from llmrouter_core.cli import main

place = Path(sys.argv.pop(1))
signal.signal(signal.SIGUSR1, lambda *_: place.write_text(str(len(asyncio.all_tasks()))))
main()
"""  # `llmrouter`, which at a signal tells how many tasks it has: nobody else can know


# ---------------------------------------------------------------------------- what is asked


def payload_of(number: int, *, stream: bool) -> dict[str, Any]:
    """Return what a client asks; its number is how all sides know it again."""
    content = f"request {number}: {FILLER}"
    messages = [{"role": "user", "content": content}]
    return {"model": "auto", "messages": messages, "max_tokens": 64, "stream": stream}


def number_of(text: str) -> int:
    found = re.match(r"request (\d+):", text)
    assert found is not None, text
    return int(found[1])


def words_of(number: int) -> list[str]:
    """Return the right answer to a request, which is that of no other."""
    return [f"{number}-{place} " for place in range(WORDS)]


def made(model: str, number: int, words: int) -> int:
    """Return the picodollars of an answer of so many words, a token each."""
    usage = Usage(input_tokens=20 + number % 7, output_tokens=words)
    return units(PRICES[model].of(usage))


def told(model: str, number: int) -> dict[str, Any]:
    """Return the usage as an upstream tells it; only one of the two says what it bills."""
    usage = {"prompt_tokens": 20 + number % 7, "completion_tokens": WORDS}
    return {**usage, "cost": made(model, number, WORDS) / 1e12} if model == "one" else usage


def estimated(model: str, number: int, words: int) -> int:
    """Return the picodollars that are booked for so many words where no usage was told."""
    request = Request(payload=payload_of(number, stream=True))
    text = "".join(words_of(number)[:words])
    usage = Usage(input_tokens=request.input_tokens, output_tokens=estimate_tokens(text))
    return units(PRICES[model].of(usage))


# ---------------------------------------------------------------------------- the upstreams


@define(eq=False)
class Call:
    """One call as its upstream saw it.

    Attributes:
        model: Whose it was.
        kind: What was played.
        began: When it arrived.
        said: Words that were sent.
        made: Picodollars of what was made.
        told: Whether the usage was sent.
        whole: Whether all that was to be played was played.
        ended: When it was.
    """

    model: str
    kind: str
    began: float
    said: int = 0
    made: int = 0
    told: bool = False
    whole: bool = False
    ended: float = 0.0


@frozen
class Kind:
    """A way to misbehave.

    Attributes:
        reply: Plays it for a model and a request.
        said: Words that are said before it.
        streams: Whether it is one of streams only.
        wasted: Whether an answer was made that nobody can read.
        weight: How often it is drawn.
    """

    reply: Any
    said: int = 0
    streams: bool = False
    wasted: bool = False
    weight: float = 1.0

    @property
    def complete(self) -> bool:
        """Whether the answer is right all the same."""
        return self.said == WORDS

    @property
    def at_once(self) -> bool:
        """Whether the gateway can know of it without waiting."""
        return not self.said and self.reply.__name__ == "at_once"


def begun(number: int, words: int, *more: Any) -> bytes:
    """Return the events of an answer up to some word, and *more*."""
    return sse([ROLE, *(event(word) for word in words_of(number)[:words]), *more])


def _fixed(reply: Reply) -> Any:
    def at_once(model: str, number: int) -> Reply:
        return reply

    return at_once


def _slow(reply: Reply) -> Any:
    return lambda model, number: reply


def _cut_json(model: str, number: int) -> Reply:
    text = "".join(words_of(number))
    whole = json.dumps({**completion(text), "usage": told(model, number)})
    return says(200, whole[: len(whole) // 2].encode())


def _breaks(words: int, framing: str, *more: Any) -> Any:
    return lambda model, number: breaks(begun(number, words, *more), framing)


def _kinds() -> dict[str, Kind]:
    found = {
        "429, back in 1 s": Kind(_fixed(says(429, {}, Retry_After="1")), weight=0.05),
        "429": Kind(_fixed(says(429, {}))),
        "500": Kind(_fixed(says(500, {"error": "oops"}))),
        "503 in HTML": Kind(_fixed(says(503, b"<html>", kind="text/html"))),
        "529": Kind(_fixed(says(529, {}))),
        "reset": Kind(_fixed(resets())),
        "closed at once": Kind(_fixed(hangs_up())),
        "{}": Kind(_fixed(says(200, {}))),
        "no choices": Kind(_fixed(says(200, {"choices": []}))),
        "HTML with 200": Kind(_fixed(says(200, b"<html>", kind="text/html"))),
        "cut JSON": Kind(_cut_json, wasted=True),
        "no first byte": Kind(_slow(stalls())),
        "gzip bomb": Kind(_slow(bomb(4 << 20)), weight=0.3),
        "endless": Kind(_slow(endless("application/json")), weight=0.3),
        "comments only": Kind(_slow(drips(0.05)), streams=True, weight=0.5),
        "stall before a word": Kind(_slow(stalls(sse([ROLE]))), streams=True),
        "malformed event": Kind(_fixed(breaks(b"data: {no\n\n", "clean")), streams=True),
        "error event": Kind(_fixed(breaks(sse([ROLE, ERROR]), "clean")), streams=True),
        "stall after a word": Kind(
            lambda _, number: stalls(begun(number, 2)), said=2, streams=True
        ),
        "drip after a word": Kind(
            lambda _, number: drips(0.05, begun(number, 3)), said=3, streams=True, weight=0.5
        ),
        "error event after a word": Kind(_breaks(4, "clean", ERROR), said=4, streams=True),
        "malformed after a word": Kind(
            lambda _, number: breaks(begun(number, 5) + b"data: {no\n\n", "clean"),
            said=5,
            streams=True,
        ),
    }
    for framing in ("clean", "cut", "eof", "length"):
        found[f"{framing} end before a word"] = Kind(
            _fixed(breaks(sse([ROLE]), framing)), streams=True
        )
        found[f"{framing} end after a word"] = Kind(_breaks(3, framing), said=3, streams=True)
        found[f"{framing} end without a usage"] = Kind(
            _breaks(WORDS, framing, event(finish="stop")), said=WORDS, streams=True
        )
    return found


KINDS = _kinds()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Upstream:
    """A provider that behaves well most of the time, and keeps its own books.

    Attributes:
        faulty: Share of faults at the moment.
        down: What it answers everything with, while it is down.
        parting: Whether it ends each connection with its answer.
    """

    def __init__(self, model: str, calls: defaultdict[int, list[Call]], seed: int) -> None:
        self.model, self.calls = model, calls
        self.faulty = 0.0
        self.down: str | None = None
        self.parting = False
        self.provider = Provider()
        self.provider.replies(model, self.answer)
        self._random = Random(seed)

    async def answer(self, exchange: Exchange) -> bool:
        self.provider.asked.clear()
        number = number_of(exchange.payload["messages"][-1]["content"])
        stream = bool(exchange.payload.get("stream"))
        name = self._drawn(stream)
        call = Call(self.model, name or "good", time.perf_counter())
        self.calls[number].append(call)
        try:
            if name is None:
                again = await self._good(exchange, number, call, stream)
            else:
                kind = KINDS[name]
                call.said = kind.said
                words = WORDS if kind.wasted else kind.said
                call.made = made(self.model, number, words) if words else 0
                again = await kind.reply(self.model, number)(exchange)
            call.whole = True
            return bool(again)
        finally:
            call.ended = time.perf_counter()

    def _drawn(self, stream: bool) -> str | None:
        if self.down is not None:
            return self.down
        if self._random.random() >= self.faulty:
            return None
        fit = [name for name, kind in KINDS.items() if stream or not kind.streams]
        weights = [KINDS[name].weight for name in fit]
        return self._random.choices(fit, weights)[0]

    async def _good(self, exchange: Exchange, number: int, call: Call, stream: bool) -> bool:
        pause = self._random.random() * 0.004 if self._random.random() < 0.5 else 0.0
        usage = told(self.model, number)
        if not stream:
            await asyncio.sleep(WORDS * pause)
            call.said, call.made, call.told = WORDS, made(self.model, number, WORDS), True
            whole = {**completion("".join(words_of(number))), "usage": usage}
            close = {"Connection": "close"} if self.parting else {}
            return await says(200, whole, **close)(exchange) and not self.parting
        await exchange.send(STREAM_HEAD)
        for count, word in enumerate(words_of(number), start=1):
            call.said, call.made = count, made(self.model, number, count)
            await exchange.send(_chunk(sse([event(word)])))
            if pause:
                await asyncio.sleep(pause)
        call.told = True
        rest = sse([event(finish="stop"), {"choices": [], "usage": usage}, "[DONE]"])
        await exchange.send(_chunk(rest) + b"0\r\n\r\n")
        return True


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# ---------------------------------------------------------------------------- the clients


@frozen
class Outcome:
    """What became of a request: `right`, `told` (an error), `refused` (its key has no money left),
    `shed`, `left`, `silent` (cut, and it looks whole), `wrong` or `dropped`."""

    what: str
    seconds: float


def outcome_of(answer: bytes, number: int, *, stream: bool) -> str:
    """Return what a client that stayed got."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        return "dropped"
    whole = True
    if b"transfer-encoding: chunked" in head.lower():
        body, whole = unchunked(body)
    status = int(head[9:12])
    if status != 200:
        if b'"insufficient_quota"' in body or b'"over_limit"' in body or b"may spend" in body:
            return "refused"
        return "shed" if b'"overloaded"' in body else "told"
    right = "".join(words_of(number))
    if not stream:
        text = json.loads(body)["choices"][0]["message"]["content"]
        return "right" if text == right else "wrong"
    events = [block.removeprefix(b"data: ") for block in body.split(b"\n\n") if block]
    done = bool(events) and events[-1] == b"[DONE]"
    parsed = [json.loads(data) for data in events if data != b"[DONE]"]
    failed = any("error" in one for one in parsed)
    text = "".join(
        choice["delta"].get("content") or ""
        for one in parsed
        for choice in one.get("choices") or ()
    )
    if failed:
        return "silent" if done else "told"
    if not done:
        return "silent" if whole else "dropped"
    return "right" if text == right else "silent" if right.startswith(text) else "wrong"


def unchunked(body: bytes) -> tuple[bytes, bool]:
    """Return a body without its chunks, and whether its end is there."""
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        if not length:
            return b"".join(found), True
        found.append(body[:length])
        body = body[length + 2 :]
    return b"".join(found), False


async def ask(port: int, token: str, number: int, *, stream: bool, leaves: float) -> Outcome:
    """Ask once, and leave after so many seconds, or never where that is infinite."""
    body = json.dumps(payload_of(number, stream=stream)).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Outcome("dropped", 0.0)
    try:
        writer.write(head.encode() + body)
        if leaves < float("inf"):
            await asyncio.sleep(leaves)
            return Outcome("left", time.perf_counter() - began)
        answer = await asyncio.wait_for(reader.read(), 60)
    except (OSError, TimeoutError):
        return Outcome("dropped", time.perf_counter() - began)
    finally:
        writer.close()
    return Outcome(outcome_of(answer, number, stream=stream), time.perf_counter() - began)


# ---------------------------------------------------------------------------- the books


@define(eq=False)
class Books:
    """Joins what upstreams, clients and records say of each request, as soon as all have.

    Attributes:
        calls: The upstreams' side of what is not joined yet.
        outcomes: The clients' side of it.
        recorded: Picodollars of all records.
        made: Picodollars of all that the upstreams made.
        told: Picodollars of the calls whose usage was told and booked exactly.
        off: Picodollars made and not booked, by cause.
        causes: Calls, by cause.
        broken: Requests whose cost does not follow the rule; there must be none.
    """

    calls: defaultdict[int, list[Call]] = field(factory=lambda: defaultdict(list))
    outcomes: dict[int, Outcome] = field(factory=dict)
    recorded: int = 0
    made: int = 0
    told: int = 0
    off: Counter[str] = field(factory=Counter)
    causes: Counter[str] = field(factory=Counter)
    broken: list[str] = field(factory=list)
    found: Counter[str] = field(factory=Counter)
    kinds: Counter[str] = field(factory=Counter)
    asked: int = 0
    records: int = 0
    before: Counter[str] = field(factory=Counter)
    spoilt: int = 0
    failovers: list[float] = field(factory=list)
    took: list[float] = field(factory=list)
    _waiting: dict[int, int] = field(factory=dict)

    def read(self, lines: Iterable[bytes]) -> None:
        """Take new records in; those of the last time are joined, for all is told by now."""
        ripe, self._waiting = self._waiting, {}
        for line in lines:
            entry = json.loads(line)
            number, amount = number_of(entry["text"]), units(entry["cost"])
            assert number not in self._waiting, "two records of one request"
            self._waiting[number] = amount
            self.recorded += amount
            self.records += 1
        for number, amount in ripe.items():
            if number in self.outcomes:
                self._join(number, amount)
            else:
                self._waiting[number] = amount

    def close(self) -> None:
        """Join what has no record: nobody was asked for it."""
        self.read([])
        for number in list(self.outcomes):
            self._join(number, 0)
        for number in list(self.calls):
            self.broken.append(f"request {number}: asked, and nobody knows why")

    def _join(self, number: int, booked: int) -> None:
        outcome, calls = self.outcomes.pop(number), self.calls.pop(number, [])
        self.found[outcome.what] += 1
        self.asked += len(calls)
        self.kinds.update(call.kind for call in calls)
        self.made += sum(call.made for call in calls)
        self._judge(number, outcome, calls, booked)
        spoke = any(KINDS[call.kind].said for call in calls if call.kind != "good")
        if not spoke and outcome.what not in ("left", "refused"):
            self.before[outcome.what] += 1
        if outcome.what == "told" and any(c.kind == "good" and c.whole for c in calls):
            self.spoilt += 1
        if outcome.what == "right" and all(call.kind == "good" for call in calls):
            self.took.append(outcome.seconds)
        # The same one again is a retry. A rate limit of the only other one is waited for.
        if len({call.model for call in calls}) == len(calls) == 2 and self._at_once(calls[0]):
            self.failovers.append(calls[1].began - calls[0].ended)

    @staticmethod
    def _at_once(call: Call) -> bool:
        return call.kind != "good" and KINDS[call.kind].at_once

    def _judge(self, number: int, outcome: Outcome, calls: Sequence[Call], booked: int) -> None:
        """Check what was booked: one call at most has said anything, and the rest cost nothing."""
        left = outcome.what == "left"
        rest = booked
        for call in calls:
            rule, cause = self._rule(number, call, left)
            amount = rest if rest in rule else min(rule)
            rest -= amount
            self.causes[cause] += 1
            if cause == "told":
                self.told += amount
            self.off[cause] += call.made - amount
        if rest:
            played = ", ".join(f"{c.kind} ({c.said} words, whole: {c.whole})" for c in calls)
            self.broken.append(
                f"request {number} ({outcome.what}): {booked} booked, {rest} of it for nothing "
                f"that was played: {played}"
            )

    def _rule(self, number: int, call: Call, left: bool) -> tuple[set[int], str]:
        """Return what may be booked for *call*, and the cause of a difference."""
        parts = {0, *(estimated(call.model, number, n) for n in range(1, call.said + 1))}
        whole = {made(call.model, number, WORDS)} if call.told else set()
        if left:
            return parts | whole, "the client left"
        if call.kind == "good":
            if call.whole and call.told:
                return whole, "told"
            return parts | whole, "a limit of time passed"
        kind = KINDS[call.kind]
        if kind.complete:
            return {estimated(call.model, number, WORDS)}, "the usage was not told"
        if kind.said:
            return {estimated(call.model, number, kind.said)}, "it broke off after a word"
        return {0}, "unreadable" if kind.wasted else "nothing came"


# ---------------------------------------------------------------------------- the server


class Server:
    """`llmrouter serve`, and what /proc says of it."""

    def __init__(self, folder: Path, urls: Mapping[str, str]) -> None:
        tables = ['selector = "round-robin"\n', '[[extension]]\nuse = "retry"\nbase = 0.01\n']
        tables.append('[[extension]]\nuse = "breaker"\n')
        for name, url in urls.items():
            price = PRICES[name]
            tables.append(
                f'[caller.{name}]\nuse = "openai"\nbase_url = "{url}"\nfirst_byte = {LIMIT}\n'
                f"idle = {LIMIT}\ndeadline = {2 * LIMIT}\nlargest_response = {1 << 20}\n"
                f'[model.{name}]\ncaller = "{name}"\n'
                f"price = {{ input = {price.input}, output = {price.output} }}\n"
            )
        top = [table for table in tables if not table.startswith("[")]
        (folder / "router.toml").write_text("".join(top + [t for t in tables if t[0] == "["]))
        (folder / "server.toml").write_text("log_texts = true\n")
        self.keys, self.log = folder / "keys.db", folder / "log"
        self.tokens = asyncio.run(self._made())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._said, self._told = (folder / "stderr.txt").open("w+b"), folder / "tasks.txt"
        command = [sys.executable, "-c", COUNTED, str(self._told), "-q", "serve"]
        command += [str(folder / "router.toml"), "--server", str(folder / "server.toml")]
        command += ["--keys", str(self.keys), "--log", str(self.log), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=self._said, stderr=self._said)
        self._places: dict[Path, int] = {}
        self._wait()

    async def _made(self) -> list[str]:
        """Make three rich keys, a poor one, and that of the operator, which has no limits."""
        store = store_at(str(self.keys))
        await store.open()
        tokens = []
        for number, dollars in enumerate((1000.0, 1000.0, 1000.0, POOR, None)):
            record, token = new(f"key-{number}", limits=Limits(key=Bounds(dollars=dollars)))
            await store.add(record)
            tokens.append(token)
        await store.aclose()
        return tokens

    def _wait(self) -> None:
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"the server did not start: {self.said()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as trial:
                    trial.settimeout(30)  # it listens before it answers
                    trial.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    trial.recv(1)
                time.sleep(0.2)
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server did not start within a minute")

    def said(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def proc(self) -> dict[str, int]:
        """Return its memory in KiB, and how many files, sockets and threads it has."""
        place = Path(f"/proc/{self.process.pid}")
        status = (place / "status").read_text()
        links = []
        for link in (place / "fd").iterdir():
            try:
                links.append(os.readlink(link))
            except OSError:  # just closed
                continue
        return {
            "rss": int(re.search(r"VmRSS:\s+(\d+)", status)[1]),  # type: ignore[index]
            "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),  # type: ignore[index]
            "files": len(links),
            "sockets": sum(link.startswith("socket:") for link in links),
        }

    def idle(self) -> dict[str, int]:
        """Return the same, and how many tasks its event loop has."""
        self._told.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(600):
            with suppress(OSError, ValueError):  # not there, or not written yet
                return {**self.proc(), "tasks": int(self._told.read_text())}
            time.sleep(0.05)
        raise SystemExit("the server did not tell within 30 s how many tasks it has")

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    async def metrics(self) -> dict[str, float]:
        """Return each metric, summed over its labels."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Bearer " + self.tokens[-1].encode() + b"\r\n\r\n"
        )
        page = (await reader.read()).decode()
        writer.close()
        assert page.startswith("HTTP/1.1 200"), page[:300]
        found: dict[str, float] = defaultdict(float)
        for name, value in re.findall(r"^(llmrouter\w+)(?:\{[^}]*\})? (\S+)\r?$", page, re.M):
            found[name] += float(value)
        return found

    def lines(self) -> list[bytes]:
        """Return the records that were written since the last time."""
        found: list[bytes] = []
        for path in sorted(self.log.glob("decisions-*")):
            with path.open("rb") as file:
                file.seek(self._places.get(path, 0))
                content = file.read()
            content = content[: content.rfind(b"\n") + 1]
            self._places[path] = self._places.get(path, 0) + len(content)
            found += content.splitlines()
        return found

    def ledger(self) -> list[tuple[str, int, int, int]]:
        """Return each account: its name, what is spent and reserved, and calls under way."""
        with sqlite3.connect(self.keys) as database:
            rows = database.execute("SELECT name, spent, reserved, under_way FROM account")
            return list(rows)

    def leases(self) -> int:
        with sqlite3.connect(self.keys) as database:
            [count] = database.execute("SELECT count(*) FROM lease").fetchone()
            return int(count)

    def stop(self) -> int:
        """Stop it as an orchestrator does, and return how it exited."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -9


# ---------------------------------------------------------------------------- the run


@define(eq=False)
class Run:
    """One soak, from its calibration to its verdict."""

    server: Server
    upstreams: Sequence[Upstream]
    books: Books
    seconds: float
    share: float
    number: int = 0
    held: int = 0
    rate: float = 0.0
    samples: list[tuple[float, dict[str, int]]] = field(factory=list)
    random: Random = field(factory=lambda: Random(0))
    tasks: set[asyncio.Task[None]] = field(factory=set)

    async def one(self, *, leaves: bool, stream: bool | None = None) -> None:
        self.number += 1
        number = self.number
        if stream is None:
            stream = self.random.random() < 0.6
        poor = leaves and self.random.random() < 0.05
        token = self.server.tokens[3] if poor else self.server.tokens[number % 3]
        after = float("inf")
        if leaves and self.random.random() < LEAVES:
            after = self.random.random() * 0.05
        outcome = await ask(self.server.port, token, number, stream=stream, leaves=after)
        self.books.outcomes[number] = outcome

    async def calibrate(self, seconds: float, connections: int = 16) -> None:
        """Find how many requests a second all of it takes, while everybody behaves."""

        async def loop() -> None:
            while time.perf_counter() < ends:
                await self.one(leaves=False)

        for lasts in (1.0, seconds):  # the first warms up
            before, began = self.number, time.perf_counter()
            ends = began + lasts
            await asyncio.gather(*(loop() for _ in range(connections)))
            self.rate = (self.number - before) / (time.perf_counter() - began)

    async def load(self) -> None:
        """Let requests arrive at random."""
        began = time.perf_counter()
        due = began
        for upstream in self.upstreams:
            upstream.faulty = FAULTY
        helpers = [asyncio.create_task(work) for work in (self._watch(began), self._disturb())]
        while (now := time.perf_counter()) < began + self.seconds:
            if now < due:
                await asyncio.sleep(due - now)
            due += self.random.expovariate(self.rate * self.share)
            due = max(due, now - 1.0)  # what a busy machine missed is not made up for
            if len(self.tasks) >= AT_ONCE:
                self.held += 1
                continue
            task = asyncio.create_task(self.one(leaves=True))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        for upstream in self.upstreams:
            upstream.faulty, upstream.down, upstream.parting = 0.0, None, True
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def _watch(self, began: float) -> None:
        """Sample the server every second, and keep the books."""
        next_round = 0.0
        while True:
            passed = time.perf_counter() - began
            self.samples.append((passed, self.server.proc()))
            if passed >= next_round:
                self.books.read(self.server.lines())
                if int(passed / ROUND) % 12 == 0:
                    self._progress(passed)
                next_round = passed + ROUND
            await asyncio.sleep(1.0)

    def _progress(self, passed: float) -> None:
        at = self.samples[-1][1]
        told = ", ".join(f"{name} {count}" for name, count in self.books.found.most_common())
        print(
            f"{passed:6.0f} s: {told}; RSS {at['rss'] / 1024:.1f} MB, {at['sockets']} sockets, "
            f"{at['threads']} threads, {len(self.books.broken)} against the rule",
            flush=True,
        )

    async def _disturb(self) -> None:
        """Take one upstream down for some seconds of each minute."""
        plain = [name for name, kind in KINDS.items() if not kind.said and not kind.streams]
        plain.remove("429, back in 1 s")
        while True:
            for upstream in self.upstreams:
                await asyncio.sleep(min(20.0, self.seconds / 4))
                upstream.down = self.random.choice(plain)
                await asyncio.sleep(min(DOWN, self.seconds / 8))
                upstream.down = None
                await asyncio.sleep(max(0.0, min(40.0, self.seconds / 4) - DOWN))

    async def settle(self, idle: int) -> dict[str, float]:
        """Wait until nothing is under way any more, and return the metrics then."""
        for _ in range(400):
            found = await self.server.metrics()
            at = self.server.proc()
            quiet = not (found[names.IN_FLIGHT] or found[names.WAITING])
            # The metrics come by a connection of their own.
            if quiet and at["sockets"] <= idle and not self.server.leases():
                break
            # A connection that waits to be used again would stay for half a minute; one that was
            # lost stays all the same.
            await asyncio.gather(*(self.one(leaves=False, stream=False) for _ in range(8)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)  # the log is written four times a second
        self.books.read(self.server.lines())
        return found

    def memory(self) -> tuple[float, float]:
        """Return by which share it grew after the warm-up, and the slope in MB an hour."""
        warm = min(300.0, self.seconds / 2)
        rows = [(at, one["rss"] / 1024) for at, one in self.samples if at >= warm]
        part = max(1, len(rows) // 10)
        first = statistics.median(rss for _, rss in rows[:part])
        last = statistics.median(rss for _, rss in rows[-part:])
        if len(rows) < 3:
            return last / first - 1, 0.0
        slope = statistics.linear_regression(*zip(*rows, strict=True)).slope
        return last / first - 1, slope * 3600


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values) or [float("nan")]
    return ordered[int(share * (len(ordered) - 1))]


def report(
    run: Run, metrics: Mapping[str, float], before: Mapping[str, int], code: int, cpu: float
) -> dict[str, Any]:
    """Return the figures and the verdicts."""
    books, server = run.books, run.server
    ledger, last = server.ledger(), run.samples[-1][1]
    spent = sum(row[1] for row in ledger)
    growth, slope = run.memory()
    found = books.found
    stayed = sum(found.values()) - found["left"] - found["refused"] - found["shed"]
    rows = sum(books.before.values())
    asked = sum(found.values()) - found["refused"]
    metered = metrics[f"{names.DOLLARS}_total"]
    said = server.said()
    figures = {
        "minutes": run.seconds / 60,
        "calibrated_per_second": run.rate,
        "requests": sum(found.values()),
        "per_second": sum(found.values()) / run.seconds,
        "held_back": run.held,
        "outcomes": dict(found),
        "right_share": found["right"] / stayed,
        "right_share_before_a_word": books.before["right"] / rows,
        "before_a_word": dict(books.before),
        "failed_though_one_answered_well": books.spoilt,
        "upstream_calls_per_request": books.asked / asked,
        "kinds": dict(books.kinds.most_common()),
        "picodollars": {
            "made by the upstreams": books.made,
            "told and booked exactly": books.told,
            "records": books.recorded,
            "ledger": spent,
            "metrics": metered * 1e12,
            "made and not booked, by cause": dict(books.off),
        },
        "calls_by_cause": dict(books.causes),
        "against_the_rule": books.broken[:20],
        "ms": {
            "good p50": 1000 * quantile(books.took, 0.5),
            "good p99": 1000 * quantile(books.took, 0.99),
            "failover p50": 1000 * quantile(books.failovers, 0.5),
            "failover p90": 1000 * quantile(books.failovers, 0.9),
            "failover p99": 1000 * quantile(books.failovers, 0.99),
        },
        "failovers": len(books.failovers),
        "server": {
            "rss_mb": [run.samples[0][1]["rss"] / 1024, last["rss"] / 1024],
            "rss_growth": growth,
            "rss_mb_an_hour": slope,
            "idle_before": dict(before),
            "cpu_ms_a_request": 1000 * cpu / sum(found.values()),
            "exit_code": code,
            "stderr": said[-2000:],
        },
    }
    figures["verdicts"] = {
        "records = ledger": books.recorded == spent,
        "metrics = ledger": abs(metered * 1e12 - spent) <= 1e-9 * spent + 1,
        "made = ledger + what is told by cause": books.made == spent + sum(books.off.values()),
        "every call follows the rule": not books.broken,
        "told is booked exactly": books.off["told"] == 0,
        "no key over its budget": all(row[1] <= units(1000.0) for row in ledger)
        and min(row[1] for row in ledger) <= units(POOR),
        "nothing reserved": not any(row[2] or row[3] for row in ledger),
        "no record lost": metrics[f"{names.RECORDS_LOST}_total"] == 0,
        "nothing under way": not (metrics[names.IN_FLIGHT] or metrics[names.WAITING]),
        # The heap of a server takes some minutes to find its size. Within one, a fifth is as much
        # as 5 kB that are left of each request.
        "memory": growth < (0.05 if run.seconds >= 600 else 0.2),
        "no silent cut": found["silent"] == 0,
        "no wrong answer": found["wrong"] == 0,
        "none dropped": found["dropped"] == 0,
        # While one is down, every fault of the other is one that nobody can make good.
        "right before a word": books.before["right"] / rows >= 0.95,
        "no good answer spoilt": books.spoilt == 0,
        "calls per request": books.asked / asked <= 1.2,
        "clean exit": code == 0 and "Traceback" not in said and "was destroyed" not in said,
    }
    return figures


def soak(folder: Path, minutes: float, share: float, calibration: float) -> dict[str, Any]:
    """Run it all."""
    books = Books()
    upstreams = [Upstream(name, books.calls, seed) for seed, name in enumerate(PRICES)]
    one, two = (upstream.provider for upstream in upstreams)
    with one, two:
        server = Server(folder, {"one": one.url, "two": two.url})
        run = Run(server, upstreams, books, 60 * minutes, share)
        before = server.idle()

        async def everything() -> tuple[dict[str, float], dict[str, int], float]:
            await run.calibrate(calibration)
            print(f"all of it takes {run.rate:.0f} requests a second", flush=True)
            await run.load()
            metrics = await run.settle(before["sockets"])
            return metrics, server.idle(), server.cpu()

        try:
            metrics, idle, cpu = asyncio.run(everything())
        finally:
            code = server.stop()
        books.read(server.lines())
        books.close()
        figures = report(run, metrics, before, code, cpu)
        time.sleep(0.2)
        figures["server"]["idle_after"] = idle
        figures["verdicts"]["no socket left"] = idle["sockets"] <= before["sockets"] and not (
            one.open or two.open
        )
        figures["verdicts"]["no file left"] = idle["files"] <= before["files"] + 4
        figures["verdicts"]["no task left"] = idle["tasks"] <= before["tasks"]
        return figures


def main() -> None:
    """Soak, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--load", type=float, default=0.6, help="share of what all of it takes")
    parser.add_argument("--calibration", type=float, default=4.0, help="seconds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(Path(folder), arguments.minutes, arguments.load, arguments.calibration)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    wrong = [name for name, good in figures["verdicts"].items() if not good]
    print("all holds" if not wrong else f"does not hold: {', '.join(wrong)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
