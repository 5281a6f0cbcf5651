"""What a folder holds that sentence-transformers saved: configuration, no weights yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from llmrouter_core.errors import ConfigError

from llmrouter_plugin_minilm.locating import PLACE

_KNOWN = {"Transformer", "Pooling", "Normalize"}
_POOLINGS = {  # as the pooling's own file calls them
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean",  # of another length, and lengths become one
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean",
    "cls": "cls",
    "max": "max",
}


@frozen(kw_only=True)
class Layout:
    """An encoder on disk.

    Attributes:
        folder: Where it is.
        config: Shape of the network.
        pooling: How the vectors of the tokens become one: `mean`, `cls` or `max`.
        tokens: The most tokens it should read, the two around the text included.
        weights: Its weights, if they are those of a BERT.
        onnx: Its graph, where there are no such weights.
        tokenizer: Its tokenizer.
    """

    folder: Path
    config: Mapping[str, Any]
    pooling: str
    tokens: int
    weights: Path | None
    onnx: Path | None
    tokenizer: Path

    @classmethod
    def read(cls, folder: Path) -> Layout:
        """Return what *folder* holds.

        Raises:
            ConfigError: A file is missing or damaged, or the encoder is of a kind not read here.
        """
        config = _table(folder / "config.json")
        weights = folder / "model.safetensors"
        graphs = [folder / "model.onnx", folder / "onnx/model.onnx"]
        bert = config.get("model_type") == "bert" and weights.is_file()
        onnx = None if bert else next((path for path in graphs if path.is_file()), None)
        if not bert and onnx is None:
            raise _fault(
                folder,
                "holds neither model.safetensors of a BERT nor model.onnx; "
                "export it to ONNX, or name another encoder",
            )
        if not (folder / "tokenizer.json").is_file():
            raise _fault(folder, "has no tokenizer.json; save its fast tokenizer there")
        return cls(
            folder=folder,
            config=config,
            pooling=_pooling(folder),
            tokens=_tokens(folder, config),
            weights=weights if bert else None,
            onnx=onnx,
            tokenizer=folder / "tokenizer.json",
        )


def _pooling(folder: Path) -> str:
    steps = _json(folder / "modules.json", [])
    kinds = {str(step.get("type", "")).rpartition(".")[2] for step in steps}
    if strange := sorted(kinds - _KNOWN):
        raise _fault(folder, f"has a step {strange[0]} that is not read; name another encoder")
    found = _table(folder / "1_Pooling/config.json", {"pooling_mode": "mean"})
    modes = [name for name, on in found.items() if name.startswith("pooling_mode_") and on is True]
    modes = modes or [str(found.get("pooling_mode"))]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise _fault(
            folder, f"pools by {' and '.join(modes)}; read are mean, cls and max: name another"
        )
    return _POOLINGS[modes[0]]


def _tokens(folder: Path, config: Mapping[str, Any]) -> int:
    stated = [
        _table(folder / "sentence_bert_config.json", {}).get("max_seq_length"),
        _table(folder / "tokenizer_config.json", {}).get("model_max_length"),
        512,
    ]
    wanted = next(n for n in stated if isinstance(n, int) and n < 1 << 20)  # "none" is 10^30
    positions = config.get("max_position_embeddings")
    return min(wanted, positions) if isinstance(positions, int) else wanted


def _table(path: Path, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    found = _json(path, default)
    if not isinstance(found, dict):
        raise _fault(path, "is not a JSON object; save the encoder again")
    return found


def _json(path: Path, default: Any = None) -> Any:
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise _fault(path, f"cannot be read ({reason}); save the encoder again") from None


def _fault(path: Path, reason: str) -> ConfigError:
    return ConfigError(PLACE, [f"{path}: {reason}"])
