"""Start the sandbox, wait no longer than allowed, and leave nothing behind."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen, validators
from llmrouter_core import LLMRouterError

WEAK = "LLMROUTER_WEAK_SANDBOX"
"""Set to 1, it allows running code where no kernel holds it."""

_RUNNER = Path(__file__).with_name("runner.py")
_MOST = 65_536  # bytes of a verdict


class SandboxUnavailable(LLMRouterError):
    """Code cannot be run safely on this system."""

    exit_code = 2


@frozen(kw_only=True)
class Limits:
    """What code may use.

    Attributes:
        seconds: Wall-clock seconds, tests included.
        memory: Bytes of address space of each of the two processes.
    """

    seconds: float = field(default=10.0, validator=[validators.gt(0), validators.le(600)])
    memory: int = field(default=512 * 1024 * 1024, validator=validators.ge(64 * 1024 * 1024))


@frozen
class Verdict:
    """Whether code passed its tests.

    Attributes:
        passed: Whether the tests ran to their end and none failed.
        reason: Why not, as a short text; made from what the code says, so it may say anything.
        seconds: How long it took.
    """

    passed: bool
    reason: str = ""
    seconds: float = 0.0


_DEFAULTS = Limits()


def run_tests(code: str, tests: str, limits: Limits = _DEFAULTS) -> Verdict:
    """Run *tests* against the names that *code* defines, in a sandbox.

    Code is run in a process of its own: no network, no file but Python's library (read only), no
    new process, an empty environment, and limits on time, memory and what it may send.

    Raises:
        SandboxUnavailable: This system cannot hold the code.
    """
    if os.name != "posix":
        raise SandboxUnavailable("code cannot be run safely on this system; use Linux")
    weak = os.environ.get(WEAK) == "1"
    job = {
        "code": code,
        "tests": tests,
        "seconds": limits.seconds,
        "memory": limits.memory,
        "weak": weak,
    }
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="llmrouter-") as folder,
        tempfile.TemporaryFile() as given,
    ):
        given.write(json.dumps(job).encode())
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
            [sys.executable, "-I", "-S", "-B", str(_RUNNER)],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=folder,
            start_new_session=True,
        )
        try:
            said = _read(process, started + limits.seconds)
        finally:
            _end(process)
    took = time.monotonic() - started
    if said is None:
        return Verdict(False, f"no verdict within {limits.seconds:g} s", took)
    try:
        verdict = json.loads(said)
    except ValueError:
        return Verdict(False, "the sandbox ended before the tests did", took)
    if "unheld" in verdict:
        raise SandboxUnavailable(
            f"code cannot be run safely on this system: {verdict['unheld']}; run it on Linux 5.13 "
            f"or later, or set {WEAK}=1 to rely on limits that hostile code can escape"
        )
    return Verdict(verdict["passed"] is True, str(verdict["reason"]), took)


def _read(process: subprocess.Popen[bytes], until: float) -> bytes | None:
    """Return what the sandbox says, or None where it is not done in time or says too much."""
    assert process.stdout is not None
    place, said = process.stdout.fileno(), b""
    while len(said) <= _MOST:
        left = until - time.monotonic()
        if left <= 0 or not select.select([place], [], [], left)[0]:
            return None
        piece = os.read(place, _MOST)
        if not piece:
            return said
        said += piece
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the sandbox, as a group."""
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
