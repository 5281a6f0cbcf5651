"""Several processes on one socket: started, watched, and told to stop or to reload together."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

LOGGER = logging.getLogger("llmrouter.server")

_TICK = 0.1
_SHORT = 5.0  # seconds; a worker that ends sooner did not start
_TRIES = 5  # that many in a row, and something is wrong with all of them
METRICS = "PROMETHEUS_MULTIPROC_DIR"


class Workers:
    """Processes that answer on one socket.

    Args:
        count: How many.
        command: What each runs; the number of the socket is appended as `--fd N`.
        sock: The socket.
        drain: Seconds they are given to finish when all of it stops.
    """

    def __init__(
        self, count: int, command: Sequence[str], sock: socket.socket, drain: float
    ) -> None:
        self._count = count
        self._command = [sys.executable, *command, "--fd", str(sock.fileno())]
        self._socket = sock
        self._drain = drain
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._failed = 0
        self._stopping = False

    def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT, and return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda number, frame: self._tell(number))
        folder = tempfile.mkdtemp(prefix="llmrouter-metrics-")
        try:
            while not self._stopping and self._failed < _TRIES:
                while len(self._running) < self._count:
                    self._start(folder)
                time.sleep(_TICK)
                self._reap(folder)
        finally:
            self._finish()
            shutil.rmtree(folder, ignore_errors=True)
        return 0 if self._stopping else 1

    def _start(self, folder: str) -> None:
        worker = subprocess.Popen(  # noqa: S603 - our own interpreter and our own command
            self._command,
            pass_fds=[self._socket.fileno()],
            env={**os.environ, METRICS: folder},
        )
        self._running[worker.pid] = (worker, time.monotonic())

    def _reap(self, folder: str) -> None:
        for pid, (worker, began) in list(self._running.items()):
            if worker.poll() is None:
                if time.monotonic() - began > _SHORT:
                    self._failed = 0
                continue
            del self._running[pid]
            LOGGER.warning("worker %d ended with %s, another takes over", pid, worker.returncode)
            self._failed += time.monotonic() - began < _SHORT
            _forget(pid, folder)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _tell(self, number: int) -> None:
        for worker, _ in self._running.values():
            worker.send_signal(number)

    def _finish(self) -> None:
        self._tell(signal.SIGTERM)
        ends = time.monotonic() + self._drain + 5.0
        for worker, _ in self._running.values():
            try:
                worker.wait(max(0.0, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _forget(pid: int, folder: str) -> None:
    """Take a dead worker's gauges out of the metrics; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
