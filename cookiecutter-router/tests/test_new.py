"""What `llmrouter new` asks, makes and refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cookiecutter_router import new, render


def call(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(new, list(arguments), input=given)


def full(**options: str) -> list[str]:
    """Return the arguments of a complete call, with *options* exchanged."""
    wanted = {"name": "sample", "kind": "scorer", "summary": "A sample", "author": "Ada"} | options
    return [word for key, value in wanted.items() for word in (f"--{key}", value)]


def test_new_makes_a_plugin_and_says_what_to_do_next(tmp_path: Path) -> None:
    """The path goes to stdout, advice to stderr."""
    result = call(*full(), "--output", str(tmp_path))
    made = tmp_path / "llmrouter-plugin-sample"

    assert result.exit_code == 0
    assert result.stdout == f"{made}\n"
    assert f'pip install -e "{made}[testing]"' in result.stderr
    assert f"pytest {made}" in result.stderr
    assert (made / "llmrouter_plugin_sample/__init__.py").is_file()


def test_new_asks_for_what_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, kind, summary and author, the last two with a default; here by default."""
    monkeypatch.chdir(tmp_path)
    result = call(given="asked\nselector\n\n\n")
    project = tomllib.loads(Path("llmrouter-plugin-asked/pyproject.toml").read_text())["project"]

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith("llmrouter-plugin-asked")
    assert project["description"] == "A small working selector"
    assert project["authors"] == [{"name": "The asked developers"}]


def test_new_leaves_no_trace_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither settings are read from there nor a record of the run is written."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    assert call(*full(), "--output", str(tmp_path)).exit_code == 0
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("name", "Word-Count", "lower-case words"),
        ("name", "word_count", "lower-case words"),
        ("name", "2words", "lower-case words"),
        ("name", "a--b", "lower-case words"),
        ("name", "-a", "lower-case words"),
        ("name", "naïve", "lower-case words"),
        ("name", "a/../b", "lower-case words"),
        ("name", "class", "word of Python"),
        ("name", "llmrouter-plugin-x", "'x' is enough"),
        ("kind", "strategy", "is not one of"),
        ("summary", " ", "one line"),
        ("summary", "two\nlines", "one line"),
        ("summary", "long " * 30, "one line"),
        ("author", "\x1b[31mred", "one line"),
        ("author", "{{ cookiecutter }}", "double braces"),
    ],
)
def test_new_refuses_what_would_not_work(
    option: str, value: str, reason: str, tmp_path: Path
) -> None:
    """One sentence, exit code 2, and nothing is written."""
    result = call(*full(**{option: value}), "--output", str(tmp_path))

    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_new_never_writes_into_an_existing_folder(tmp_path: Path) -> None:
    """What is there stays as it is."""
    taken = tmp_path / "llmrouter-plugin-sample"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")

    result = call(*full(), "--output", str(tmp_path))

    assert result.exit_code == 2
    assert "already exists; choose another --name or --output" in " ".join(result.stderr.split())
    assert [file.name for file in taken.iterdir()] == ["mine.txt"]


def test_new_says_where_it_cannot_write(tmp_path: Path) -> None:
    """A file in the way is a sentence, not a traceback."""
    (tmp_path / "file").write_text("")

    result = call(*full(), "--output", str(tmp_path / "file" / "inside"))

    assert result.exit_code == 2
    assert "choose another --output" in " ".join(result.stderr.split())


def test_help_has_an_example_that_works(tmp_path: Path) -> None:
    """The command it shows is complete enough to run."""
    shown = call("--help").stdout
    [example] = [
        line.strip() for line in shown.splitlines() if line.strip()[:13] == "llmrouter new"
    ]
    arguments = example.removeprefix("llmrouter new").split()

    assert call(*arguments, "--output", str(tmp_path), given="\n\n").exit_code == 0


def test_text_with_quotes_and_accents_survives(tmp_path: Path) -> None:
    """In TOML and in Python alike."""
    summary, author = 'Say "hé" \\o/ 🙂', 'Jörg "x" O\\Neil'
    made = render(tmp_path, name="odd", kind="caller", summary=summary, author=author)
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    code = (made / "llmrouter_plugin_odd/__init__.py").read_text("utf-8")
    namespace: dict[str, object] = {"__name__": "odd"}
    exec(compile(code, "odd", "exec"), namespace)

    assert project["description"] == summary
    assert project["authors"] == [{"name": author}]
    assert namespace["__doc__"] == f"{summary}."
    assert author in (made / "LICENSE").read_text("utf-8")
