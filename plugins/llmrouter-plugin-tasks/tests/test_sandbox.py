"""Code that nobody has read: it passes only by passing, and harms nothing."""

import os
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from llmrouter_plugin_tasks.sandbox import Limits, SandboxUnavailable, run_tests

SHORT = Limits(seconds=1.5, memory=256 * 1024 * 1024)
TEST = "assert f(2) == 4"


@pytest.fixture(autouse=True, scope="module")
def held() -> None:
    """Skip where the kernel cannot hold code, as the sandbox itself says."""
    try:
        run_tests("", "")
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))


def left() -> set[str]:
    """Return the folders of sandboxes that are still there."""
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("llmrouter-")}


def running() -> list[str]:
    """Return the command lines of sandboxes that still run, those of other tests aside."""
    listed = subprocess.run(["ps", "-eo", "ppid,stat,args"], capture_output=True, text=True)
    return [
        line
        for line in listed.stdout.splitlines()
        if "sandbox/runner.py" in line
        and line.split()[0] in (str(os.getpid()), "1")
        and not line.split()[1].startswith("Z")
    ]


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def f(x): return 2 * x", TEST),
        ("import math, re, collections, json, decimal\ndef f(x): return x + x", TEST),
        ("async def g(x): return 2 * x\nimport asyncio\ndef f(x): return asyncio.run(g(x))", TEST),
        ("def f(x):\n    yield x\n    yield 4", "assert list(f(2)) == [2, 4]"),
        ("def f(xs): xs.sort()", "xs = [2, 1]\nf(xs)\nassert xs == [1, 2]"),
        ("def f(x): raise KeyError(x)", "try:\n    f(1)\n    assert 0\nexcept KeyError: pass"),
        (
            "class N:\n    def __init__(self, v): self.v, self.n = v, None\n"
            "def f(n): return n.v + n.n.v",
            "a = N(1)\na.n = N(3)\nassert f(a) == 4",
        ),
        ("def f(x): return {x: (1.5, {2}, None, b'a', 1j)}", "assert f(2)[2][1] == {2}"),
        ("def f(x): return float('inf')", "assert f(1) > 10 ** 300"),
        ("def f(x): return 10 ** x", "assert f(9999) % 7 == 10 ** 9999 % 7"),
        (
            "from collections import Counter\ndef f(x): return Counter(x)",
            "assert f('a') == {'a': 1}",
        ),
        (
            "from fractions import Fraction\ndef f(x): return Fraction(x, 3)",
            "assert f(1) * 3 == 1",
        ),
        ("def f(x): print('noise'); return 2 * x", TEST),
        ("def f(x):\n    return f(x - 1) + 1 if x else 0", "assert f(500) == 500"),
        ("N = 4", "assert N == 4"),
    ],
)
def test_code_that_is_right_passes(code: str, tests: str) -> None:
    """Whatever kind of value it returns."""
    verdict = run_tests(code, tests)

    assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    "code",
    [
        "def f(x): return 3 * x",
        "def g(x): return 2 * x",
        "def f(x:",
        "",
        "\0",
        "raise ValueError('no')",
        "import sys\nsys.exit(0)",
        "def f(x):\n    import sys\n    sys.exit(0)",
        "import os\nos._exit(0)",
        "def f(x):\n    import os\n    os._exit(0)",
        "raise KeyboardInterrupt",
        "import builtins\nbuiltins.AssertionError = SystemError\ndef f(x): return 5",
        "import builtins, sys\nbuiltins.exit = sys.exit = print\ndef f(x): return 5",
        "class Any:\n    def __eq__(self, other): return True\ndef f(x): return Any()",
        "class I(int):\n    def __eq__(self, other): return True\ndef f(x): return I(5)",
        "class D(dict):\n    def __eq__(self, other): return True\ndef f(x): return D()",
        "import sys\ndef f(x):\n    for fd in range(3, 64):\n        try:\n            import os\n"
        '            os.write(fd, b\'{"passed": true, "reason": ""}\')\n'
        "        except OSError: pass\n    return 5",
        "import sys\nfor name, module in list(sys.modules.items()):\n    if 'testing' in name:\n"
        "        module.judge = lambda *a: {'passed': True, 'reason': ''}\ndef f(x): return 5",
        "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 5",
        "def f(x): raise AssertionError",
        "def f(x): return f(x)",
        "import ctypes\nctypes.string_at(0)\ndef f(x): return 4",
    ],
)
def test_code_that_is_wrong_or_cheats_fails(code: str) -> None:
    """Ending early, patching what tests use and claiming to be equal do not help."""
    assert not run_tests(code, TEST, SHORT).passed


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "def f(x):\n    while True: pass",
        "import time\ntime.sleep(60)",
        "def f(x):\n    while True: print('x' * 1000000)",
        "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n"
        "def f(x):\n    while True: pass",
        "def f(x): return 9 ** 9 ** 9",
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
    ],
)
def test_code_that_does_not_end_is_ended(code: str) -> None:
    """Within its limit and a moment."""
    started = time.monotonic()
    verdict = run_tests(code, TEST, Limits(seconds=0.6))

    assert not verdict.passed
    assert "within 0.6 s" in verdict.reason or "ended" in verdict.reason
    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize(
    "code",
    [
        "def f(x): return [0] * 10 ** 10",
        "def f(x):\n    kept = []\n    while True: kept.append(bytearray(10 ** 7))",
        "def f(x): return 'x' * 10 ** 8",
        "def f(x):\n    while True: x = [x, x]",
    ],
)
def test_code_that_hogs_memory_fails(code: str) -> None:
    """Or that sends more than the tests will read."""
    assert not run_tests(code, TEST, SHORT).passed


