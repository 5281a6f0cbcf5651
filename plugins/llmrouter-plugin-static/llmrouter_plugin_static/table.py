"""A table of token vectors, in memory and on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from attrs import field, frozen
from llmrouter_core.errors import ArtefactDamaged, ArtefactError, ArtefactMismatch
from numpy.typing import NDArray

FORMAT = 1
FILES = ("arrays.npz", "manifest.json", "tokenizer.json")
_BROKEN = (OSError, EOFError, zipfile.BadZipFile, zlib.error)
_LARGEST = 1 << 31  # numbers of the largest table that is read


@frozen(kw_only=True, eq=False)
class Table:
    """Vectors of tokens: row t is `scales[t] * rows[t]`, its weight in a mean included.

    Attributes:
        rows: int8 (v, d).
        scales: float32 (v,).
        tokenizer: The content of a `tokenizer.json` that gives numbers below v.
        about: Where it comes from, as plain data.
    """

    rows: NDArray[np.int8]
    scales: NDArray[np.float32]
    tokenizer: str
    about: Mapping[str, Any] = field(factory=dict)

    def write(self, folder: Path) -> None:
        """Write the table into *folder*, replacing one that is there; equal tables, equal bytes.

        Raises:
            ArtefactError: The folder holds something else, or cannot be written.
        """
        folder = Path(os.path.abspath(folder))
        if folder.exists() and not (
            folder.is_dir() and {path.name for path in folder.iterdir()} <= set(FILES)
        ):
            raise ArtefactError(
                f"{folder}: holds something else than a table, so it is not replaced; "
                "name another folder"
            )
        packed = io.BytesIO()
        # Columns of one kind of number stand together, which packs a tenth smaller.
        np.savez_compressed(packed, rows=np.asfortranarray(self.rows), scales=self.scales)
        contents = {"arrays.npz": packed.getvalue(), "tokenizer.json": self.tokenizer.encode()}
        manifest = {
            "format": FORMAT,
            **self.about,
            "tokens": len(self.rows),
            "dimensions": self.rows.shape[1],
            "sha256": {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()},
        }
        contents["manifest.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                fresh.chmod(0o755)
                for name, content in contents.items():
                    (fresh / name).write_bytes(content)
                shutil.rmtree(folder, ignore_errors=True)
                fresh.rename(folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        except OSError as error:
            raise ArtefactError(
                f"{folder}: cannot be written: {error.strerror or error}; choose another folder"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> Table:
        """Return the table in *folder*, each file checked against its hash before it is used.

        Raises:
            ArtefactDamaged: A file is missing, or is not what the manifest says.
            ArtefactMismatch: It is of a format that is not read here.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            contents = {name: (folder / name).read_bytes() for name in FILES}
        except OSError as error:
            _damaged(Path(error.filename or folder), f"cannot be read: {error.strerror}")
        except (ValueError, RecursionError):
            _damaged(folder / "manifest.json", "is not JSON")
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ArtefactMismatch(
                f"{folder / 'manifest.json'}: is no table of format {FORMAT}; "
                "make one: llmrouter distill"
            )
        for name in ("arrays.npz", "tokenizer.json"):
            sums = manifest.get("sha256")
            wanted = sums.get(name) if isinstance(sums, dict) else None
            if hashlib.sha256(contents[name]).hexdigest() != wanted:
                _damaged(folder / name, "does not have the sha256 its manifest states")
        try:
            shape = (int(manifest["tokens"]), int(manifest["dimensions"]))
            if not 0 < shape[0] * shape[1] <= _LARGEST:
                raise ValueError(f"it would hold {shape[0]} x {shape[1]} numbers")
            with np.load(io.BytesIO(contents["arrays.npz"]), allow_pickle=False) as arrays:
                rows, scales = arrays["rows"], arrays["scales"]
            if (rows.shape, rows.dtype, scales.shape, scales.dtype) != (
                *(shape, np.dtype(np.int8)),
                *(shape[:1], np.dtype(np.float32)),
            ):
                raise ValueError(f"it holds {rows.dtype} {rows.shape}, not int8 {shape}")
            tokenizer = contents["tokenizer.json"].decode()
        except (*_BROKEN, KeyError, TypeError, ValueError) as error:
            _damaged(folder / "arrays.npz", f"is not a table ({error})")
        extra = {"format", "tokens", "dimensions", "sha256"}
        return cls(
            rows=np.ascontiguousarray(rows),
            scales=scales,
            tokenizer=tokenizer,
            about={name: value for name, value in manifest.items() if name not in extra},
        )


def _damaged(path: Path, fault: str) -> NoReturn:
    raise ArtefactDamaged(f"{path}: {fault}; make the table again: llmrouter distill")
