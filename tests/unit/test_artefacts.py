"""Artefacts: equal bytes, equal decisions in another process, and no damage goes unseen."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_plugin_hashing import HashingEmbedder
from llmrouter_plugin_knn import KnnScorer
from llmrouter_plugin_price import PriceScorer
from llmrouter_plugin_utility import UtilitySelector

from llmrouter_core import (
    ArtefactDamaged,
    ArtefactError,
    ArtefactMismatch,
    Dataset,
    LLMRouter,
    Model,
    NotFitted,
    Query,
    Secret,
    hookimpl,
)
from llmrouter_core.artefacts import _seal, _text, options

POOL = {
    "small": {"size": 1.0, "price": {"input": 0.1, "output": 0.2}},
    "large": {"size": 9.0, "price": {"input": 2.0, "output": 6.0}},
}
CONFIG: dict[str, Any] = {
    "model": POOL,
    "embedder": {"use": "hashing", "dimensions": 16},
    "scorer": {"quality": {"use": "knn", "k": 3}, "cost": {"use": "price"}},
    "selector": "utility",
    "caller": {"default": {"use": "openai", "api_key": {"env": "SECRET_OF_THE_TEST"}}},
}
QUERIES = ["Prove it", "Fry an egg", "Integrate x", "Bake a cake"]


def outcomes() -> Dataset:
    rng = np.random.default_rng(0)
    quality = rng.random((12, 2))
    lengths = rng.integers(1, 99, (12, 2)).astype(float)
    quality[3, 0] = lengths[3, 0] = np.nan
    return Dataset(
        queries=tuple(Query(text=f"{QUERIES[i % 4]} {i}") for i in range(12)),
        models=("small", "large"),
        quality=quality,
        output_tokens=lengths,
    )


@pytest.fixture(scope="module")
def fitted() -> LLMRouter:
    return LLMRouter(CONFIG).fit(outcomes())


@pytest.fixture
def saved(tmp_path: Path, fitted: LLMRouter) -> Path:
    fitted.save(tmp_path / "saved")
    return tmp_path / "saved"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def told(router: LLMRouter) -> list[Any]:
    return [decision.explain() for decision in router.decide_all(QUERIES)]


# ---------------------------------------------------------------------------- there and back


def test_another_process_decides_the_same(saved: Path, fitted: LLMRouter) -> None:
    """Equal to the last bit, also through a config that names the folder."""
    script = (
        "import json, sys\nfrom llmrouter_core import LLMRouter\n"
        "config, folder, queries = map(json.loads, sys.argv[1:])\n"
        "config['router'] = {'artefacts': folder}\n"
        "decisions = LLMRouter(config).decide_all(queries)\n"
        "print(json.dumps([decision.explain() for decision in decisions]))"
    )

    found = python(script, json.dumps(CONFIG), json.dumps(str(saved)), json.dumps(QUERIES))

    assert json.loads(found) == told(fitted)
    loaded = LLMRouter(CONFIG).load(saved)
    assert [d.scores for d in loaded.decide_all(QUERIES)] == [
        d.scores for d in fitted.decide_all(QUERIES)
    ]


def test_saving_again_gives_equal_bytes(saved: Path, fitted: LLMRouter, tmp_path: Path) -> None:
    """From the fitted router, from the loaded one, and over what is there."""
    before = contents(saved)

    fitted.save(saved)
    LLMRouter(CONFIG).load(saved).save(tmp_path / "again")

    assert contents(saved) == contents(tmp_path / "again") == before
    assert sorted(before) == [
        f"scorer.{name}/{file}"
        for name in ("cost", "quality")
        for file in ("arrays.npz", "manifest.json")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "saved"]


def test_another_process_saves_equal_bytes(saved: Path, tmp_path: Path) -> None:
    """Whatever the hash seed, when it learns from the same outcomes."""
    outcomes().write(tmp_path / "outcomes.jsonl")
    script = (
        "import json, sys\nfrom llmrouter_core import Dataset, LLMRouter\n"
        "router = LLMRouter(json.loads(sys.argv[1])).fit(Dataset.read(sys.argv[2]))\n"
        "router.save(sys.argv[3])"
    )

    for name in ("one", "two"):
        python(script, json.dumps(CONFIG), str(tmp_path / "outcomes.jsonl"), str(tmp_path / name))

    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    read = LLMRouter(CONFIG).load(tmp_path / "one")
    assert told(read) == told(LLMRouter(CONFIG).load(saved))


def test_no_secret_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the value of a variable nor a literal, wherever it stands."""
    monkeypatch.setenv("SECRET_OF_THE_TEST", "hunter2hunter2")

    @define(eq=False, kw_only=True)
    class Private:
        key: Secret
        more: Any = None

        @hookimpl
        def embed(self, queries: Any) -> Any:
            return np.ones((len(queries), 4), np.float32)

    part = Private(key=Secret("hunter2hunter2"), more={"a": [Secret(env="X"), {3, 1}, Path("p")]})

    assert options(part) == {"key": "•••", "more": {"a": [{"env": "X"}, [1, 3], "p"]}}
    LLMRouter(CONFIG).fit(outcomes()).save(tmp_path / "saved")
    everything = b"".join(contents(tmp_path / "saved").values())
    assert b"hunter2" not in everything
    assert b"Fry an egg" not in everything