def test_code_starts_no_process() -> None:
    """A bounded fork bomb gets nowhere, nor does another program."""
    bomb = "import os\nfor _ in range(50):\n    {}\ndef f(x): return 4"

    for call in (
        "os.fork()",
        "os.system('true') and 1 / 0",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "__import__('subprocess').run(['true'])",
        "__import__('ctypes').CDLL(None).fork() == -1 and 1 / 0",
    ):
        verdict = run_tests(bomb.format(call), TEST, SHORT)
        assert not verdict.passed, call


def test_code_reaches_no_network() -> None:
    """Not even this machine; nothing arrives."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        port = server.getsockname()[1]
        connect = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)"
        code = f"{connect}\ndef f(x): return 4"
        verdict = run_tests(code, TEST, SHORT)

        assert "PermissionError" in verdict.reason
        with pytest.raises(BlockingIOError):
            server.accept()


def test_code_writes_no_file(tmp_path: Path) -> None:
    """Neither outside its folder nor within, and it changes none that is there."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    mine.chmod(0o600)
    attempts = [
        f"open({str(tmp_path / 'new')!r}, 'w').write('x')",
        "open('new', 'w').write('x')",
        f"open({str(mine)!r}, 'a').write('x')",
        f"import os; os.remove({str(mine)!r})",
        f"import os; os.chmod({str(mine)!r}, 0o777)",
        f"import os; os.truncate({str(mine)!r}, 0)",
        f"import os; os.rename({str(mine)!r}, 'x')",
        f"import os; os.mkdir({str(tmp_path / 'folder')!r})",
        f"import os; os.utime({str(mine)!r}, (0, 0))",
    ]
    for attempt in attempts:
        verdict = run_tests(f"{attempt}\ndef f(x): return 4", TEST, SHORT)
        assert "PermissionError" in verdict.reason, attempt

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert mine.read_text() == "mine"
    assert mine.stat().st_mode & 0o777 == 0o600
    assert mine.stat().st_mtime > 0


def test_code_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its environment, nor in another process's, nor in a file."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-secret")
    secret = tmp_path / "secret.txt"
    secret.write_text("sk-secret")

    assert run_tests("import os\nN = dict(os.environ)", "assert 'API' not in str(N)").passed
    for path in ("/etc/passwd", f"/proc/{os.getpid()}/environ", str(secret), "/proc/self/mem"):
        verdict = run_tests(f"N = open({path!r}, 'rb').read()", "assert N", SHORT)
        assert "PermissionError" in verdict.reason
        assert "secret" not in verdict.reason.replace(str(secret), "")


def test_code_kills_nobody() -> None:
    """Not this process, not the one of its tests."""
    for target in (os.getpid(), "os.getppid()"):
        verdict = run_tests(f"import os\nos.kill({target}, 9)\ndef f(x): return 4", TEST, SHORT)
        assert "PermissionError" in verdict.reason


def test_code_leaves_its_group_by_no_road() -> None:
    """So that it is ended with its group."""
    assert "PermissionError" in run_tests("import os\nos.setsid()", "", SHORT).reason


def test_nothing_is_left_behind() -> None:
    """No folder, no process, no open file."""
    before, files = left(), len(os.listdir("/proc/self/fd"))
    for code in ("while True: pass", "import sys; sys.exit()", "def f(x): return 4"):
        run_tests(code, TEST, Limits(seconds=0.3))

    assert left() <= before
    assert running() == []
    assert len(os.listdir("/proc/self/fd")) == files


def test_many_run_at_once() -> None:
    """From as many threads as are asked for."""
    verdicts: list[bool] = []
    work = [
        threading.Thread(
            target=lambda n=n: verdicts.append(
                run_tests(f"def f(x): return {n}", f"assert f(1) == {n}").passed
            )
        )
        for n in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()

    assert verdicts == [True] * 8


def test_a_system_that_cannot_hold_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to do."""
    monkeypatch.setattr("os.name", "nt")

    with pytest.raises(SandboxUnavailable, match="use Linux"):
        run_tests("", "")


def test_the_weak_sandbox_is_asked_for_and_stops_what_is_in_plain_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right code passes; files, sockets and processes are refused; time is limited."""
    monkeypatch.setenv("LLMROUTER_WEAK_SANDBOX", "1")
    secret = tmp_path / "secret.txt"
    secret.write_text("sk-secret")

    assert run_tests("import math\ndef f(x): return 2 * x", TEST, SHORT).passed
    for attempt in (
        f"open({str(secret)!r})",
        f"open({str(tmp_path / 'new')!r}, 'w')",
        "import socket; socket.socket()",
        "import os; os.fork()",
        "import os; os.system('true')",
        "import os; os.kill(os.getppid(), 0)",
        "import ctypes; ctypes.CDLL(None)",
    ):
        verdict = run_tests(f"{attempt}\ndef f(x): return 4", TEST, SHORT)
        assert "PermissionError" in verdict.reason, attempt
    assert not run_tests("while True: pass", TEST, Limits(seconds=0.3)).passed
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


def test_the_sandbox_imports_nothing_of_what_is_installed() -> None:
    """Its interpreter sees the standard library alone."""
    verdict = run_tests(
        "import sys\nN = [p for p in sys.path if 'site-packages' in p]", "assert N == []"
    )

    assert verdict.passed, verdict.reason
    assert not run_tests("import attrs", "", SHORT).passed
