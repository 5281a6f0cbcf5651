"""The caller of OpenAI's chat completions."""

from __future__ import annotations

from typing import ClassVar

from attrs import define, field
from llmrouter_core import Model, Request

from llmrouter_plugin_openai.calling import HttpCaller, Message
from llmrouter_plugin_openai.completion import CompletionReply
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.options import bare, web_address
from llmrouter_plugin_openai.pool import read_pool
from llmrouter_plugin_openai.reading import Clock
from llmrouter_plugin_openai.sending import body_of
from llmrouter_plugin_openai.transport import Response

BASE_URL = "https://openrouter.ai/api/v1"


@define(eq=False, kw_only=True)
class OpenaiCaller(HttpCaller):
    """Ask models through `POST {base_url}/chat/completions`.

    Attributes:
        name: Name of the caller's table; models whose `caller` is another are left alone.
        base_url: Where the provider is, up to `/v1`; the key is sent nowhere else.
        api_key: The provider's key; None where a local server needs none.
        api_keys: Several keys of the provider instead, which take turns.
        headers: Further headers, such as `HTTP-Referer`.
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

    path: ClassVar[str] = "/chat/completions"

    base_url: str = field(default=BASE_URL, converter=bare, validator=web_address)

    def pool(self) -> tuple[Model, ...]:
        """Return well-known models of the default provider, for configs that list none.

        Behind another `base_url` the pool is empty: nobody knows what is served there.
        """
        return read_pool(self.name) if self.base_url == BASE_URL else ()

    def message(self, place: Place, model: Model, request: Request) -> Message:
        """Return the body of a chat completion."""
        return Message(body_of(place, model, request.payload, stream=self.stream))

    def reply(self, response: Response, clock: Clock, model: Model) -> CompletionReply:
        """Return the reader of a chat completion."""
        return CompletionReply(response, clock, idle=self.idle, largest=self.largest_response)

    def authorised(self, key: str) -> tuple[str, str]:
        """Return the header of a bearer."""
        return "Authorization", f"Bearer {key}"
