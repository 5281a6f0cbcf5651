"""What a page is made of, whatever it is written as."""

from __future__ import annotations

from attrs import frozen

from llmrouter_plugin_report.markup import Markup


@frozen
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        picture: The same as a drawing, shown beside the text where drawings can be shown.
    """

    text: str
    picture: Markup | None = None


@frozen(kw_only=True)
class Table:
    """Rows of text, each headed by its first cell.

    Attributes:
        caption: What the table shows.
        heads: One heading per column.
        rows: The cells.
        words: Columns that hold words, beside the first; the others hold numbers.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    words: frozenset[int] = frozenset()


@frozen
class Items:
    """A list of short sentences."""

    texts: tuple[str, ...]


@frozen
class Heading:
    """What the next blocks are about, within a section."""

    text: str


@frozen
class Picture:
    """A drawing; pages without drawings leave it out."""

    markup: Markup


Block = str | Table | Items | Heading | Picture
"""A paragraph, or one of the others."""


@frozen(kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its id.
        title: Its heading.
        blocks: What stands in it.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


def words(cell: Cell | str) -> str:
    """Return the text of a cell."""
    return cell.text if isinstance(cell, Cell) else cell
