"""The page: one HTML file that needs nothing but itself."""

from __future__ import annotations

from importlib.resources import files

from llmrouter_plugin_report.content import (
    Block,
    Cell,
    Heading,
    Items,
    Picture,
    Section,
    Table,
    words,
)
from llmrouter_plugin_report.document import Document
from llmrouter_plugin_report.markup import Markup, join, tag
from llmrouter_plugin_report.words import Sign, Verdict

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser may load for the page: nothing."""


def page(found: Document) -> str:
    """Return *found* as a self-contained HTML page."""
    style = files("llmrouter_plugin_report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", found.title),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the figures", href="#plane", class_="skip"),
        tag(
            "main",
            tag("header", tag("h1", found.title), tag("p", found.under, class_="under")),
            *(_verdict(name, one, len(found.verdicts)) for name, one in found.verdicts),
            *map(_section, found.sections),
        ),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _verdict(name: str, one: Verdict, runs: int) -> Markup:
    kind = {Sign.ABOVE: "better", Sign.BELOW: "worse"}.get(one.quality, "open")
    return tag(
        "section",
        tag("p", name, class_="run") if runs > 1 else None,
        tag("h2", one.headline),
        *(tag("p", sentence) for sentence in one.sentences),
        class_=f"verdict {kind}",
    )


def _section(section: Section) -> Markup:
    title = tag("h2", section.title, id=f"{section.name}-title")
    return tag(
        "section",
        title,
        *map(_block, section.blocks),
        id=section.name,
        aria_labelledby=f"{section.name}-title",
    )


def _block(block: Block) -> Markup:
    match block:
        case Table():
            return _table(block)
        case Items(texts):
            return tag("ul", *(tag("li", text) for text in texts))
        case Heading(text):
            return tag("h3", text)
        case Picture(markup):
            return markup
        case str():
            return tag("p", block)


def _table(table: Table) -> Markup:
    def kind(column: int) -> str | None:
        return None if column and column not in table.words else "words"

    heads = (tag("th", head, scope="col", class_=kind(n)) for n, head in enumerate(table.heads))
    rows = (
        tag(
            "tr",
            *(
                tag("td", _cell(cell), class_=kind(n))
                if n
                else tag("th", words(cell), scope="row")
                for n, cell in enumerate(row)
            ),
        )
        for row in table.rows
    )
    inside = tag(
        "table",
        tag("caption", tag("span", table.caption)),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
    )
    # What scrolls must be reached by the keyboard, and then says what it is.
    return tag("div", inside, class_="scroll", tabindex=0, role="region", aria_label=table.caption)


def _cell(cell: Cell | str) -> Markup:
    if isinstance(cell, Cell) and cell.picture is not None:
        return tag("span", cell.text, cell.picture, class_="drawn")
    return join(words(cell))
