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
        self._counts: dict[tuple[Any, ...], float] = {}
        self._durations: dict[str, Any] = {}  # each endpoint's, because looking it up costs more
        self.since = time.time()

    def _count(self, amount: float, metric: Any, *labels: str) -> None:
        """Add *amount* to a counter, at the next `settle`: a dozen a request add up."""
        if amount > 0:  # a counter takes nothing else, and a caller may say anything
            key = (metric, *labels)
            self._counts[key] = self._counts.get(key, 0.0) + amount

    def settle(self) -> None:
        """Let the counters have what was counted; whoever reads this process needs not call it."""
        while self._counts:  # taken out one by one: what cannot be kept takes no other with it
            (metric, *labels), amount = self._counts.popitem()
            (metric.labels(*labels) if labels else metric).inc(amount)

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that got a response."""
        self._count(1, self._requests, endpoint, str(status))
        durations = self._durations.get(endpoint)
        if durations is None:
            durations = self._durations[endpoint] = self._request_seconds.labels(endpoint)
        durations.observe(seconds)

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
            self._count(1, self._failures if step.error else self._answers, name)
            if usage.input_tokens:
                self._count(usage.input_tokens, self._tokens, name, "input")
            if usage.output_tokens:
                self._count(usage.output_tokens, self._tokens, name, "output")
            if step.cost:
                self._count(step.cost, self._dollars, name)

    def largest(self, dollars: float) -> None:
        """Count what the dearest model would have cost."""
        self._count(dollars, self._largest)

    def fell_back(self) -> None:
        """Count a request that another model than the first answered."""
        self._count(1, self._fallbacks)

    def router_failed(self, error: str) -> None:
        """Count a decision that failed."""
        self._count(1, self._router_failures, error)

    def shed(self) -> None:
        """Count a request that was refused for want of a place."""
        self._count(1, self._shed)

    def left(self) -> None:
        """Count a client that left."""
        self._count(1, self._left)

    def streamed(self, events: int) -> None:
        """Count events sent."""
        self._count(events, self._events)

    def reloaded(self, result: str) -> None:
        """Count a reload."""
        self._count(1, self._reloads, result)

    def lost(self, records: int) -> None:
        """Count records that were dropped, from any thread."""
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
        self.settle()
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
