"""`llmrouter report`: a page about one evaluation, or several side by side."""

from __future__ import annotations

from pathlib import Path

import click
from llmrouter_core.cli.console import Misuse, example, printable, say
from llmrouter_core.errors import DatasetError


@click.command(epilog=example("llmrouter report run --html report.html --queries-per-day 50000"))
@click.argument("runs", type=Path, nargs=-1, required=True)
@click.option("--html", type=Path, help="Write one self-contained page here.")
@click.option("--md", type=Path, help="Write it as Markdown here.")
@click.option("--json", "json_", type=Path, help="Write it as data here.")
@click.option(
    "--queries-per-day",
    "per_day",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Load that the savings are for.",
)
@click.option("--title", default="What the router gains", show_default=True, help="Its title.")
def report(
    runs: tuple[Path, ...],
    html: Path | None,
    md: Path | None,
    json_: Path | None,
    per_day: int,
    title: str,
) -> None:
    """Write a page about the evaluations in RUNS that a manager can read.

    Each of RUNS is a folder that `llmrouter evaluate … --out` or `train … --report` wrote. Several
    stand side by side.
    """
    if html is None and md is None and json_ is None:
        raise Misuse("say what to write: --html report.html, --md report.md or --json report.json")
    from llmrouter_plugin_report.document import document
    from llmrouter_plugin_report.markdown import markdown
    from llmrouter_plugin_report.page import page
    from llmrouter_plugin_report.plain import as_json
    from llmrouter_plugin_report.runs import read

    found = read(runs)
    about = document(found, per_day, printable(" ".join(title.split())))
    if html is not None:
        _write(html, page(about))
    if md is not None:
        _write(md, markdown(about))
    if json_ is not None:
        _write(json_, as_json(about, found, per_day))
    for name, one in about.verdicts:
        say(f"{name}: {one.headline}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}") from error
