"""The endpoints beside the answers: what there is, what would be decided, how it goes."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from llmrouter_core import BadRequest, ConfigError, Query

from llmrouter_plugin_server import names
from llmrouter_plugin_server.asking import asking
from llmrouter_plugin_server.faults import refuse
from llmrouter_plugin_server.leaving import Client
from llmrouter_plugin_server.reading import body_of, fields_of
from llmrouter_plugin_server.replies import Receive, Scope, Send, reply, reply_json
from llmrouter_plugin_server.wishes import query_of, wish_of

if TYPE_CHECKING:
    from llmrouter_plugin_server.gateway import Gateway, Head

_OWNER = "llmrouter"
_MOST_INPUTS = 2048
_COMMENT = 2000  # characters


async def healthz(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Say that the process lives."""
    await reply_json(send, {"status": "ok"})


async def readyz(gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head) -> None:
    """Say whether requests are welcome; 503 before the start and from SIGTERM on."""
    ready = gateway.ready
    await reply_json(
        send, {"status": "ready" if ready else "not ready"}, status=200 if ready else 503
    )


async def metrics(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Send what Prometheus reads."""
    _operator(scope)
    gateway.look_at_circuits()
    text, kind = gateway.metrics.page()
    await reply(send, 200, text, kind=(b"content-type", kind))


async def described(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Send the OpenAPI document."""
    from llmrouter_plugin_server.openapi import document

    await reply_json(send, document())


async def stats(gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head) -> None:
    """Send the totals a dashboard shows."""
    _operator(scope)
    await reply_json(send, gateway.metrics.totals())


def _operator(scope: Scope) -> None:
    """Refuse a key with limits: what everybody spends is not its business.

    Raises:
        Refusal: The key has limits.
    """
    holder = scope.get("llmrouter.holder")
    if holder is not None and (holder.limited or holder.models is not None):
        raise refuse(
            403,
            "a key with limits may not see what the whole server does; use one without",
            "not_allowed",
            type="permission_error",
        )


async def models(gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head) -> None:
    """List the virtual models and the pool, or one of them."""
    generation = gateway.generations.now
    holder = scope.get("llmrouter.holder")
    listed = [*generation.virtual]
    listed += [
        name
        for name, model in generation.candidates.items()
        if holder is None or holder.permits(model)
    ]
    found = [
        {"id": name, "object": "model", "created": int(gateway.metrics.since), "owned_by": _OWNER}
        for name in listed
    ]
    wanted = scope["path"].removeprefix("/v1/models").removeprefix("/")
    if not wanted:
        await reply_json(send, {"object": "list", "data": found})
        return
    for one in found:
        if one["id"] == wanted:
            await reply_json(send, one)
            return
    raise refuse(404, f"there is no model '{wanted:.80}'", "model_not_found", param="model")


async def route(gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head) -> None:
    """Decide, and send nothing to any model."""
    body = await body_of(scope, receive, head, gateway.options)
    fields = fields_of(body, gateway.options)
    with gateway.generations.now as generation:
        wish = wish_of(
            fields, head, generation, gateway.options.deadline, scope.get("llmrouter.holder")
        )
        if wish.pinned is not None:
            raise refuse(
                400, "nothing is decided for a pinned model; ask for 'auto'", param="model"
            )
        fields.pop(names.FIELD, None)
        query = query_of(fields.get("query", fields), wish)
        session = asking(generation, gateway.metrics, gateway.options.decision, wish.permit)
        decision = await session.decide(query)
    said = decision.explain()
    del said["query"]
    failed = session.trouble is not None
    await reply_json(send, {"object": "route", "router_failed": failed, **said})


async def feedback(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Keep how good an answer was."""
    body = await body_of(scope, receive, head, gateway.options)
    fields = fields_of(body, gateway.options)
    identifier, reward = fields.get("id"), fields.get("reward")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 64:
        raise refuse(400, "'id' must be the id of an answer", "bad_request", param="id")
    if type(reward) not in (int, float) or not 0 <= reward <= 1:  # type: ignore[operator]
        message = "'reward' must be a number from 0 (bad) to 1 (good)"
        raise refuse(400, message, "bad_request", param="reward")
    entry: dict[str, Any] = {"id": identifier, "reward": reward, "when": time.time()}
    comment = fields.get("comment")
    if comment is not None:
        if not isinstance(comment, str) or len(comment) > _COMMENT:
            message = f"'comment' must be a text of at most {_COMMENT} characters"
            raise refuse(400, message, "bad_request", param="comment")
        entry["comment"] = comment
    if gateway.records is None:
        raise refuse(409, "this server keeps no records; start it with --log", "no_records")
    gateway.records.add(entry, "feedback")
    await reply_json(send, {"object": "feedback", "id": identifier})


async def embeddings(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Embed by the router's own embedder."""
    body = await body_of(scope, receive, head, gateway.options)
    fields = fields_of(body, gateway.options)
    inputs = fields.get("input")
    texts = [inputs] if isinstance(inputs, str) else inputs
    if isinstance(texts, list) and not 0 < len(texts) <= _MOST_INPUTS:
        raise refuse(400, f"'input' has 1 to {_MOST_INPUTS} texts", "bad_request", param="input")
    if not isinstance(texts, list) or not all(isinstance(t, str) and t for t in texts):
        message = "'input' must be a text or a list of texts, none of them empty"
        raise refuse(400, message, "bad_request", param="input")
    shape = fields.get("encoding_format", "float")
    if shape not in ("float", "base64"):
        message = "'encoding_format' is 'float' or 'base64'"
        raise refuse(400, message, "bad_request", param="encoding_format")
    queries = [Query(text=text) for text in texts]
    async with gateway.admission:
        with gateway.generations.now as generation, Client(scope, receive):
            try:
                found = await generation.router.session().embed(queries)
            except ConfigError:
                raise refuse(400, "this router has no embedder", "no_embedder") from None
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
            if shape == "base64"
            else row.tolist(),
        }
        for index, row in enumerate(found)
    ]
    tokens = sum(query.request.input_tokens for query in queries)
    await reply_json(
        send,
        {
            "object": "list",
            "data": rows,
            "model": fields.get("model") or names.AUTO,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
    )


async def count_tokens(
    gateway: Gateway, scope: Scope, receive: Receive, send: Send, head: Head
) -> None:
    """Say roughly how many tokens a request for messages has."""
    from llmrouter_plugin_server.protocols.messages import count_of

    body = await body_of(scope, receive, head, gateway.options)
    fields = fields_of(body, gateway.options)
    try:
        tokens = count_of(fields)
    except BadRequest as error:
        raise refuse(400, str(error), "bad_request") from None
    await reply_json(send, {"input_tokens": tokens})
