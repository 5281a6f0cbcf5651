"""`llmrouter new`: a plugin that works, in the shape every plugin has."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

import click
from llmrouter_core.catalogue import VERBS

KINDS = (*VERBS, "task")
"""What can be made: every kind of part, and the questions by which models are compared."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 90  # characters of a summary or an author: one line of a file


def template() -> Path:
    """Return the folder of the template: inside a wheel, or the checkout it is edited in."""
    here = Path(__file__).resolve().parent
    packed = here / "template"
    return packed if packed.is_dir() else here.parent


def render(
    folder: Path, *, name: str, kind: str, summary: str, author: str, family: str = ""
) -> Path:
    """Write the plugin into *folder* and return its path; what is given is not checked.

    The family of methods, the second of its keywords, is its kind where none is given.
    Neither the user's cookiecutter settings nor its record of past runs are touched.
    """
    from cookiecutter.generate import (  # type: ignore[import-untyped]
        generate_context,
        generate_files,
    )
    from cookiecutter.prompt import prompt_for_config  # type: ignore[import-untyped]

    given = {"name": name, "kind": kind, "summary": summary, "author": author}
    given |= {"family": family} if family else {}
    source = template()
    context = generate_context(str(source / "cookiecutter.json"), extra_context=given)
    context["cookiecutter"] = prompt_for_config(context, no_input=True)
    made = generate_files(source, context, output_dir=folder, accept_hooks=False)
    return Path(made)


def check_name(_: Any, __: Any, name: str) -> str:
    """Return *name* if a plugin may have it.

    Raises:
        click.BadParameter: It may not; the message says why.
    """
    bare = name.removeprefix("llmrouter-plugin-")
    if bare != name:
        raise click.BadParameter(f"leave out 'llmrouter-plugin-': '{bare}' is enough.")
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"'{name}' is not lower-case words joined by hyphens, such as 'word-count'."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise click.BadParameter(f"'{name}' is a word of Python; choose another.")
    return name


def check_line(_: Any, __: Any, line: str) -> str:
    """Return *line* without surrounding blanks if it fits on one line of a file.

    Raises:
        click.BadParameter: It does not; the message says why.
    """
    line = line.strip()
    if not line or not line.isprintable() or len(line) > _LONGEST:
        raise click.BadParameter(f"give one line of 1 to {_LONGEST} printable characters.")
    if any(mark in line for mark in ("{{", "{%", "{#")):
        raise click.BadParameter("double braces would be filled in by the template.")
    return line


def _summary() -> str:
    return f"A small working {click.get_current_context().params['kind']}"


def _author() -> str:
    return f"The {click.get_current_context().params['name']} developers"


@click.command(
    epilog="""\b
    Example:
      llmrouter new --name word-count --kind scorer
    """
)
@click.option(
    "--name",
    prompt="Name",
    callback=check_name,
    is_eager=True,
    help="What a config writes after 'use =': lower case, hyphens between words.",
)
@click.option(
    "--kind",
    prompt="Kind",
    type=click.Choice(KINDS),
    is_eager=True,
    help="What it is; decides which working part you start from.",
)
@click.option(
    "--summary",
    prompt="Summary",
    default=_summary,
    callback=check_line,
    help="What it does, in one sentence without a full stop.",
)
@click.option(
    "--author",
    prompt="Author",
    default=_author,
    callback=check_line,
    help="Who holds the copyright.",
)
@click.option(
    "--output",
    default=".",
    metavar="DIR",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the plugin's folder is made.",
)
def new(name: str, kind: str, summary: str, author: str, output: Path) -> None:
    """Make a new plugin: a folder with a small working part, its tests and its packaging.

    What is not given as an option is asked for.
    """
    folder = output / f"llmrouter-plugin-{name}"
    if folder.exists():
        raise click.UsageError(
            f"{folder} already exists; choose another --name or --output, or remove it."
        )
    try:
        made = render(output, name=name, kind=kind, summary=summary, author=author)
    except OSError as error:
        raise click.UsageError(
            f"{folder} cannot be written: {error.strerror or error}; choose another --output."
        ) from error
    shown = folder if not output.is_absolute() else made
    click.echo(shown)
    click.echo(
        f'Now make it yours:\n  pip install -e "{shown}[testing]"\n  pytest {shown}', err=True
    )
