"""The `llmrouter` command: what it lists, what it imports, and how it reports mistakes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llmrouter_core import __version__
from llmrouter_core.cli.group import COMMANDS, llmrouter

Install = Callable[[str, str, str], None]

CONFIG = """
selector = "smallest-llm"
caller = "stub"
[model.small]
size = 8.0
[model.large]
size = 70.0
"""

CALLER = """
import asyncio
from attrs import define
from llmrouter_core import Chunk, Unavailable, hookimpl

@define(eq=False, kw_only=True)
class StubCaller:
    name: str
    fail: str = ""

    @hookimpl
    def call(self, model):
        async def answer(request):
            if self.fail == "crash":
                raise ZeroDivisionError("oh\\n\\x1b[31mno")
            if self.fail in ("late", "hang"):
                yield Chunk(text="half")
            if self.fail == "hang":
                await asyncio.sleep(60)
            if self.fail:
                raise Unavailable(f"model '{model.name}' is down")
            yield Chunk(text="", kind="note")
            yield Chunk(text=f"{model.name} says ", kind="text")
            yield Chunk(text=request.text[::-1])
            yield Chunk(finish="stop")
        return answer
"""

COMMAND = """
import click
@click.command()
def hello():
    print("hello from a plugin")
    return 5
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution of one module, with the given entry points."""
    site = tmp_path / "site"
    site.mkdir()

    def installed(name: str, code: str, points: str) -> None:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        fields = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nSummary: What {name} is for\n"
        )
        (info / "METADATA").write_text(fields, encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        monkeypatch.syspath_prepend(site)

    yield installed
    for file in site.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.fixture
def config(tmp_path: Path, install: Install) -> Path:
    """A config whose caller is a stub that needs no network."""
    install("stub-house", CALLER, "[llmrouter.caller]\nstub = stub_house:StubCaller")
    path = tmp_path / "router.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def run(*arguments: object, **options: str) -> Result:
    return CliRunner().invoke(llmrouter, [str(argument) for argument in arguments], **options)


# ------------------------------------------------------------------ listing and importing


def test_help_lists_core_and_plugin_commands_with_their_line(install: Install) -> None:
    """A plugin's line is its distribution's summary; the plugin is not imported for it."""
    install("hello-house", "raise SystemExit", "[llmrouter.command]\nhello = hello_house:hello")
    result = run("--help")

    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert f"{name} " in result.stdout
        assert line.split(";")[0][:40] in result.stdout
    assert "hello" in result.stdout
    assert "What hello-house is for" in result.stdout
    assert "hello_house" not in sys.modules


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    """Help is a sentence, the options with their meaning, and a line to copy."""
    result = run(name, "--help")

    assert result.exit_code == 0
    assert f"  Example:\n    llmrouter {name} " in result.stdout


def test_help_and_listing_import_no_plugin_and_nothing_heavy() -> None:
    """Reading labels is enough, and for help even a table is too much."""
    code = (
        "import sys, json; from llmrouter_core.cli.group import llmrouter\n"
        "try: llmrouter(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    for arguments in (["--help"], ["plugins"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
        loaded = json.loads(done.stderr)

        assert "Commands:" in done.stdout or "smallest-llm" in done.stdout
        assert not [name for name in loaded if name.startswith("llmrouter_plugin_")]
        assert not {"torch", "sklearn", "httpx", "asyncio"} & set(loaded)
        if arguments == ["--help"]:
            assert "rich" not in loaded


def test_a_commands_modules_are_imported_only_when_it_is_run() -> None:
    """Help of the whole does not import the parts."""
    code = (
        "import sys; from llmrouter_core.cli.group import llmrouter\n"
        "try: llmrouter(['--help'])\n"
        "except SystemExit: pass\n"
        "own = [m for m in sys.modules if m.startswith('llmrouter_core.cli.')]\n"
        "assert sorted(own) == ['llmrouter_core.cli.console', 'llmrouter_core.cli.group'], own"
    )

    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_plugins_command_runs_and_its_return_value_is_no_exit_code(install: Install) -> None:
    """Only an exit is an exit."""
    install("hello-house", COMMAND, "[llmrouter.command]\nhello = hello_house:hello")
    result = run("hello")

    assert (result.exit_code, result.stdout) == (0, "hello from a plugin\n")


def test_a_plugin_cannot_take_the_place_of_cores_command(install: Install) -> None:
    """`llmrouter ask` means the same on every machine."""
    install("hello-house", COMMAND, "[llmrouter.command]\nask = hello_house:hello")

    assert "Answer QUERY" in run("ask", "--help").stdout
    assert "What hello-house" not in run("--help").stdout


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_the_sort", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("hello = 3", "is not a click command"),
    ],
)
def test_a_broken_command_is_a_sentence_and_breaks_no_other(
    code: str, reason: str, install: Install
) -> None:
    """Whatever its module does, only who runs it hears of it."""
    install("hello-house", code, "[llmrouter.command]\nhello = hello_house:hello")
    result = run("hello")

    assert result.exit_code == 2
    assert result.stderr.startswith("error: command 'hello' (hello-house 1.2)")
    assert reason in result.stderr
    assert run("--help").exit_code == 0
    assert run("plugins", "selector").exit_code == 0


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tran", "did you mean 'train'?"),
        ("predict", "pip install llmrouter-plugin-predict"),
        ("nwe", "pip install llmrouter-plugin-nwe"),
    ],
)
def test_an_unknown_command_says_what_was_meant_or_how_to_get_it(name: str, hint: str) -> None:
    """Plugins bring commands, so one that is missing may be installed."""
    result = run(name)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"error: no command '{name}' is installed" in result.stderr
    assert hint in result.stderr


def test_the_version_is_printed() -> None:
    """For bug reports."""
    assert run("--version").stdout == f"llmrouter, version {__version__}\n"


# ------------------------------------------------------------------ mistakes


def test_an_answer_goes_to_stdout_and_what_it_cost_to_stderr(config: Path) -> None:
    """So that the answer can be piped."""
    result = run("ask", config, "abc")

    assert result.exit_code == 0
    assert result.stdout == "small says cba\n"
    assert result.stderr.startswith("small: about ")
    assert result.stderr.count("\n") == 1
    assert run("-q", "ask", config, "abc").stderr == ""


def test_a_query_can_come_from_stdin_and_the_answer_in_one_piece(config: Path) -> None:
    """`-` reads all of it."""
    result = run("ask", config, "-", "--no-stream", input="xyz")

    assert result.stdout == "small says zyx\n"


def test_json_holds_the_whole_answer(config: Path) -> None:
    """Steps and decision included, nothing else on stdout."""
    answer = json.loads(run("ask", config, "abc", "--json").stdout)

    assert (answer["text"], answer["model"], answer["finish"]) == (
        "small says cba",
        "small",
        "stop",
    )
    assert [step["model"] for step in answer["steps"]] == ["small"]
    assert answer["decision"]["ranking"] == ["small", "large"]
    assert answer["cost"] is None


def _failing(config: Path, how: str) -> Path:
    text = config.read_text(encoding="utf-8").replace(
        'caller = "stub"', f'caller = {{ default = {{ use = "stub", fail = "{how}" }} }}'
    )
    config.write_text(text, encoding="utf-8")
    return config


def test_models_that_fail_are_one_line_and_exit_code_1(config: Path) -> None:
    """Every model's reason is in it."""
    result = run("ask", _failing(config, "yes"), "abc")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: no model answered: model 'small' is down; model 'large' is down\n"
    )


