"""Chat payloads that remember which other request they were translated from."""

from collections.abc import Mapping
from typing import Any


class Translated(dict[str, Any]):
    """A chat payload, and the request of another protocol that it says the same as.

    A caller that speaks that protocol itself may send the request as it was. Whoever changes a
    payload makes a new dictionary of it, which remembers nothing, so the two never differ.

    Attributes:
        protocol: What the request is written in, such as `messages`.
        body: The request, whole.
    """

    __slots__ = ("body", "protocol")

    def __init__(self, fields: Mapping[str, Any], *, protocol: str, body: Mapping[str, Any]):
        super().__init__(fields)
        self.protocol = protocol
        self.body = body
