"""Which project wrote a file, told by its columns."""

from pathlib import Path

from llmrouter_core import DatasetError
from llmrouter_core.outcomes import Repairs

from llmrouter_plugin_datasets import folder
from llmrouter_plugin_datasets.sources import files, header, json_rows

_KEYS = {
    "routing": {"model_name", "performance"},
    "gmtrouter": {"judge", "conversation"},
}


def shape_of(path: Path) -> str:
    """Return the name of the module that reads *path*.

    Raises:
        DatasetError: No module does, or it is a pickle.
    """
    if folder.is_one(path) or folder.is_one(path.parent):
        return "folder"
    for file in files(path, ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".json"):
        names = set(header(file)) if ".csv" in file.suffixes else _first_keys(file)
        if any("|" in name for name in names):
            return "routerbench"
        if names & {"global_index", "global index"}:
            return "routerarena"
        for shape, keys in _KEYS.items():
            if keys <= names:
                return shape
        if "prompt" in names and ".csv" in file.suffixes:
            return "routellm"
    raise DatasetError(
        f"{path}: is of no known shape; name a reader: --from llmrouter, routerbench, routellm, "
        "routerarena, gmtrouter or outcomes-folder"
    )


def _first_keys(file: Path) -> set[str]:
    for _, row in json_rows(file, Repairs()):
        return set(row)
    return set()
