"""What Prometheus is told, and the totals a dashboard shows; all of it from one registry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmrouter_plugin_server import names

if TYPE_CHECKING:
    from llmrouter_core import Step
    from prometheus_client import CollectorRegistry

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STATES = ("closed", "open", "half-open")
_QUICK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 1)


class Metrics:
    """The counters of one server process; with several workers, of all of them when read."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return Counter(name, text, labels, registry=registry)

        self._requests = counter(names.REQUESTS, "Requests answered.", "endpoint", "status")
        self._answers = counter(names.ANSWERS, "Calls that a model answered.", "model")
        self._failures = counter(names.FAILURES, "Calls that failed.", "model")
        self._tokens = counter(names.TOKENS, "Tokens of all calls.", "model", "direction")
        self._dollars = counter(names.DOLLARS, "Dollars of all calls.", "model")
        self._largest = counter(
            names.LARGEST_DOLLARS, "Dollars the same tokens cost at the dearest model."
        )
        self._fallbacks = counter(names.FALLBACKS, "Requests that another model answered.")
        self._router_failures = counter(
            names.ROUTER_FAILURES, "Decisions the default model stepped in for.", "error"
        )
        self._shed = counter(names.SHED, "Requests refused for want of a place.")
        self._left = counter(names.LEFT, "Requests whose client left before the end.")
        self._events = counter(names.EVENTS, "Events streamed to clients.")
        self._reloads = counter(names.RELOADS, "Reloads of the config.", "result")
        self._lost = counter(names.RECORDS_LOST, "Decision records that were dropped.")
        self._request_seconds = Histogram(
            names.REQUEST_SECONDS,
            "Seconds of a request.",
            ("endpoint",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._first_seconds = Histogram(
            names.FIRST_WORD_SECONDS,
            "Seconds until an answer begins.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._decision_seconds = Histogram(
            names.DECISION_SECONDS, "Seconds of a decision.", registry=registry, buckets=_QUICK
        )
        self.in_flight = Gauge(
            names.IN_FLIGHT,
            "Requests being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.waiting = Gauge(
            names.WAITING,
            "Requests waiting for a place.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._circuits = Gauge(
            names.CIRCUITS,
            "Processes whose circuit of a model or caller is in a state.",
            ("circuit", "state"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._states: dict[str, str] = {}
        self._children: dict[tuple[object, ...], Any] = {}
        self.since = time.time()

    def _child(self, metric: Any, *labels: str) -> Any:
        """Return the child of *metric*, remembered: looking it up costs more than counting."""
        key = (id(metric), *labels)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = metric.labels(*labels)
        return found

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that got a response."""
        self._child(self._requests, endpoint, str(status)).inc()
        self._child(self._request_seconds, endpoint).observe(seconds)

    def began(self, seconds: float) -> None:
        """Count the seconds until an answer began."""
        self._first_seconds.observe(seconds)

    def decided(self, seconds: float) -> None:
        """Count the seconds a decision took."""
        self._decision_seconds.observe(seconds)

    def called(self, steps: Iterable[Step]) -> None:
        """Count the calls of a request."""
        for step in steps:
            name, usage = step.model, step.usage
            self._child(self._failures if step.error else self._answers, name).inc()
            if usage.input_tokens:
                self._child(self._tokens, name, "input").inc(usage.input_tokens)
            if usage.output_tokens:
                self._child(self._tokens, name, "output").inc(usage.output_tokens)
            if step.cost:
                self._child(self._dollars, name).inc(max(0.0, step.cost))

    def largest(self, dollars: float) -> None:
        """Count what the dearest model would have cost."""
        self._largest.inc(dollars)

    def fell_back(self) -> None:
        """Count a request that another model than the first answered."""
        self._fallbacks.inc()

    def router_failed(self, error: str) -> None:
        """Count a decision that failed."""
        self._child(self._router_failures, error).inc()

    def shed(self) -> None:
        """Count a request that was refused for want of a place."""
        self._shed.inc()

    def left(self) -> None:
        """Count a client that left."""
        self._left.inc()

    def streamed(self, events: int) -> None:
        """Count events sent."""
        self._events.inc(events)

    def reloaded(self, result: str) -> None:
        """Count a reload."""
        self._child(self._reloads, result).inc()

    def lost(self, records: int) -> None:
        """Count records that were dropped."""
        self._lost.inc(records)

    def circuits(self, states: Mapping[str, str]) -> None:
        """Take note of the state of each circuit; those of an earlier router are forgotten."""
        if states == self._states:
            return
        for name in {*states, *self._states}:
            for state in _STATES:
                self._circuits.labels(name, state).set(states.get(name) == state)
        self._states = dict(states)

    # ------------------------------------------------------------------ reading

    def page(self) -> tuple[bytes, bytes]:
        """Return the text that Prometheus reads, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._all()), CONTENT_TYPE_LATEST.encode()

    def totals(self) -> dict[str, Any]:
        """Return what a dashboard shows, as plain data."""
        models: dict[str, dict[str, float]] = {}
        totals: dict[str, Any] = {"since": self.since, "requests": 0, "errors": {}}
        for family in self._all().collect():
            for sample in family.samples:
                _add(totals, models, sample.name, sample.labels, sample.value)
        return {**totals, "models": models}

    def _all(self) -> CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self._registry
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


_SUMS = {
    names.IN_FLIGHT: "in_flight",
    names.WAITING: "waiting",
    f"{names.FALLBACKS}_total": "fallbacks",
    f"{names.ROUTER_FAILURES}_total": "router_failures",
    f"{names.DOLLARS}_total": "cost",
    f"{names.LARGEST_DOLLARS}_total": "cost_largest",
    f"{names.LEFT}_total": "clients_left",
    f"{names.SHED}_total": "shed",
}
_OF_MODELS = {
    f"{names.ANSWERS}_total": "answers",
    f"{names.FAILURES}_total": "failures",
    f"{names.DOLLARS}_total": "cost",
}


def _add(
    totals: dict[str, Any],
    models: dict[str, dict[str, float]],
    name: str,
    labels: dict[str, str],
    value: float,
) -> None:
    """Add one sample to the totals it belongs to."""
    if name in _SUMS:
        totals[_SUMS[name]] = totals.get(_SUMS[name], 0) + value
    model = labels.get("model")
    if model is not None:
        row = models.setdefault(model, {})
        key = _OF_MODELS.get(name)
        if name == f"{names.TOKENS}_total":
            key = f"{labels['direction']}_tokens"
        if key is not None:
            row[key] = row.get(key, 0) + value
    if name == f"{names.REQUESTS}_total":
        totals["requests"] += value
        if int(labels["status"]) >= 400:
            errors = totals["errors"]
            errors[labels["status"]] = errors.get(labels["status"], 0) + value
