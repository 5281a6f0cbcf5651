"""The command: it starts, it stops without dropping an answer, and it reads its config again."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .processes import Process

POOL = """
[model.{0}]
id = "sim-tiny"
price = {{ input = 0.1, output = 0.2 }}
[selector]
use = "smallest-llm"
[caller.default]
use = "sim"
realtime = {1}
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def start(*options: str, name: str = "first", realtime: bool = False) -> Process:
        config = tmp_path / "router.toml"
        config.write_text(POOL.format(name, str(realtime).lower()))
        begun.append(Process(config, *options))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.process.terminate()
        one.end()


def test_it_starts_answers_records_and_stops(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    served = start("--insecure", "--log", "log")
    status, body = served.chat()
    identifier = json.loads(body)["llmrouter"]["id"]
    rated = served.ask("/v1/feedback", {"id": identifier, "reward": 1, "comment": "right"})
    wrong = served.ask("/v1/feedback", {"id": identifier, "reward": 7})
    code = served.stop()
    [decided] = [json.loads(line) for line in _lines(tmp_path / "log", "decisions-*")]
    [said] = [json.loads(line) for line in _lines(tmp_path / "log", "feedback-*")]

    assert (status, rated[0], wrong[0], code) == (200, 200, 400, 0)
    assert any("no key is asked for" in line for line in served.said)
    assert any(line.endswith("/v1; added to its parts: retry, breaker\n") for line in served.said)
    assert decided["id"] == said["id"] == identifier
    assert (decided["chosen"], decided["answered"], decided["models"]) == (
        "first",
        "first",
        ["first"],
    )
    assert (decided["propensity"], decided["propensities"]) == (1.0, [1.0])
    assert decided["status"] == 200
    assert decided["cost"] > 0
    assert decided["input_tokens"] > 0
    assert "text" not in decided  # prompts are nobody's business unless asked for
    assert (said["reward"], said["comment"]) == (1, "right")


def _lines(folder: Path, pattern: str) -> list[str]:
    return [line for path in folder.glob(pattern) for line in path.read_text().splitlines()]


def test_an_answer_under_way_is_completed_when_it_stops(start: Callable[..., Process]) -> None:
    """And the process is not ready from then on, and takes no new connections."""
    served = start("--insecure", realtime=True)
    found: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: found.append(served.chat(stream=True)))
    asking.start()
    while json.loads(served.ask("/v1/stats")[1])["in_flight"] < 1:
        time.sleep(0.01)
    code = served.stop()
    asking.join()

    assert code == 0
    assert found[0][0] == 200
    assert found[0][1].endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("how", ["signal", "file"])
def test_the_config_is_read_again_without_a_dropped_request(
    start: Callable[..., Process], tmp_path: Path, how: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f"reload = {0.1 if how == 'file' else 0}\nlog_texts = true\n")
    served = start("--insecure", "--server", str(file), "--log", "log")
    statuses: list[int] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            statuses.append(served.chat()[0])

    loads = [threading.Thread(target=load) for _ in range(4)]
    for thread in loads:
        thread.start()
    config = tmp_path / "router.toml"
    config.write_text("this is not a config")
    _told(served, how, b'result="failed"')
    config.write_text(POOL.format("second", "false"))
    _told(served, how, b'result="ok"')
    over.set()
    for thread in loads:
        thread.join()
    model = json.loads(served.chat()[1])["llmrouter"]["model"]

    assert model == "second"
    assert set(statuses) == {200}
    assert served.stop() == 0
    assert any("not reloaded" in line for line in served.said)
    assert json.loads(_lines(tmp_path / "log", "decisions-*")[0])["text"] == "What is 17 * 23?"


def _told(served: Process, how: str, result: bytes) -> None:
    if how == "signal":
        served.process.send_signal(signal.SIGHUP)
    ends = time.monotonic() + 10
    while result not in served.ask("/metrics")[1] and time.monotonic() < ends:
        time.sleep(0.02)


def test_several_workers_answer_on_one_port(start: Callable[..., Process]) -> None:
    """They are counted together; one that dies is replaced; all stop together."""
    served = start("--insecure", "--workers", "2")
    assert any("by 2 workers; added to its parts: retry" in line for line in served.said)
    children = _children(served)
    assert len(children) == 2
    statuses = [_patiently(served) for _ in range(20)]
    ends = time.monotonic() + 10
    while _answers(served) < 20 and time.monotonic() < ends:  # each tells what it did a bit later
        time.sleep(0.02)
    os.kill(children[0], signal.SIGKILL)
    while set(_children(served)) == set(children) and time.monotonic() < ends:
        time.sleep(0.02)
    answers = _answers(served)
    closed = rb'_circuits\{circuit="model.first",state="closed"\} ([12])\.0'
    while not (seen := re.search(closed, _patiently(served, "/metrics")[1])):
        assert time.monotonic() < ends + 10
        assert _patiently(served)[0] == 200  # those of the worker that died went with it
        time.sleep(0.1)

    assert {status for status, _ in statuses} == {200}
    assert answers == 20
    assert len(set(_children(served)) - set(children)) == 1
    assert seen
    assert served.stop() == 0
    assert not any(os.path.exists(f"/proc/{child}") for child in children)


def _answers(served: Process) -> int:
    """Return how many answers the model `first` gave, as its workers have told so far."""
    models = json.loads(_patiently(served, "/v1/stats")[1])["models"]
    return int(models.get("first", {}).get("answers", 0))


def _children(served: Process) -> list[int]:
    pid = served.process.pid
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found = [int(child) for child in text.split()]
        if len(found) == 2:
            return found
        time.sleep(0.02)
    return []


def _patiently(served: Process, path: str | None = None) -> tuple[int, bytes]:
    """Ask until somebody accepts; a worker that is killed resets what it had accepted."""
    for _ in range(100):
        try:
            return served.chat() if path is None else served.ask(path)
        except (ConnectionError, http.client.HTTPException):
            time.sleep(0.05)
    raise AssertionError("nobody answers")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--insecure", "--host", "0.0.0.0"), "loopback only"),
        (("--port", "70000"), "'port'"),
        (("--insecure", "--default-model", "none"), "no routable model 'none'"),
        (("--server", "missing.toml"), "cannot be read"),
        (("--insecure", "--log", "router.toml"), "cannot be made"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    start: Callable[..., Process], options: tuple[str, ...], reason: str
) -> None:
    served = start(*options)

    assert served.end() == 2
    assert reason in "".join(served.said)
    assert "Traceback" not in "".join(served.said)


def test_a_router_that_was_not_trained_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "router.toml"
    config.write_text('router = "knn"\ncaller = "sim"\n')
    served = Process(config, "--insecure")

    assert served.end() == 2
    assert "train" in "".join(served.said)
