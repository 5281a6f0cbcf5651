"""Tokens: what a tokenizer knows, and what it makes of a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from llmrouter_core.errors import ArtefactError

from llmrouter_plugin_static.wordpiece import WordPiece

Read: TypeAlias = Callable[[str], Sequence[int]]

_SPECIAL = re.compile(r"\[[A-Za-z]+[0-9]*\]")  # [CLS], [unused7]: in no text


def reader(tokenizer: str) -> Read:
    """Return the function that gives the tokens of a text, without any around it.

    WordPiece is read here; any other kind takes the `tokenizers` library.

    Args:
        tokenizer: The content of a `tokenizer.json`.

    Raises:
        ArtefactError: It is of another kind, and the library is not installed.
    """
    wordpiece = WordPiece.of(json.loads(tokenizer))
    return wordpiece or _other(tokenizer)[0]


def words(tokenizer: str) -> tuple[str, list[str]]:
    """Return the tokenizer to use with a table, and the text of each of its tokens.

    A WordPiece loses what no text holds, such as `[CLS]`, and is numbered anew. A token of
    another kind that is in no text has the text `""`.

    Raises:
        ArtefactError: See `reader`.
    """
    content: dict[str, Any] = json.loads(tokenizer)
    wordpiece = WordPiece.of(content)
    if wordpiece is None:
        return tokenizer, _other(tokenizer)[1]
    ordered = sorted(wordpiece.vocabulary, key=wordpiece.vocabulary.__getitem__)
    kept = [token for token in ordered if not _SPECIAL.fullmatch(token)]
    model: Mapping[str, Any] = content["model"]
    slim = {
        "model": {**model, "vocab": {token: number for number, token in enumerate(kept)}},
        "normalizer": content["normalizer"],
        "pre_tokenizer": content["pre_tokenizer"],
    }
    texts = [token.removeprefix(wordpiece.prefix) or token for token in kept]
    return json.dumps(slim, ensure_ascii=False, separators=(",", ":")), texts


def _other(tokenizer: str) -> tuple[Read, list[str]]:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ArtefactError(
            "the tokenizer of the table is no WordPiece and takes the tokenizers library; "
            "run: pip install 'llmrouter-plugin-static[tokenizers]'"
        ) from None
    found = Tokenizer.from_str(tokenizer)
    found.no_padding()
    found.no_truncation()

    def read(text: str) -> Sequence[int]:
        valid = text.encode("utf-8", "replace").decode("utf-8")
        return list(found.encode(valid, add_special_tokens=False).ids)

    size = max(found.get_vocab().values(), default=-1) + 1
    return read, [found.decode([token]).strip() for token in range(size)]
