"""What was learned, on disk: `arrays.npz` and `manifest.json` for each part that learns.

Core alone writes and reads these files. They hold numbers and text, never code: loading cannot
run anything (`allow_pickle=False`). They carry no time stamp, so saving twice gives equal bytes.
Every file is checked against the manifest's hash and sizes before it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import operator
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import numpy as np

from llmrouter_core.catalogue import titled
from llmrouter_core.errors import ArtefactDamaged, ArtefactError, ArtefactMismatch
from llmrouter_core.secret import Secret
from llmrouter_core.training import Trainable
from llmrouter_core.types import Arrays, Query

if TYPE_CHECKING:
    from llmrouter_core.config import Part
    from llmrouter_core.pipeline import Pipeline

FORMAT = 1
LARGEST = 8 << 30
"""Bytes of the largest set of arrays that is read."""

_NEAR = 0.03
"""How far two sums of a probe may differ: 8-bit arithmetic was measured to move them by 0.017, and
weights that turn the embedding to a cosine of 0.98 move one by 0.056 at least."""

_PROBE = "How many prime numbers are there below 100? Cite [1], use `code`."
_FILES = {"arrays.npz", "manifest.json"}
_NUMBERS = "biufU"  # bool, ints, floats, text of fixed width
_DTYPE = re.compile(rf"[<>|=][{_NUMBERS}][0-9]{{1,9}}")


def options(plugin: Any) -> dict[str, Any]:
    """Return the options of *plugin* as plain data; a secret only by the variable's name."""
    return {name: value for name, value in _fields(plugin).items() if name != "name"}


def _fields(value: Any) -> dict[str, Any]:
    items = attrs.fields(type(value)) if attrs.has(type(value)) else ()
    return {item.alias: _plain(getattr(value, item.name)) for item in items if item.init}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return {"env": value.env} if value.env else "•••"
    if attrs.has(type(value)):
        kind, name = titled(type(value))
        return {"use": name, **options(value)} if kind else _fields(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if value is None or isinstance(value, str | int | float):
        return value
    return type(value).__name__


def fingerprint(pipeline: Pipeline) -> dict[str, Any] | None:
    """Return what identifies the embedder, or None where no scorer reads embeddings.

    Besides its name and options it holds the sums of sixteen stretches of the embedding of a fixed
    text, so that an embedder whose weights changed is recognised as another one.
    """
    if not pipeline.wants_embeddings:
        return None
    [embedding] = pipeline.embed([Query(text=_PROBE)])
    embedder = next((part for part in pipeline.parts if part.kind == "embedder"), None)
    return {
        "use": None if embedder is None else _use(embedder),
        "options": {} if embedder is None else options(embedder.plugin),
        "dimensions": len(embedding),
        "probe": [round(float(part.sum()), 4) for part in np.array_split(embedding, 16)],
    }


def _use(part: Part) -> str:
    return titled(type(part.plugin))[1] if part.entry is None else part.entry.name


# ---------------------------------------------------------------------------- saving


def save(folder: str | Path, pipeline: Pipeline) -> None:
    """Write what each part of *pipeline* has learned into *folder*, replacing it whole.

    The folder is written beside its place and then renamed. Whatever fails leaves the old one; a
    crash between two renames leaves old and new, whole, under hidden names beside that place.

    Raises:
        ArtefactError: A part's state is not made of arrays of numbers or text, or the folder
            holds something else.
    """
    folder = Path(folder).resolve()
    refuse_strangers(folder)
    embedder = fingerprint(pipeline)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            for part in pipeline.parts:
                if isinstance(part.plugin, Trainable):
                    _write(fresh / part.place, part, pipeline, embedder)
            old = fresh.with_name(fresh.name + "-old")
            if folder.exists():
                folder.rename(old)
            try:
                fresh.rename(folder)
            except BaseException:
                if old.exists():
                    old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise ArtefactError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another folder"
        ) from error


