"""The page as Markdown, without its drawings."""

from __future__ import annotations

import re

from llmrouter_plugin_report.content import Block, Heading, Items, Picture, Section, Table, words
from llmrouter_plugin_report.document import Document

_SPECIAL = re.compile(r"([\\`*_\[\]|#~$])")


def markdown(found: Document) -> str:
    """Return *found* as Markdown with tables."""
    blocks = [f"# {escaped(found.title)}", escaped(found.under)]
    for name, one in found.verdicts:
        headline = f"**{escaped(one.headline)}.**"
        blocks.append(headline if len(found.verdicts) == 1 else f"{escaped(name)}: {headline}")
        blocks.append(escaped(" ".join(one.sentences)))
    for section in found.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return *text* so that Markdown, and the HTML it allows, show it as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _section(section: Section) -> list[str]:
    found = [f"## {escaped(section.title)}"]
    return found + [text for text in map(_block, section.blocks) if text]


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Items(texts):
            return "\n".join(f"- {escaped(text)}" for text in texts)
        case Heading(text):
            return f"### {escaped(text)}"
        case Picture():
            return ""
        case str():
            return escaped(block)


def _table(table: Table) -> str:
    lines = [
        [escaped(head) for head in table.heads],
        [
            "---" if column == 0 or column in table.words else "---:"
            for column in range(len(table.heads))
        ],
        *([escaped(words(cell)) for cell in row] for row in table.rows),
    ]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{escaped(table.caption)}:\n\n{rows}"
