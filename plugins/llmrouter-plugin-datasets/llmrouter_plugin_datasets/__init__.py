"""Read the outcome files of other projects, and say what had to be repaired."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_datasets.guess import shape_of


def read(path: Path, repairs: Repairs) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of a file or folder, whichever of the known shapes it has.

    Raises:
        DatasetError: It has none of them, or it is a pickle.
    """
    name = shape_of(path)
    repairs.note(f"read as {name}")
    yield from import_module(f"llmrouter_plugin_datasets.{name}").read(path, repairs)
