"""Reading outcomes for a command: damaged rows stop it, or are left out and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llmrouter_core.cli.console import SEED, Misuse, printable, say, warn
from llmrouter_core.dataset import Dataset
from llmrouter_core.errors import DatasetError, UnknownPlugin
from llmrouter_core.outcomes import Repairs, checked, write_rows

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


def read_outcomes(
    path: Path, skip_bad: bool, router: LLMRouter | None = None, named: Path | None = None
) -> Dataset:
    """Return the outcomes in *path*, which messages call *named*, and say what was left out.

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
            raise DatasetError(f"{named or path}: {error}") from None
    return found


@contextmanager
def logged(path: Path, skip_bad: bool) -> Iterator[Path]:
    """Yield a file with the outcomes that a server's log in *path* holds, and say what it lacks.

    Raises:
        Misuse: No installed house reads such logs.
        DatasetError: The log cannot be read, or a row of it is wrong.
    """
    from llmrouter_core.cli.dataset import foreign

    repairs = Repairs()
    with TemporaryDirectory() as folder:
        file = Path(folder, "log.jsonl")
        found = checked(
            foreign("log", path, repairs, skip_bad),
            str(path),
            repairs=repairs if skip_bad else None,
        )
        try:
            write_rows((row for _, row in found), file)
        except UnknownPlugin:
            raise Misuse(
                "no installed house reads logs; try: pip install llmrouter-plugin-ope @ --from-log"
            ) from None
        tell(repairs)
        yield file


def tell(repairs: Repairs) -> None:
    """Say what was repaired, and warn of what was left out."""
    for sentence in repairs.sentences():
        (warn if DROPPED in sentence else say)(printable(sentence))
