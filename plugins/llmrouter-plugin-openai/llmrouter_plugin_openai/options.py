"""What the options of the caller may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, validators

positive = validators.and_(validators.gt(0.0), validators.lt(float("inf")))


def bare(url: str) -> str:
    """Return *url* without slashes at its end."""
    return url.rstrip("/")


def web_address(_: object, attribute: Attribute[str], url: str) -> None:
    """Refuse what is no plain http or https URL."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ValueError(f"'{attribute.name}' is a URL that starts with http:// or https://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"'{attribute.name}' ends with its path; a key belongs into api_key")


def sendable(_: object, attribute: Attribute[Any], headers: Mapping[str, str]) -> None:
    """Refuse headers that HTTP cannot send, and a key where it would be shown."""
    for name, value in headers.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not fits_header(value):
            raise ValueError(f"'{attribute.name}' holds a name or value that HTTP cannot send")
        if name.lower() == "authorization":
            raise ValueError(f"'{attribute.name}' is no place for a key; set api_key instead")


def fits_header(value: str) -> bool:
    """Return whether *value* may stand in a header."""
    return value.isascii() and value.isprintable()


def instead_of_one(caller: Any, attribute: Attribute[Any], keys: Sequence[object]) -> None:
    """Refuse several keys beside a single one, and a key that is listed twice."""
    if keys and caller.api_key is not None:
        raise ValueError(f"'{attribute.name}' stands instead of 'api_key'; remove one of them")
    if len(set(keys)) != len(keys):
        raise ValueError(f"'{attribute.name}' lists a key twice")
