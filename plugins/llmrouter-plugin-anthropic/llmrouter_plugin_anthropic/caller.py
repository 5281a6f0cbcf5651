"""The caller of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import Attribute, define, field, validators
from llmrouter_core import Model, Request
from llmrouter_plugin_openai.calling import HttpCaller, Message
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.options import bare, sendable, web_address
from llmrouter_plugin_openai.reading import Clock
from llmrouter_plugin_openai.transport import Response

from llmrouter_plugin_anthropic.asking import asked_of
from llmrouter_plugin_anthropic.reply import MessageReply

BASE_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"


def _keyless(_: object, attribute: Attribute[Any], headers: Mapping[str, str]) -> None:
    """Refuse a key where it would be shown."""
    if any(name.lower() == "x-api-key" for name in headers):
        raise ValueError(f"'{attribute.name}' is no place for a key; set api_key instead")


@define(eq=False, kw_only=True)
class AnthropicCaller(HttpCaller):
    """Ask models through `POST {base_url}/messages`.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        base_url: Where Anthropic is, up to `/v1`; the key is sent nowhere else.
        api_key: The key; None where a local server needs none.
        api_keys: Several keys instead, which take turns.
        headers: Further headers, such as `anthropic-beta`.
        max_tokens: The most tokens of an answer where the payload does not say; Anthropic
            insists on a number.
        deadline: Seconds the whole call may take.
        connect: Seconds until the connection stands.
        first_byte: Seconds until the response begins, connecting included.
        idle: Seconds that may pass within the response without a byte.
        largest_response: Bytes a response may have, compressed or not.
        connections: Connections that may be open at once; further calls wait for one.
        stream: Whether answers are asked for in pieces; a payload that says `stream = false`
            is never streamed.
        transport: What carries the requests, `aiohttp` or `httpx`; None is the best that is
            installed.
    """

    path: ClassVar[str] = "/messages"

    base_url: str = field(default=BASE_URL, converter=bare, validator=web_address)
    headers: Mapping[str, str] = field(
        factory=dict, repr=False, validator=validators.and_(sendable, _keyless)
    )
    max_tokens: int = field(default=8192, validator=validators.gt(0))

    def message(self, place: Place, model: Model, request: Request) -> Message:
        """Return the body of a message, and the version and betas it needs."""
        asked = asked_of(
            place, model, request.payload, stream=self.stream, max_tokens=self.max_tokens
        )
        names = {name.lower(): name for name in self.headers}
        headers = {}
        if "anthropic-version" not in names:
            headers["anthropic-version"] = VERSION
        if asked.betas:
            name = names.get("anthropic-beta", "anthropic-beta")
            ours = [self.headers[name]] if name in self.headers else []
            headers[name] = ",".join([*ours, *asked.betas])
        return Message(asked.body, headers)

    def reply(self, response: Response, clock: Clock, model: Model) -> MessageReply:
        """Return the reader of a message."""
        return MessageReply(response, clock, model, idle=self.idle, largest=self.largest_response)

    def authorised(self, key: str) -> tuple[str, str]:
        """Return the header in which Anthropic wants its key."""
        return "x-api-key", key
