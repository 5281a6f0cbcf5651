"""From an encoder to a table, in Python and by `llmrouter distill`."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llmrouter_plugin_static.command
import numpy as np
import pytest
from click.testing import CliRunner, Result
from llmrouter_core import Floats, Query
from llmrouter_core.cli.group import llmrouter
from llmrouter_core.errors import ArtefactDamaged, ArtefactError, ArtefactMismatch
from llmrouter_plugin_static import StaticEmbedder
from llmrouter_plugin_static.distilling import STEPS, distill
from llmrouter_plugin_static.table import Table

WORDS = ["river", "lake", "##s", "sum", "of", "!"]
TOKENIZER = json.dumps(
    {
        "model": {
            "type": "WordPiece",
            "vocab": {
                token: number
                for number, token in enumerate(["[PAD]", "[unused0]", "[CLS]", *WORDS, "é"])
            },
        },
        "normalizer": {"type": "BertNormalizer"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }
)


class Imagined:
    """An encoder with six random numbers for each text, which notes the texts."""

    def __init__(self, width: int = 6) -> None:
        self.width, self.asked = width, list[str]()

    def embed(self, queries: Sequence[Query]) -> Floats:
        self.asked += [query.text for query in queries]
        rows = [
            np.random.default_rng(list(query.text.encode())).normal(size=self.width)
            for query in queries
        ]
        return np.array(rows, np.float32).reshape(len(rows), self.width)


def vectors(table: Table) -> Floats:
    return table.scales[:, None] * table.rows


def test_the_angles_between_tokens_are_kept() -> None:
    """All components, weights that do not differ: the encoder's vectors around their mean."""
    encoder, moved = Imagined(), list[float]()
    table = distill(encoder, TOKENIZER, dimensions=6, smoothing=1e9, progress=moved.append)

    expected = Imagined().embed([Query(text=word) for word in [*WORDS[:2], "s", *WORDS[3:], "é"]])
    expected = expected - expected.mean(axis=0)
    assert encoder.asked[1:] == [*WORDS[:2], "s", *WORDS[3:], "é"]  # no [CLS], no [unused0]
    np.testing.assert_allclose(
        vectors(table) @ vectors(table).T, expected @ expected.T, atol=0.5 * expected.std()
    )
    assert np.abs(table.rows).max(axis=1).tolist() == [STEPS] * 7
    assert table.about["variance_kept"] == 1.0
    assert moved[-1] == 1.0


def test_fewer_dimensions_keep_what_varies_most() -> None:
    """The first of the components, which are sorted by how much they vary."""
    whole = distill(Imagined(), TOKENIZER, dimensions=6, smoothing=1e9)
    part = distill(Imagined(), TOKENIZER, dimensions=2, smoothing=1e9)

    variances = vectors(whole).var(axis=0)
    assert variances[:2].min() > variances[2:].max()
    np.testing.assert_allclose(vectors(part), vectors(whole)[:, :2], atol=0.4)
    assert 0.3 < part.about["variance_kept"] < 1


def test_frequent_tokens_weigh_less() -> None:
    """By a / (a + p): counted in texts where there are some, else by rank."""
    plain = distill(Imagined(), TOKENIZER, dimensions=3, smoothing=1e12)
    texts = ["Rivers of lakes!", "sum of rivers"]  # river 2, lake 1, s 3, sum 1, of 2, ! 1
    counted = distill(Imagined(), TOKENIZER, dimensions=3, smoothing=0.1, texts=texts)
    ranked = distill(Imagined(), TOKENIZER, dimensions=3, smoothing=0.1)

    shares = np.array([2, 1, 3, 1, 2, 1, 0]) / 10
    np.testing.assert_allclose(counted.scales / plain.scales, 0.1 / (0.1 + shares), rtol=1e-5)
    zipf = 1 / np.array([3, 4, 5, 6, 7, 8, 9])  # é, the last, is a rare character anyway
    np.testing.assert_allclose(
        ranked.scales / plain.scales, 0.1 / (0.1 + zipf / zipf.sum()), rtol=1e-5
    )
    assert (counted.about["frequencies"], ranked.about["frequencies"]) == ("texts", "rank")


def test_a_written_table_embeds(tmp_path: Path) -> None:
    """As the weighted mean of its vectors; equal tables are equal bytes."""
    table = distill(Imagined(), TOKENIZER, dimensions=4, about={"source": "imagined"})
    for name in ("one", "two"):
        table.write(tmp_path / name)
    table.write(tmp_path / "one")  # a table may be replaced

    [row] = StaticEmbedder(table=tmp_path / "one").embed([Query(text="Rivers, sum: [CLS]")])
    mean = vectors(table)[[0, 2, 3]].sum(axis=0)
    np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    again = Table.read(tmp_path / "one")
    assert again.about == table.about
    np.testing.assert_array_equal(again.rows, table.rows)