def refuse_strangers(folder: Path) -> None:
    """Refuse to replace anything that `save` did not write.

    Raises:
        ArtefactError: *folder* holds something else.
    """
    if not folder.exists():
        return
    ours = folder.is_dir() and all(
        inner.is_dir() and {file.name for file in inner.iterdir()} == _FILES
        for inner in folder.iterdir()
    )
    if not ours:
        raise ArtefactError(
            f"{folder}: is not a folder of artefacts, so it is not replaced; name another folder"
        )


def _write(folder: Path, part: Part, pipeline: Pipeline, embedder: dict[str, Any] | None) -> None:
    arrays = {
        name: np.asarray(array, order="C") for name, array in sorted(part.plugin.state().items())
    }
    for name, array in arrays.items():
        if array.dtype.kind not in _NUMBERS:
            raise ArtefactError(
                f"{part.label} has state '{name}' of dtype {array.dtype}; "
                "state is arrays of numbers or of text"
            )
        if array.dtype.kind == "f" and np.isinf(array).any():
            raise ArtefactError(f"{part.label} has state '{name}' with infinite numbers")
    content = _pack(arrays)
    manifest = {
        "format": FORMAT,
        "part": part.place,
        "use": _use(part),
        "distribution": None if part.entry is None else part.entry.distribution,
        "version": None if part.entry is None else part.entry.version,
        "options": options(part.plugin),
        "models": [model.name for model in pipeline.models],
        "embedder": embedder if pipeline.reads_embeddings(part) else None,
        "arrays": {
            name: {"dtype": array.dtype.str, "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    folder.mkdir()
    _flush(folder / "arrays.npz", content)
    _flush(folder / "manifest.json", _text({**manifest, "seal": _seal(manifest)}))


def _text(manifest: Mapping[str, Any]) -> bytes:
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True)
    return (text + "\n").encode("utf-8", "backslashreplace")


def _seal(manifest: Mapping[str, Any]) -> str:
    """Return the hash of all of *manifest* but its seal: whether it is as it was written."""
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(_text(rest)).hexdigest()


def _pack(arrays: Arrays) -> bytes:
    """Return *arrays* as an npz whose bytes depend on nothing but them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def _flush(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# ---------------------------------------------------------------------------- loading


def load(folder: str | Path, pipeline: Pipeline) -> dict[str, Any]:
    """Return a restored plugin for each part of *pipeline* that learns, by the part's place.

    Raises:
        ArtefactDamaged: A file is missing or is not what its manifest says.
        ArtefactMismatch: It was made for another part, embedder or pool; both sides are named.
    """
    folder = Path(folder)
    learners = [part for part in pipeline.parts if isinstance(part.plugin, Trainable)]
    embedder = fingerprint(pipeline) if learners else None
    restored = {}
    for part in learners:
        inner = folder / part.place
        manifest = _manifest(inner)
        try:
            _match(inner, manifest, part, pipeline.models, embedder)
        except (AttributeError, KeyError, TypeError, ValueError):
            _damaged(inner / "manifest.json", "does not say what it was learned for")
        arrays = _unpack(inner, manifest)
        try:
            restored[part.place] = part.plugin.restore(arrays)
        except Exception as error:
            raise ArtefactMismatch(
                f"{inner}: {part.label} cannot use it ({type(error).__name__}: {error}); "
                "train again: llmrouter train"
            ) from error
    return restored


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        content = path.read_bytes() if path.stat().st_size < 1 << 24 else b""
        manifest = json.loads(content)
    except OSError as error:
        raise ArtefactDamaged(
            f"{path}: cannot be read: {error.strerror}; train first: llmrouter train"
        ) from None
    except (ValueError, RecursionError):
        _damaged(path, "is not JSON")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ArtefactMismatch(
            f"{path}: has format {found!r}, this LLMRouter reads format {FORMAT}; train again"
        )
    if manifest.get("seal") != _seal(manifest):
        _damaged(path, "is not as it was written")
    return manifest


def _match(
    folder: Path,
    manifest: Mapping[str, Any],
    part: Part,
    pool: Sequence[Any],
    embedder: dict[str, Any] | None,
) -> None:
    """Refuse an artefact made for something else, naming both sides."""
    theirs, ours = manifest.get("use"), _use(part)
    if theirs != ours:
        raise ArtefactMismatch(
            f"{folder}: was learned by '{theirs}', but {part.place} uses '{ours}'; train again"
        )
    unknown = [model.name for model in pool if model.name not in manifest["models"]]
    if unknown:
        raise ArtefactMismatch(
            f"{folder}: knows the models {', '.join(manifest['models'])}, but the pool also has "
            f"{', '.join(unknown)}; train again, or take them out of the pool"
        )
    made = manifest.get("embedder")
    if made is None or embedder is None:
        return
    same = (
        made.get("use") == embedder["use"]
        and made.get("dimensions") == embedder["dimensions"]
        and len(made.get("probe", ())) == len(embedder["probe"])
        and np.allclose(made["probe"], embedder["probe"], rtol=0, atol=_NEAR)
    )
    if not same:
        raise ArtefactMismatch(
            f"{folder}: was learned with embedder {_describe(made)}, "
            f"but the config has {_describe(embedder)}; train again, or restore that embedder"
        )


def _describe(embedder: Mapping[str, Any]) -> str:
    settings = {"dimensions": embedder.get("dimensions"), **(embedder.get("options") or {})}
    listed = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{embedder.get('use')}({listed})"


def _unpack(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of *folder*, having checked hash and declared sizes before reading."""
    path = folder / "arrays.npz"
    declared: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    try:
        for name, entry in manifest["arrays"].items():
            if not _DTYPE.fullmatch(entry["dtype"]):
                _damaged(folder / "manifest.json", f"declares '{name}' as {entry['dtype']!r:.40}")
            shape = tuple(operator.index(side) for side in entry["shape"])
            if min(shape, default=0) < 0:
                _damaged(folder / "manifest.json", f"declares '{name}' with shape {shape}")
            declared[name] = np.dtype(entry["dtype"]), shape
    except (AttributeError, TypeError, KeyError, ValueError):
        _damaged(folder / "manifest.json", "declares arrays in a way that cannot be read")
    expected = sum(_bytes(dtype, shape) for dtype, shape in declared.values())
    try:
        size = path.stat().st_size
        if not expected <= size <= min(LARGEST, expected + 4096 * (len(declared) + 1)):
            _damaged(path, f"has {size} bytes, but its manifest declares {expected} of numbers")
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactDamaged(f"{path}: cannot be read: {error.strerror}; train again") from None
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        _damaged(path, "does not have the sha256 its manifest states; it was changed or cut short")
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if set(members) != {f"{name}.npy" for name in declared}:
                _damaged(path, "holds other arrays than its manifest declares")
            for name, (dtype, shape) in declared.items():
                info = members[f"{name}.npy"]
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                    _damaged(path, f"has '{name}' compressed or encrypted, which is never written")
                with archive.open(info) as member:
                    # The header is believed only where it agrees: reading allocates what it says.
                    version = np.lib.format.read_magic(member)
                    header = np.lib.format.read_array_header_1_0(member)
                    if version != (1, 0) or header != (shape, False, dtype):
                        _damaged(path, f"has '{name}' otherwise than its manifest declares")
                    member.seek(0)
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        _damaged(path, f"is not a readable archive ({type(error).__name__})")
    return arrays


def _bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    count = dtype.itemsize
    for side in shape:
        count *= side
    return count


def _damaged(path: Path, fault: str) -> NoReturn:
    raise ArtefactDamaged(f"{path}: {fault}; train again: llmrouter train")