def test_what_was_streamed_before_a_failure_ends_with_a_line(config: Path) -> None:
    """The terminal's prompt does not stand behind half an answer."""
    result = run("ask", _failing(config, "late"), "abc")

    assert result.exit_code == 1
    assert result.stdout == "half\n"
    assert result.stderr == "error: model 'small' is down\n"


def test_a_plugins_bug_is_put_on_the_plugin(config: Path) -> None:
    """Whatever a caller raises, the next model is asked, and the sentence names who failed."""
    result = run("ask", _failing(config, "crash"), "abc", "--no-stream")

    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: no model answered: the caller of model 'small' raised ZeroDivisionError: oh"
    )
    assert result.stderr.count("\n") == 1


def test_a_bug_says_that_it_is_one_and_moves_no_cursor(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 1, control characters taken out; the traceback on request."""

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh \x1b[31mno")

    monkeypatch.setattr("llmrouter_core.router.LLMRouter.route", crash)
    asked = ("ask", str(config), "abc", "--no-stream")
    result = run(*asked)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: this is a bug: ZeroDivisionError: oh �[31mno; run")
    assert result.stderr.count("\n") == 1
    assert isinstance(run("--debug", *asked).exception, ZeroDivisionError)
    debug = CliRunner(env={"LLMROUTER_DEBUG": "1"}).invoke(llmrouter, asked)
    assert isinstance(debug.exception, ZeroDivisionError)


@pytest.mark.parametrize("query", ["", "  \n"])
@pytest.mark.parametrize("command", ["ask", "decide"])
def test_an_empty_query_is_a_sentence(command: str, query: str, config: Path) -> None:
    """Exit code 2: the command line is at fault."""
    result = run(command, config, query)

    assert result.exit_code == 2
    assert result.stderr == "error: the query is empty: give it at least one character of text\n"


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """As a shell expects it, and without a traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llmrouter_core.router.LLMRouter.decide_all", interrupted)
    result = run("decide", config, "abc")

    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_an_answer_can_be_interrupted(config: Path) -> None:
    """Ctrl-C stops the call, closes the router and leaves a clean line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmrouter_core", "ask", str(_failing(config, "hang")), "abc"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(config),
    )
    assert process.stdout is not None
    first = process.stdout.read(4)
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=20)

    assert (first, rest) == (b"half", b"\n")
    assert process.returncode == 130
    assert b"Traceback" not in said


def _environment(config: Path) -> dict[str, str]:
    """Return the environment in which another process finds the stub beside *config*."""
    paths = os.pathsep.join([str(config.parent / "site"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths}


def test_the_router_is_closed_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    """Connections do not outlive the command."""
    closed = []
    monkeypatch.setattr("llmrouter_core.router.LLMRouter.close", lambda self: closed.append(self))
    run("ask", config, "abc")
    run("ask", _failing(config, "yes"), "abc")

    assert len(closed) == 2


def test_a_reader_that_goes_away_ends_the_command_quietly(config: Path) -> None:
    """`llmrouter decide … | head -1` shows no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmrouter_core", "decide", str(config), "--json", *["abc"] * 400],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(config),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=20) != 0
    assert said == b""


def test_a_terminal_without_utf_8_is_no_mistake(config: Path) -> None:
    """Never an encoding error."""
    done = subprocess.run(
        [sys.executable, "-m", "llmrouter_core", "ask", str(config), "日本"],
        capture_output=True,
        check=False,
        env={**_environment(config), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"small says ")
    assert b"Error" not in done.stderr
