"""The tokenizer: BERT's, in plain Python."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_plugin_static import wordpiece
from llmrouter_plugin_static.wordpiece import WordPiece

SHIPPED = Path(__file__).parents[1] / "llmrouter_plugin_static/table/tokenizer.json"
VOCABULARY = [
    "un",
    "##aff",
    "##able",
    "##a",
    "want",
    "!",
    "-",
    "naive",
    "σας",
    "σασ",
    "中",
    "[",
    "]",
]


def read(text: str, **options: Any) -> list[str]:
    found = WordPiece({token: number for number, token in enumerate(VOCABULARY)}, **options)
    return [VOCABULARY[number] for number in found(text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("unaffable", ["un", "##aff", "##able"]),  # the example of the original code
        ("unaffaffa", ["un", "##aff", "##aff", "##a"]),
        ("unx want", ["want"]),  # no token for the rest: none for the word
        ("UN-WANT!", ["un", "-", "want", "!"]),
        ("  want\n\twant ", ["want", "want"]),
        ("na\u00efve nai\u0308ve", ["naive", "naive"]),
        ("ΣΑΣ", ["σασ"]),  # no final sigma
        ("want中want", ["want", "中", "want"]),
        ("wa\u00adnt w\u200bant w\ufffdant w\ue000ant", ["want"] * 4),  # not to be seen
        ("want\ud800", ["want"]),
        ("want\x0cwant", ["want", "want"]),  # a new page
        ("[un]", ["[", "un", "]"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_tokens(text: str, tokens: list[str]) -> None:
    """Longest match first, after BERT's normalisation."""
    assert read(text) == tokens


def test_options_are_those_of_the_file() -> None:
    """Case, accents, control characters, ideographs, and the longest word."""
    assert read("UN want", lower=False) == ["want"]
    assert read("naïve", bare=False) == []
    assert read("want中", apart=False) == []
    assert read("w\u200bant", clean=False) == []
    assert read("want un", longest=3) == ["un"]


@cache
def both() -> tuple[Any, Any, int]:
    """Return the library's reader of the table in the package, ours, and the unknown token."""
    tokenizers = pytest.importorskip("tokenizers")
    content = json.loads(SHIPPED.read_text(encoding="utf-8"))
    unknown = len(content["model"]["vocab"])
    ours = WordPiece.of(content)
    content["model"]["vocab"] = {**content["model"]["vocab"], "[UNK]": unknown}
    return tokenizers.Tokenizer.from_str(json.dumps(content)), ours, unknown


WORDS = ["The", "unbelievable", "GPT-4o", "naïve", "don't", "x_i", "ΣΊΣΥΦΟΣ", "Straße", "日本語"]
ODD = "\x00\x07\x7f\u00a0\u00ad\u200b\u200d\u2028\u3000\ufeff\ufffd\ue000"
LETTERS = st.characters(
    min_codepoint=33, max_codepoint=0x5FF, categories=("L", "N", "P", "S", "M")
)
PIECES = st.one_of(
    st.sampled_from([*WORDS, " ", " ", "\n", "\t", "```", "🙂", "👍🏽", "한국어", "𝒳", "ﬁ", "İ"]),
    st.sampled_from(list(ODD)),
    st.text(LETTERS, max_size=6),
    st.text(st.sampled_from("abcdefgh123.,"), max_size=30),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_tokens_are_those_of_the_library(text: str) -> None:
    """Of `tokenizers`, on any mixture of words and odd characters."""
    library, ours, unknown = both()
    expected = [token for token in library.encode(text).ids if token != unknown]

    assert ours(text) == expected


def test_words_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frequent word is cut once; whatever is sent, the memory is bounded."""
    monkeypatch.setattr(wordpiece, "_REMEMBERED", 4)
    found = WordPiece({"a": 0, "##b": 1})
    found("a ab " + "c" * 65)
    assert found._known == {"a": [0], "ab": [0, 1]}

    found("b c d e a f g a")
    assert set(found._known) == {"g", "a"}  # full after f
    assert found("a ab") == [0, 0, 1]


def test_another_tokenizer_is_not_taken_for_one() -> None:
    """Nor a WordPiece that is prepared otherwise."""
    content = json.loads(SHIPPED.read_text(encoding="utf-8"))

    assert WordPiece.of({"model": {"type": "BPE"}}) is None
    assert WordPiece.of({**content, "normalizer": {"type": "NFC"}}) is None
    assert WordPiece.of({**content, "pre_tokenizer": None}) is None