def test_options_that_are_tables_or_choices_are_written_as_a_config_writes_them() -> None:
    """What `show` prints and a manifest keeps means the same when it is read again."""

    class Pace(Enum):
        SLOW = "slow"

    @define(kw_only=True)
    class Inner:
        name: str = "kept"
        key: Secret = field(factory=lambda: Secret(env="X"))

    @define(eq=False, kw_only=True)
    class Outer:
        name: str = "left out"
        pace: Pace = Pace.SLOW
        inner: Inner = field(factory=Inner)

    assert options(Outer()) == {"pace": "slow", "inner": {"name": "kept", "key": {"env": "X"}}}


def test_nothing_learned_is_nothing_to_save(tmp_path: Path) -> None:
    """And nothing is left behind by the attempt."""
    with pytest.raises(NotFitted, match="has not been trained"):
        LLMRouter(CONFIG).save(tmp_path / "saved")

    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------- damage


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_always_caught(tmp_path_factory: Any, data: st.DataObject) -> None:
    """In every region of every file: archive, names, numbers, manifest."""
    folder, base, router = whole(tmp_path_factory)
    name = data.draw(st.sampled_from(sorted(base)))
    place = data.draw(st.integers(0, len(base[name]) - 1))
    damaged = bytearray(base[name])
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    (folder / name).write_bytes(damaged)

    try:
        with pytest.raises(ArtefactError):
            router.load(folder)
    finally:
        (folder / name).write_bytes(base[name])


_whole: list[Any] = []


def whole(tmp_path_factory: Any) -> Any:
    """Return one small artefact, its bytes and a router it fits, made once."""
    if not _whole:
        folder = tmp_path_factory.mktemp("whole") / "saved"
        LLMRouter(CONFIG).fit(outcomes()).save(folder)
        _whole.append((folder, contents(folder), LLMRouter(CONFIG)))
    return _whole[0]


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_file_that_is_cut_or_gone_is_named(saved: Path, name, keep) -> None:
    """With what to do about it."""
    path = saved / "scorer.quality" / name
    path.write_bytes(path.read_bytes()[:keep])

    if (name, keep) != ("manifest.json", -1):  # its last byte is a line's end
        with pytest.raises(ArtefactDamaged, match=rf"{path}: .*train again"):
            LLMRouter(CONFIG).load(saved)

    path.unlink()
    with pytest.raises(ArtefactDamaged, match=rf"{path}: cannot be read: No such file.*train"):
        LLMRouter(CONFIG).load(saved)