@pytest.mark.parametrize("dimensions", [0, 7])
def test_dimensions_beyond_the_encoders_are_refused(dimensions: int) -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match=f"between 1 and the encoder's 6: {dimensions}"):
        distill(Imagined(), TOKENIZER, dimensions=dimensions)


def test_an_encoder_that_says_nothing_is_refused() -> None:
    """A table of zeros would embed nothing."""
    encoder = Imagined()
    encoder.embed = lambda queries: np.zeros((len(queries), 6), np.float32)  # type: ignore

    with pytest.raises(ValueError, match="gives no two tokens a vector"):
        distill(encoder, TOKENIZER, dimensions=2)


def unigram() -> str:
    """Return another kind of tokenizer, as multilingual encoders have it."""
    tokenizers = pytest.importorskip("tokenizers")
    pieces = [("<unk>", 0.0), ("▁river", -1.0), ("▁lake", -2.0), ("s", -3.0), ("▁", -9.0)]
    found = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    found.decoder = tokenizers.decoders.Metaspace()
    text: str = found.to_str()
    return text


def test_other_tokenizers_take_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read by it, and refused in a sentence without it."""
    text, encoder = unigram(), Imagined()
    table = distill(encoder, text, dimensions=2)
    table.write(tmp_path / "table")
    embedder = StaticEmbedder(table=tmp_path / "table")
    one, other = embedder.embed([Query(text="lakes\ud800"), Query(text="river")])

    assert {"river", "lake", "s"} < set(encoder.asked)
    np.testing.assert_allclose(np.linalg.norm([one, other], axis=1), 1, atol=1e-5)
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(
        ArtefactError, match=r"pip install 'llmrouter-plugin-static\[tokenizers\]'"
    ):
        StaticEmbedder(table=tmp_path / "table").embed([Query(text="river")])


# ---------------------------------------------------------------------------- what is refused


def test_a_folder_with_something_else_is_not_replaced(tmp_path: Path) -> None:
    """Whatever it is may be precious."""
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ArtefactError, match="it is not replaced; name another folder"):
        distill(Imagined(), TOKENIZER, dimensions=2).write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def forged(folder: Path, **changes: Any) -> Path:
    """Write a table and change its manifest."""
    distill(Imagined(), TOKENIZER, dimensions=2).write(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"format": 9}, ArtefactMismatch, "is no table of format 1"),
        ({"sha256": None}, ArtefactDamaged, "does not have the sha256 its manifest states"),
        ({"dimensions": 3}, ArtefactDamaged, "it holds int8 (7, 2), not int8 (7, 3)"),
        ({"tokens": 1 << 40}, ArtefactDamaged, "it would hold 1099511627776 x 2 numbers"),
        ({"tokens": "many"}, ArtefactDamaged, "arrays.npz: is not a table"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """In a sentence with a next step."""
    with pytest.raises(error) as caught:
        Table.read(forged(tmp_path / "it", **changes))

    assert reason in str(caught.value)
    assert "llmrouter distill" in str(caught.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    """Even where the hash is right."""
    folder = forged(tmp_path / "it")
    np.savez(folder / "arrays.npz", rows=np.array([print]), scales=np.zeros(1, np.float32))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["arrays.npz"] = hashlib.sha256(
        (folder / "arrays.npz").read_bytes()
    ).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(ArtefactDamaged, match="allow_pickle=False"):
        Table.read(folder)


# ---------------------------------------------------------------------------- the command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs the command on an imagined encoder."""
    monkeypatch.setattr(
        llmrouter_plugin_static.command,
        "_encoder",
        lambda source: (Imagined(), TOKENIZER, source),
    )
    return lambda *words: CliRunner().invoke(llmrouter, ["distill", *map(str, words)])


def test_the_command_writes_a_table(command: Callable[..., Result], tmp_path: Path) -> None:
    """It prints what was made to stdout, and says to stderr how to use it."""
    (tmp_path / "texts").write_text("river river\nlake", encoding="utf-8")
    out, options = tmp_path / "out", ("--dimensions", 3, "--licence", "MIT", "--json")
    run = command("some/encoder", out, *options, "--texts", tmp_path / "texts")

    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert (found["source"], found["licence"], found["tokens"]) == ("some/encoder", "MIT", 7)
    assert found["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    assert f'use it: [embedder] use = "static", table = "{out}"' in run.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["dimensions"], manifest["frequencies"]) == (3, "texts")
    assert manifest["source"] == "some/encoder"
    shown = command("some/encoder", out, "--dimensions", 3)
    assert "that of the source" in shown.stdout


def test_the_command_refuses_in_a_sentence(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More dimensions than there are, and an encoder that cannot be read."""
    wide = command("some/encoder", tmp_path / "out", "--dimensions", 99)
    assert (wide.exit_code, wide.stdout) == (2, "")
    assert "between 1 and the encoder's 6: 99" in wide.stderr
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "llmrouter_plugin_minilm", None)
    alone = command("some/encoder", tmp_path / "out")
    assert alone.exit_code == 2
    assert "pip install 'llmrouter-plugin-static[distill]'" in alone.stderr
