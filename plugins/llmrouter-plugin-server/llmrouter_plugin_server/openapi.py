"""The OpenAPI document of the gateway: what each path takes and gives, as far as it is ours.

Of the protocols only the fields that the gateway itself reads are described; everything else
passes through, and the vendors document it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmrouter_core import __version__

_TEXT = {"type": "string"}
_ANY: dict[str, Any] = {"type": "object"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_NOTE = {
    "type": "object",
    "properties": {
        "tradeoff": {**_SHARE, "description": "0 is quality first, 1 is cost first"},
        "conversation": {**_TEXT, "maxLength": 256},
        "region": {**_TEXT, "maxLength": 64, "description": "Where it may be processed"},
    },
}
_MODEL = {**_TEXT, "description": "auto, auto:cheap, auto:best, or a model of the pool"}
_MESSAGES = {"type": "array", "items": _ANY, "minItems": 1}
_ROUTED = {"model": _MODEL, "llmrouter": _NOTE}
_CHAT = {**_ROUTED, "stream": {"type": "boolean"}, "user": {**_TEXT, "maxLength": 256}}


def _takes(required: Sequence[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": list(required), "properties": dict(fields)}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_BODIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "/v1/chat/completions": (
        "OpenAI's chat completions",
        _takes(["messages"], {**_CHAT, "messages": _MESSAGES}),
    ),
    "/v1/completions": ("OpenAI's completions", _takes(["prompt"], {**_CHAT, "prompt": _TEXT})),
    "/v1/responses": ("OpenAI's responses", _takes(["input"], {**_CHAT, "input": _TEXT})),
    "/v1/messages": (
        "Anthropic's messages",
        _takes(
            ["messages", "max_tokens"],
            {
                **_ROUTED,
                "stream": {"type": "boolean"},
                "messages": _MESSAGES,
                "max_tokens": {"type": "integer", "minimum": 1},
            },
        ),
    ),
    "/v1/messages/count_tokens": (
        "Roughly how many tokens messages have",
        _takes(["messages"], {"messages": _MESSAGES}),
    ),
    "/v1/embeddings": (
        "Vectors of the router's own embedder",
        _takes(
            ["input"],
            {
                "input": {"oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
                "model": _TEXT,
                "encoding_format": {"enum": ["float", "base64"]},
            },
        ),
    ),
    "/v1/route": ("The decision, and no answer", _takes(["query"], {**_ROUTED, "query": _TEXT})),
    "/v1/feedback": (
        "How good an answer was",
        _takes(
            ["id", "reward"],
            {
                "id": {**_TEXT, "minLength": 1, "maxLength": 64},
                "reward": _SHARE,
                "comment": {**_TEXT, "maxLength": 2000},
            },
        ),
    ),
}
_STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
_READS: Mapping[str, str] = {
    "/healthz": "Whether the process lives",
    "/readyz": "Whether requests are welcome",
    "/metrics": "Totals for Prometheus",
    "/openapi.json": "This document",
    "/v1/stats": "Totals for dashboards",
    "/v1/models": "The virtual models and the pool",
    "/v1/models/{model}": "One of the models",
}
_OPEN = ("/healthz", "/readyz")
_STATUSES: Mapping[str, str] = {
    "400": "The request is at fault",
    "401": "No key, or not a valid one",
    "403": "Not for this key",
    "404": "There is no such thing",
    "408": "The body took too long",
    "409": "The server keeps no records",
    "413": "The body is too large",
    "429": "A limit of the provider, of the key or of the server",
    "502": "No model answered",
    "503": "Come back after Retry-After",
    "504": "A limit of time passed",
}


def document() -> dict[str, Any]:
    """Return the document."""
    paths = {path: {"get": _operation(path, summary)} for path, summary in _READS.items()}
    for path, (summary, body) in _BODIES.items():
        paths[path] = {"post": {**_operation(path, summary), "requestBody": body}}
    paths["/v1/models/{model}"]["get"]["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": _TEXT}
    ]
    return {
        "openapi": "3.1.0",
        "info": {"title": "LLMRouter", "version": __version__},
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {"type": "object", "required": ["error"]}},
        },
    }


def _operation(path: str, summary: str) -> dict[str, Any]:
    kinds = ["application/json"] if path != "/metrics" else ["text/plain"]
    if path in _STREAMED:
        kinds.append("text/event-stream")
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": {kind: {} for kind in kinds}}
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, reason in _STATUSES.items():
        if path not in _OPEN or status == "503":
            content = error if path not in _OPEN else {"application/json": {}}
            responses[status] = {"description": reason, "content": content}
    found: dict[str, Any] = {"summary": summary, "responses": responses}
    return {**found, "security": []} if path in _OPEN else found
