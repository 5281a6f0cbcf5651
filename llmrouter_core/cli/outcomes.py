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
from llmrouter_core.errors import BrokenPlugin, DatasetError, UnknownPlugin
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


def foreign(
    name: str, source: Path, repairs: Repairs, skip_bad: bool
) -> Iterator[tuple[int, Any]]:
    """Yield what the reader called *name* makes of *source*, numbered from 1.

    Raises:
        DatasetError: The source cannot be read, or rows had to be left out that may not be.
    """
    from llmrouter_core.catalogue import discover, find

    entry = find(discover(), "dataset", name)
    read = entry.load()
    if not callable(read):
        raise BrokenPlugin(f"{entry} is not a function; its entry point names {entry.value}")
    try:
        for number, row in enumerate(read(source, repairs), start=1):
            _refuse_dropped(source, repairs, skip_bad)
            yield number, row
    except OSError as error:
        raise DatasetError(f"{source}: cannot be read: {error.strerror or error}") from None
    _refuse_dropped(source, repairs, skip_bad)


def _refuse_dropped(source: Path, repairs: Repairs, skip_bad: bool) -> None:
    if not skip_bad and repairs.total(DROPPED):
        [what] = [line for line in repairs.sentences() if DROPPED in line][:1]
        raise DatasetError(f"{source}: {what.partition(DROPPED)[2]}; to go on: --skip-bad")


def tell(repairs: Repairs) -> None:
    """Say what was repaired, and warn of what was left out."""
    for sentence in repairs.sentences():
        (warn if DROPPED in sentence else say)(printable(sentence))
