"""The commands as their users run them: processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

HELLO = [{"role": "user", "content": "What is 17 * 23?"}]


class Process:
    """`llmrouter serve`.

    Attributes:
        port: Where it listens; 0 if it ended instead.
        said: The lines it wrote.
    """

    def __init__(self, config: Path, *options: str) -> None:
        command = [sys.executable, "-m", "llmrouter_core", "serve", str(config), "--port", "0"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LLMROUTER")}
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=config.parent,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.said: list[str] = []
        self.port = 0
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)/v1", line):
                self.port = int(found[1])
                break
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def ask(self, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, data)
            found = connection.getresponse()
            return found.status, found.read()
        finally:
            connection.close()

    def chat(self, **fields: Any) -> tuple[int, bytes]:
        return self.ask("/v1/chat/completions", {"messages": HELLO, **fields})

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Wait until it has ended, and return the exit code."""
        code = self.process.wait(20)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code
