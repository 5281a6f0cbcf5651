"""The whole gateway as one ASGI application: `build(router, options, routes=…)`.

A house that has pages of its own passes them as `routes`; `llmrouter_plugin_server.serving` runs
what is built. `GET /v1/stats` has the totals a dashboard shows:

    {"since": unix seconds, "requests": n, "errors": {status: n}, "in_flight": n, "waiting": n,
     "cost": dollars, "cost_largest": dollars, "fallbacks": n, "router_failures": n,
     "models": {name: {"answers", "failures", "cost", "input_tokens", "output_tokens"}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmrouter_core import LLMRouter

from llmrouter_plugin_server import pages
from llmrouter_plugin_server.gateway import HOLDER, Endpoint, Gateway, Route
from llmrouter_plugin_server.settings import ServerOptions
from llmrouter_plugin_server.tongues import Chat, foreign

if TYPE_CHECKING:
    from llmrouter_plugin_server.keeping import Keeper

__all__ = ["HOLDER", "Gateway", "Route", "ServerOptions", "build"]

_GET = ("GET", "HEAD")
_POST = ("POST",)


def build(
    router: LLMRouter,
    options: ServerOptions | None = None,
    *,
    routes: Sequence[Route] = (),
    keeper: Keeper | None = None,
) -> Gateway:
    """Return the gateway of *router*, an ASGI application.

    Args:
        router: The router; the gateway opens and closes it.
        options: What the server is told; by default, to let nobody in.
        routes: Pages of other houses.
        keeper: Who knows the keys; None lets nobody in, or everybody if `options.insecure`.

    Raises:
        ConfigError: An option does not fit the router.
    """
    return Gateway(router, options or ServerOptions(), _endpoints(), routes, keeper)


def _endpoints() -> Mapping[str, Endpoint]:
    found = {
        "/healthz": Endpoint(_GET, pages.healthz, open=True),
        "/readyz": Endpoint(_GET, pages.readyz, open=True),
        "/metrics": Endpoint(_GET, pages.metrics),
        "/openapi.json": Endpoint(_GET, pages.described),
        "/v1/stats": Endpoint(_GET, pages.stats),
        "/v1/models": Endpoint(_GET, pages.models),
        "/v1/models/*": Endpoint(_GET, pages.models),
        "/v1/route": Endpoint(_POST, pages.route),
        "/v1/feedback": Endpoint(_POST, pages.feedback),
        "/v1/embeddings": Endpoint(_POST, pages.embeddings),
        "/v1/chat/completions": Endpoint(_POST, read=Chat),
    }
    for path, protocol in _PROTOCOLS.items():
        read, shape = foreign(protocol)
        found[path] = Endpoint(_POST, read=read, shape=shape)
    found["/v1/messages/count_tokens"] = Endpoint(
        _POST, pages.count_tokens, shape=found["/v1/messages"].shape
    )
    return found


_PROTOCOLS = {
    "/v1/completions": "completions",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
}
