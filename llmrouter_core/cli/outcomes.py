"""Reading outcomes for a command: damaged rows stop it, or are left out and told."""

from __future__ import annotations

from pathlib import Path

import click

from llmrouter_core.cli.console import printable, say, warn
from llmrouter_core.dataset import Dataset
from llmrouter_core.outcomes import Repairs

DROPPED = "dropped: "

skip_bad_option = click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out rows that are damaged, and say how many and which.",
)


def read_outcomes(path: Path, skip_bad: bool) -> Dataset:
    """Return the outcomes in *path*, and say what was left out."""
    repairs = Repairs()
    found = Dataset.read(path, skip_bad=skip_bad, repairs=repairs)
    tell(repairs)
    return found


def tell(repairs: Repairs) -> None:
    """Say what was repaired, and warn of what was left out."""
    for sentence in repairs.sentences():
        (warn if DROPPED in sentence else say)(printable(sentence))
