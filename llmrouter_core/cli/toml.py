"""Plain data as TOML: tables of the flat shape a config has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any


def key(name: str) -> str:
    """Return *name* as a TOML key, bare where it can be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else literal(name)


def literal(value: Any) -> str:
    """Return *value* as TOML, on one line.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):  # JSON escapes the same way, but for DEL and lone surrogates
        return json.dumps(value.encode(errors="replace").decode(), ensure_ascii=False).replace(
            "\x7f", "\\u007f"
        )
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key(str(k))} = {literal(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        items = [literal(item) for item in value]
        return f"[{', '.join(sorted(items) if isinstance(value, set | frozenset) else items)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def lines(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table's assignments; what is None is said in a comment, for TOML has no null."""
    for name, value in table.items():
        if value is None:
            yield f"# {key(name)} is not set"
        else:
            yield f"{key(name)} = {literal(_without_none(value))}"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value if item is not None]
    return value
