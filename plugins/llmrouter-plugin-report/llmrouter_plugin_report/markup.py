"""HTML and SVG as text that is escaped unless it says that it is markup."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"br", "meta"})


class Markup(str):
    """Text that is markup already; any other text is escaped on its way into a tag."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """Return an element that is well-formed in HTML and in XML.

    Args:
        name: Name of the element.
        children: What it holds; None is left out.
        attributes: Its attributes: `class_` is `class` and `stroke_width` is `stroke-width`;
            None is left out.
    """
    found = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{found}/>")
    return Markup(f"<{name}{found}>{join(*children)}</{name}>")


def join(*children: str | None) -> Markup:
    """Return *children* one after the other, escaped where they are no markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child, quote=False)
            for child in children
            if child is not None
        )
    )


def _written(value: object) -> str:
    """Return *value* as an attribute holds it: a coordinate with one digit is exact enough."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
