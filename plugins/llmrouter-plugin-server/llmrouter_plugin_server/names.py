"""Every header and every metric of the gateway, in one place: whoever reads one, reads it here."""

from __future__ import annotations

# ---------------------------------------------------------------------------- request headers

TRADEOFF = b"x-llmrouter-tradeoff"
"""The knob of this request, from 0 (quality first) to 1 (cost first)."""

CONVERSATION = b"x-llmrouter-conversation"
"""Which conversation the request belongs to."""

REGION = b"x-llmrouter-region"
"""Where the request may be processed: by models with the tag `region:NAME` only."""

TIMEOUT = b"x-llmrouter-timeout"
"""Seconds this request may take, at most the server's own deadline."""

TRACEPARENT = b"traceparent"
"""W3C's name of the trace that the request belongs to."""

# ---------------------------------------------------------------------------- response headers

ID = b"x-llmrouter-id"
MODEL = b"x-llmrouter-model"
COST = b"x-llmrouter-cost"
REASON = b"x-llmrouter-reason"

# ---------------------------------------------------------------------------- fields of bodies

FIELD = "llmrouter"
"""The field that a request may set and that every answer has."""

# ---------------------------------------------------------------------------- virtual models

AUTO = "auto"
CHEAP = "auto:cheap"
BEST = "auto:best"

# ---------------------------------------------------------------------------- metrics

REQUESTS = "llmrouter_requests"
REQUEST_SECONDS = "llmrouter_request_seconds"
FIRST_WORD_SECONDS = "llmrouter_first_word_seconds"
DECISION_SECONDS = "llmrouter_decision_seconds"
ANSWERS = "llmrouter_answers"
FAILURES = "llmrouter_failures"
TOKENS = "llmrouter_tokens"
DOLLARS = "llmrouter_cost_dollars"
LARGEST_DOLLARS = "llmrouter_cost_largest_dollars"
FALLBACKS = "llmrouter_fallbacks"
ROUTER_FAILURES = "llmrouter_router_failures"
IN_FLIGHT = "llmrouter_in_flight"
WAITING = "llmrouter_waiting"
SHED = "llmrouter_shed"
LEFT = "llmrouter_clients_left"
EVENTS = "llmrouter_stream_events"
RELOADS = "llmrouter_reloads"
RECORDS_LOST = "llmrouter_records_lost"
CIRCUITS = "llmrouter_circuits"
