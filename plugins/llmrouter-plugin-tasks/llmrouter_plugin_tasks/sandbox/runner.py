"""The program of the sandbox: limits itself, then becomes the tests and the answer.

Started by `run_tests` as a script, in an isolated interpreter without site packages. Two
processes run: one the tests, the other the answer's code; the first alone holds the pipe on
which the verdict is given.
"""

import json
import math
import os
import resource
import sys
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":  # the packages above import what is not installed here: leave them out
    for _name, _folder in (
        ("llmrouter_plugin_tasks", os.path.dirname(_HERE)),
        ("llmrouter_plugin_tasks.sandbox", _HERE),
    ):
        sys.modules[_name] = ModuleType(_name)
        sys.modules[_name].__path__ = [_folder]

from llmrouter_plugin_tasks.sandbox import answering, audit, kernel, testing  # noqa: E402

_LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"]
_ZONES = ["/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom"]


def main() -> None:
    """Run the job on standard input and write its verdict to standard output."""
    job = json.loads(sys.stdin.buffer.read())
    verdict = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(null, place)
    os.close(null)
    sys.set_int_max_str_digits(0)
    readable = [path for path in sys.path if os.path.exists(path)] + _LIBRARIES + _ZONES
    try:
        result = _run(job, readable, verdict)
    except (kernel.Unheld, OSError) as error:
        result = {"unheld": str(error)}
    os.write(verdict, json.dumps(result).encode())
    os._exit(0)


def _run(job: dict[str, Any], readable: list[str], verdict: int) -> dict[str, Any]:
    held = not job["weak"]
    for what, most in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, math.ceil(job["seconds"]) + 1),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _limit(what, most)
    if held:
        kernel.confine(readable)
        kernel.die_with_parent()
    asked, asking = os.pipe()
    told, telling = os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        os.close(verdict)
        os.close(asking)
        os.close(told)
        try:
            _close_in(held, readable)
            if os.getppid() == parent:  # else the tests are gone already
                answering.serve(job["code"], os.fdopen(asked), os.fdopen(telling, "w"))
        finally:
            os._exit(0)
    os.close(asked)
    os.close(telling)
    _close_in(held, readable)
    return testing.judge(job["tests"], os.fdopen(told), os.fdopen(asking, "w"))


def _close_in(held: bool, readable: list[str]) -> None:
    _limit(resource.RLIMIT_NPROC, 0)
    if held:
        kernel.die_with_parent()
        kernel.restrict()
    else:
        audit.install(readable)


def _limit(what: int, most: int) -> None:
    """Set a limit, or keep a lower one that is set already."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    try:
        resource.setrlimit(what, (most, most))
    except (ValueError, OSError):
        if what != resource.RLIMIT_AS:  # some systems limit no address space
            raise


if __name__ == "__main__":
    main()