def rewrite(
    folder: Path,
    change: Callable[[dict[str, Any]], Any] = lambda manifest: None,
    content: bytes | None = None,
) -> None:
    """Change manifest and archive as someone would who knows how they are sealed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if content is not None:
        (folder / "arrays.npz").write_bytes(content)
        manifest["sha256"] = hashlib.sha256(content).hexdigest()
    change(manifest)
    manifest["seal"] = _seal(manifest)
    (folder / "manifest.json").write_bytes(_text(manifest))


def declare(**arrays: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["arrays"].update(arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (declare(points={"dtype": "<f4", "shape": [12, 17]}), "its manifest declares"),
        (declare(points={"dtype": "<f4", "shape": [16, 12]}), "has 'points' otherwise"),
        (declare(points={"dtype": "<i4", "shape": [12, 16]}), "has 'points' otherwise"),
        (declare(points={"dtype": "<f4", "shape": [10**9, 10**9]}), "its manifest declares"),
        (declare(points={"dtype": "<f4", "shape": [-1, 16]}), "declares 'points' with shape"),
        (declare(points={"dtype": "<f4", "shape": ["12", 16]}), "in a way that cannot be read"),
        (declare(points={"dtype": "|O", "shape": [12, 16]}), "declares 'points' as"),
        (declare(points={"dtype": "f4,O", "shape": [12, 16]}), "declares 'points' as"),
        (declare(points={"dtype": "<f3", "shape": [12, 16]}), "in a way that cannot be read"),
        (declare(points=3), "in a way that cannot be read"),
        (declare(extra={"dtype": "<f4", "shape": [0]}), "holds other arrays"),
        (lambda manifest: manifest["arrays"].pop("ids"), "holds other arrays"),
        (lambda manifest: manifest.update(arrays=[]), "cannot be read"),
        (lambda manifest: manifest.pop("models"), "does not say what it was learned for"),
        (lambda manifest: manifest.update(embedder=[1]), "does not say what it was learned for"),
        (lambda manifest: manifest["embedder"].update(probe="x" * 16), "does not say"),
    ],
)
def test_a_manifest_that_lies_is_refused(saved: Path, change, message) -> None:
    """Even one that is sealed again."""
    rewrite(saved / "scorer.quality", change)

    with pytest.raises(ArtefactDamaged, match=message):
        LLMRouter(CONFIG).load(saved)


def npz(arrays: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def header(shape: tuple[int, ...], content: bytes) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue() + content


BOMB = {"dtype": "<f4", "shape": [1 << 26]}  # 256 MiB of zeros, 256 KiB packed
FEW = {"dtype": "<f4", "shape": [100]}


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (lambda: npz({"x": header((1 << 26,), bytes(1 << 28))}, zipfile.ZIP_DEFLATED), BOMB),
        (lambda: npz({"x": header((100,), bytes(1 << 26))}, zipfile.ZIP_DEFLATED), FEW),
        (lambda: npz({"x": header((1 << 40,), bytes(400))}), FEW),
        (lambda: npz({"x": header((100,), bytes(399))}), FEW),
        (lambda: npz({"x": npy(np.array([print], object), allow_pickle=True)}), FEW),
        (lambda: npz({"x": b"\x93NUMPY\x09\x00" + bytes(500)}), FEW),
        (lambda: npz({"x": bytes(500)}), FEW),
        (lambda: b"PK\x03\x04" + bytes(500), FEW),
        (lambda: bytes(500), FEW),
    ],
    ids=["bomb", "packed", "huge header", "short", "object", "version", "zeros", "torn", "no zip"],
)
def test_a_hostile_archive_is_refused_in_bounded_memory(saved: Path, content, declared) -> None:
    """Sealed and hashed as it should be; nothing is unpacked, allocated or run."""
    made = content()
    rewrite(saved / "scorer.quality", lambda m: m.update(arrays={"x": declared}), made)
    router = LLMRouter(CONFIG)

    tracemalloc.start()
    with pytest.raises(ArtefactDamaged, match=r"arrays\.npz: .*train again"):
        router.load(saved)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1 << 22


# ---------------------------------------------------------------------------- made for others


def load(changes: dict[str, Any], folder: Path) -> str:
    with pytest.raises(ArtefactMismatch) as caught:
        LLMRouter({**CONFIG, **changes}).load(folder)
    return str(caught.value)


def test_another_embedder_is_refused_naming_both(saved: Path) -> None:
    """Other dimensions, or the same dimensions computed otherwise."""
    message = load({"embedder": {"use": "hashing", "dimensions": 32}}, saved)
    assert "learned with embedder hashing(dimensions=16" in message
    assert "but the config has hashing(dimensions=32" in message
    assert "learned with" in load(
        {"embedder": {"use": "hashing", "dimensions": 16, "longest": 20}}, saved
    )


@define(eq=False, kw_only=True)
class Ones:
    """Another embedder of the same length."""

    @hookimpl
    def embed(self, queries: Any) -> Any:
        return np.full((len(queries), 16), 0.25, np.float32)


@define(eq=False, kw_only=True)
class RoundedEmbedder:
    """A hashing embedder whose rows are turned by noise of this length."""

    noise: float = 0.0

    @hookimpl
    def embed(self, queries: Any) -> Any:
        rows = HashingEmbedder(dimensions=384).embed(queries)
        away = np.random.default_rng(0).normal(scale=self.noise / 384**0.5, size=384)
        return (rows + away.astype(np.float32)) / np.float32((1 + self.noise**2) ** 0.5)


def test_an_embedder_may_round_otherwise_and_not_mean_otherwise(tmp_path: Path) -> None:
    """Other processors compute a quantised encoder a little otherwise; other weights, much."""
    models = [Model(name="small"), Model(name="large")]

    def composed(noise: float) -> LLMRouter:
        parts = [RoundedEmbedder(noise=noise), KnnScorer(), UtilitySelector(tradeoff=0.0)]
        return LLMRouter(models=models, parts=parts)

    composed(0.0).fit(outcomes()).save(tmp_path / "saved")

    composed(0.03).load(tmp_path / "saved").decide("Bake a cake")
    with pytest.raises(ArtefactMismatch, match="was learned with embedder rounded"):
        composed(0.3).load(tmp_path / "saved")


def test_another_class_of_embedder_is_refused_naming_both(saved: Path) -> None:
    """Even one that embeds into as many dimensions."""
    router = LLMRouter(CONFIG)
    exchanged = router._with({"embedder.embedder": Ones()})
    parts = tuple(
        evolve(part, entry=None) if part.kind == "embedder" else part
        for part in exchanged.config.parts
    )
    exchanged._build(evolve(exchanged.config, parts=parts))

    with pytest.raises(ArtefactMismatch, match=r"embedder hashing\(.*but the config has ones\("):
        exchanged.load(saved)


def test_an_unknown_model_is_refused_naming_both(saved: Path) -> None:
    """A smaller pool, or one in another order, is fine."""
    message = load({"model": {**POOL, "new": {"size": 3.0}}}, saved)

    assert "knows the models small, large, but the pool also has new" in message
    LLMRouter({**CONFIG, "model": {"large": POOL["large"]}}).load(saved).decide("?")
    swapped = LLMRouter({**CONFIG, "model": dict(reversed(POOL.items()))}).load(saved)
    quality = swapped.decide(QUERIES[0]).scores["quality"].values
    same = LLMRouter(CONFIG).load(saved).decide(QUERIES[0]).scores["quality"].values
    np.testing.assert_array_equal(quality, same[::-1])


def test_another_part_of_that_name_is_refused_naming_both(saved: Path) -> None:
    """What knn learned is nothing to price."""
    shutil.rmtree(saved / "scorer.cost")
    shutil.copytree(saved / "scorer.quality", saved / "scorer.cost")

    assert "learned by 'knn', but scorer.cost uses 'price'" in load({}, saved)


def test_another_format_is_refused_naming_both(saved: Path) -> None:
    """Older and newer LLMRouters say so, and a list is no manifest."""
    rewrite(saved / "scorer.quality", lambda manifest: manifest.update(format=2))
    assert "has format 2, this LLMRouter reads format 1" in load({}, saved)

    (saved / "scorer.quality" / "manifest.json").write_text("[]")
    assert "has format None" in load({}, saved)


def test_state_a_part_cannot_use_names_the_part(saved: Path) -> None:
    """A part of another version may keep other arrays."""
    rewrite(saved / "scorer.quality", lambda m: m.update(arrays={}), npz({}))

    assert "scorer 'quality' (llmrouter-plugin-knn" in load({}, saved)


@define(eq=False, kw_only=True)
class Keeps:
    """Keeps whatever it is given."""

    kept: Any = field(default=None)

    @hookimpl
    def select(self, queries: Any, models: Any) -> Any:
        return np.tile(np.arange(len(models)), (len(queries), 1))

    @hookimpl
    def call(self) -> Any:
        return lambda request: None

    def fit(self, dataset: Any) -> Any:
        return self

    def state(self) -> Any:
        return self.kept

    def restore(self, state: Any) -> Any:
        return Keeps(kept=dict(state))


def keeper(kept: Any) -> LLMRouter:
    models = LLMRouter(CONFIG).models
    return LLMRouter(models=models, parts=[Keeps(kept=kept)])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([print], object), "dtype object; state is arrays of numbers or of text"),
        (np.array([b"x"]), r"dtype \|S1"),
        (np.array([1 + 1j]), "dtype complex128"),
        (np.array([np.inf]), "with infinite numbers"),
    ],
)
def test_state_is_arrays_of_numbers_or_text(tmp_path: Path, array, message) -> None:
    """The part is named, and nothing is written."""
    with pytest.raises(ArtefactError, match=rf"\(Keeps\) has state 'x' .*{message}|{message}"):
        keeper({"x": array}).save(tmp_path / "saved")

    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_array_comes_back_as_it_was(tmp_path: Path) -> None:
    """Scalars, empty ones, other byte orders, text beyond ASCII, Fortran order."""
    kept = {
        "scalar": np.float64(0.1),
        "empty": np.zeros((0, 3), np.int8),
        "flags": np.array([True]),
        "big": np.arange(3, dtype=">i4"),
        "text": np.array(["ä", "日本", ""]),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "gaps": np.array([np.nan]),
    }
    keeper(kept).save(tmp_path / "saved")

    found = keeper(None).load(tmp_path / "saved").config.parts[0].plugin.kept

    assert set(found) == set(kept)
    for name, array in kept.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.writeable


# ---------------------------------------------------------------------------- whose folder


@pytest.mark.parametrize("kind", ["file", "folder with a file", "folder of folders", "extensions"])
def test_what_others_wrote_is_not_replaced(tmp_path: Path, fitted: LLMRouter, kind) -> None:
    """A browser extension has a manifest.json too."""
    folder = tmp_path / "mine"
    if kind == "file":
        folder.write_text("precious")
    else:
        inner = folder / ("notes" if kind != "folder with a file" else "")
        inner.mkdir(parents=True)
        (inner / ("manifest.json" if kind == "extensions" else "a.txt")).write_text("precious")
        (inner / "b.txt").write_text("precious")
    before = contents(tmp_path)

    with pytest.raises(ArtefactError, match="is not a folder of artefacts, so it is not replaced"):
        fitted.save(folder)

    assert contents(tmp_path) == before


def test_a_place_that_cannot_be_written_says_why(tmp_path: Path, fitted: LLMRouter) -> None:
    """With the folder and a next step."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ArtefactError, match=r"cannot be written: .*choose another folder"):
        fitted.save(tmp_path / "file" / "saved")


