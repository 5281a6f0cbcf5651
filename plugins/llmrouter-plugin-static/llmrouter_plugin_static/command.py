"""`llmrouter distill`: make a table of token vectors from a sentence encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from llmrouter_core.cli.console import (
    Finite,
    Misuse,
    as_json,
    console,
    example,
    grid,
    printable,
    progress,
    say,
)

if TYPE_CHECKING:
    from llmrouter_plugin_static.distilling import Encoder


@click.command(epilog=example("llmrouter distill all-MiniLM-L6-v2 table --dimensions 256"))
@click.argument("source")
@click.argument("out", type=Path)
@click.option(
    "--dimensions",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Length of an embedding.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Count tokens here, one text a line, instead of trusting their order.",
)
@click.option(
    "--smoothing",
    type=Finite(min=0, min_open=True),
    default=0.03,
    show_default=True,
    help="The larger, the more frequent tokens count.",
)
@click.option("--licence", default="", help="What the source's licence is, for the manifest.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
def distill(
    source: str,
    out: Path,
    dimensions: int,
    texts: Path | None,
    smoothing: float,
    licence: str,
    json_: bool,
) -> None:
    """Distil the sentence encoder SOURCE into a table of token vectors in the folder OUT.

    SOURCE is what `model` of the `minilm` embedder takes: a folder, or a name on the hub. The
    table is for `[embedder] use = "static", table = OUT`.
    """
    from llmrouter_plugin_static.distilling import distill as make

    encoder, tokenizer, name = _encoder(source)
    about = {"source": name, "licence": licence or "that of the source"}
    try:
        with progress("distilling") as move:
            table = make(
                encoder,
                tokenizer,
                dimensions=dimensions,
                smoothing=smoothing,
                texts=None if texts is None else _lines(texts),
                about=about,
                progress=move,
            )
    except ValueError as error:
        raise Misuse(str(error)) from None
    table.write(out)
    size = sum(path.stat().st_size for path in out.iterdir())
    found = {
        "table": str(out),
        **about,
        "tokens": len(table.rows),
        "dimensions": dimensions,
        "variance_kept": table.about["variance_kept"],
        "bytes": size,
    }
    if json_:
        as_json(found)
    else:
        shown = grid("table", str(out))
        for key, value in list(found.items())[1:]:
            text = f"{value:,}" if isinstance(value, int) else printable(str(value))
            shown.add_row(key.replace("_", " "), text)
        console().print(shown)
    say(f'use it: [embedder] use = "static", table = "{out}"')


def _encoder(source: str) -> tuple[Encoder, str, str]:
    """Return what embeds, the content of its `tokenizer.json`, and what it is called.

    Raises:
        Misuse: The house that reads encoders is not installed.
        ConfigError: There is no such encoder.
    """
    try:
        from llmrouter_plugin_minilm import MinilmEmbedder
        from llmrouter_plugin_minilm.locating import locate
    except ImportError:
        raise Misuse(
            "reading an encoder takes another plugin; run: pip install "
            "'llmrouter-plugin-static[distill]'"
        ) from None
    folder = locate(source)
    embedder = MinilmEmbedder(model=str(folder), quantise=False)
    embedder.embed([])  # whatever is wrong with the encoder is said now
    name = folder.name if Path(source).expanduser().is_dir() else source
    return embedder, (folder / "tokenizer.json").read_text(encoding="utf-8"), name


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file
