"""Reading outcomes for a command: damaged rows stop it, or are left out and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llmrouter_core.cli.console import SEED, printable, say, warn
from llmrouter_core.dataset import Dataset
from llmrouter_core.errors import DatasetError
from llmrouter_core.outcomes import Repairs

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter

Command = TypeVar("Command", bound=Callable[..., Any])

DROPPED = "dropped: "

skip_bad_option = click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out rows that are damaged, and say how many and which.",
)


def replay_options(command: Command) -> Command:
    """Add what every replay is told: --train, --resamples, --seed and --skip-bad."""
    train = click.option(
        "--train",
        type=Path,
        required=True,
        help="The outcomes that were learned from: they say which single model is best.",
    )
    resamples = click.option(
        "--resamples",
        type=click.IntRange(1, 100_000),
        default=1000,
        show_default=True,
        help="Bootstrap resamples behind the intervals.",
    )
    seed = click.option(
        "--seed", type=SEED, default=0, show_default=True, help="Seed of the resampling."
    )
    return train(resamples(seed(skip_bad_option(command))))


def read_outcomes(path: Path, skip_bad: bool, router: LLMRouter | None = None) -> Dataset:
    """Return the outcomes in *path*, and say what was left out.

    Raises:
        DatasetError: They cannot be read, or tell nothing of a model that *router* chooses from.
    """
    repairs = Repairs()
    found = Dataset.read(path, skip_bad=skip_bad, repairs=repairs)
    tell(repairs)
    if router is not None:
        try:
            found.for_models([model.name for model in router.pipeline.models])
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
    return found


def tell(repairs: Repairs) -> None:
    """Say what was repaired, and warn of what was left out."""
    for sentence in repairs.sentences():
        (warn if DROPPED in sentence else say)(printable(sentence))