def test_a_rename_that_fails_leaves_the_old_one(
    saved: Path, fitted: LLMRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is put back, and nothing else is left."""
    before, rename = contents(saved), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if Path(target) == saved and not self.name.endswith("-old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArtefactError, match="No space left"):
        fitted.save(saved)

    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def test_a_crash_between_the_renames_loses_nothing(saved: Path, tmp_path: Path) -> None:
    """Old and new stand beside the place under hidden names, whole; saving again repairs it."""
    outcomes().write(tmp_path / "outcomes.jsonl")
    script = (
        "import json, os, pathlib, sys\nfrom llmrouter_core import Dataset, LLMRouter\n"
        "rename, seen = pathlib.Path.rename, []\n"
        "def crash(self, target):\n"
        "    seen.append(target)\n"
        "    return rename(self, target) if len(seen) == 1 else os._exit(0)\n"
        "pathlib.Path.rename = crash\n"
        "LLMRouter(json.loads(sys.argv[1])).fit(Dataset.read(sys.argv[2])).save(sys.argv[3])"
    )
    python(script, json.dumps(CONFIG), str(tmp_path / "outcomes.jsonl"), str(saved))

    left = [path for path in tmp_path.iterdir() if path.name.startswith(".saved-")]

    assert not saved.exists()
    assert len(left) == 2
    for folder in left:
        LLMRouter(CONFIG).load(folder).decide("?")
    LLMRouter(CONFIG).fit(outcomes()).save(saved)
    LLMRouter(CONFIG).load(saved).decide("?")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_the_folder_stays_a_link(saved: Path, fitted: LLMRouter) -> None:
    """What it points to is replaced."""
    link = saved.with_name("link")
    link.symlink_to(saved)

    fitted.save(link)

    assert link.is_symlink()
    LLMRouter(CONFIG).load(link).decide("?")


def test_composed_and_configured_routers_share_artefacts(saved: Path) -> None:
    """The same classes are the same parts, whether a config or Python put them together."""
    composed = LLMRouter(
        models=[Model(name=name, size=card["size"]) for name, card in POOL.items()],
        parts=[HashingEmbedder(dimensions=16), KnnScorer(k=3), PriceScorer(), UtilitySelector()],
    ).load(saved)
    configured = LLMRouter(CONFIG).load(saved)

    for query in QUERIES:
        np.testing.assert_array_equal(
            composed.decide(query).scores["quality"].values,
            configured.decide(query).scores["quality"].values,
        )


def test_a_part_that_reads_no_embedding_does_not_mind_another_embedder(tmp_path: Path) -> None:
    """Prices learned beside one embedder serve beside any other."""
    bare = {**CONFIG, "scorer": {"cost": {"use": "price"}}}
    LLMRouter(CONFIG).fit(outcomes()).save(tmp_path / "saved")
    manifest = json.loads((tmp_path / "saved/scorer.cost/manifest.json").read_text())

    assert manifest["embedder"] is None
    LLMRouter({**bare, "embedder": {"use": "hashing", "dimensions": 32}}).load(tmp_path / "saved")
