"""Virtual keys: random, shown once, and kept as their SHA-256 only.

A slow hash such as scrypt protects what people choose, because there are few such words to try. A
token here has 256 random bits: trying them is hopeless at any speed, so a fast hash gives nothing
away, and it costs a microsecond a request where a slow one would cost 100 ms and be a lever to
stall the server. A salt would forbid the look-up by digest and protects only against tables of
likely values, of which there are none.
"""

from __future__ import annotations

import hashlib
import re
import secrets

PREFIX = "lr-"
"""What every token begins with, so that scanners of leaked secrets can find it."""

_BYTES = 32
_SHAPE = re.compile(r"lr-[A-Za-z0-9_-]{43}")


def issue() -> str:
    """Return a new token: `lr-` and 32 random bytes."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def well_formed(token: str) -> bool:
    """Return whether *token* could be one of ours; nothing else is looked up."""
    return _SHAPE.fullmatch(token) is not None


def digest(token: str) -> bytes:
    """Return the 32 bytes by which *token* is kept and found."""
    return hashlib.sha256(token.encode()).digest()
