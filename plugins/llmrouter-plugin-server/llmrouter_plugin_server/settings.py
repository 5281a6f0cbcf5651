"""What a server may be told: `server.toml`, or options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import field, frozen, validators
from llmrouter_core import ConfigError
from llmrouter_core.structuring import structure
from llmrouter_core.tables import read

Format: TypeAlias = Literal["text", "json"]

_positive = [validators.gt(0.0), validators.lt(float("inf"))]
_share = [validators.ge(0.0), validators.le(1.0)]
_count = validators.ge(1)


@frozen(kw_only=True)
class ServerOptions:
    """Where to listen, whom to let in, and how much of everything is enough.

    Attributes:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        insecure: Answer without keys; on loopback only.
        keys: Store of the virtual keys: a file of SQLite, or `redis://…`.
        log: Folder of the decision records; None keeps none.
        log_format: How the server's own log goes to stderr: as `text`, or as lines of `json`.
        log_texts: Whether records have the text of the query.
        log_embeddings: Whether records have its embedding, which is computed once more.
        default_model: Who answers when the router itself fails; the first routable model if None.
        annotate: Whether answers have the field `llmrouter`.
        retry: Whether the extension `retry` is added to a config that does not list it.
        breaker: Whether the extension `breaker` is.
        capabilities: Whether the scorer `rules` is, so that no model is asked for what it lacks.
        cheap: The knob of the virtual model `auto:cheap`, 0 quality first … 1 cost first.
        best: The knob of `auto:best`.
        deadline: Seconds a request may take in all.
        decision: Seconds a decision may take before the default model is asked.
        concurrent: Requests answered at once.
        queue: Requests that may wait for one of these places.
        queue_seconds: Seconds they may wait.
        largest_body: Bytes of the largest request.
        largest_head: Bytes of a request's line and headers together.
        deepest: How deep the JSON of a request may be nested.
        most_messages: Messages of a request, with the parts that their contents have.
        head_seconds: Seconds in which a connection must have sent a head.
        body_seconds: Seconds in which it must have sent the body.
        idle: Seconds that a connection may be kept without a request.
        expected_output: Tokens reserved of a key's budget where a request states no limit.
        drain: Seconds that requests under way are given when the server stops.
        reload: Seconds between looks at the config and its artefacts; 0 only reloads on SIGHUP.
        warm_up: Decisions that are tried before the server is ready.
        blas_threads: Threads of a product of matrices; 0 leaves that to numpy. More than one
            doubles the CPU of a decision and does not make it quicker.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8080, validator=[validators.ge(0), validators.lt(65536)])
    insecure: bool = False
    keys: str | None = None
    log: Path | None = None
    log_format: Format = "text"
    log_texts: bool = False
    log_embeddings: bool = False
    default_model: str | None = None
    annotate: bool = True
    retry: bool = True
    breaker: bool = True
    capabilities: bool = True
    cheap: float = field(default=0.9, validator=_share)
    best: float = field(default=0.1, validator=_share)
    deadline: float = field(default=120.0, validator=_positive)
    decision: float = field(default=1.0, validator=_positive)
    concurrent: int = field(default=1000, validator=_count)
    queue: int = field(default=1000, validator=validators.ge(0))
    queue_seconds: float = field(default=5.0, validator=_positive)
    largest_body: int = field(default=4 << 20, validator=_count)
    largest_head: int = field(default=32 << 10, validator=_count)
    deepest: int = field(default=64, validator=_count)
    most_messages: int = field(default=10_000, validator=_count)
    head_seconds: float = field(default=10.0, validator=_positive)
    body_seconds: float = field(default=30.0, validator=_positive)
    idle: float = field(default=75.0, validator=_positive)
    expected_output: int = field(default=512, validator=_count)
    drain: float = field(default=30.0, validator=_positive)
    reload: float = field(default=2.0, validator=validators.ge(0))
    warm_up: int = field(default=60, validator=validators.ge(0))
    blas_threads: int = field(default=1, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        if self.insecure and not is_loopback(self.host):
            raise ConfigError(
                "server",
                [
                    f"'insecure' is for loopback only, and '{self.host:.60}' is not; make keys: "
                    "llmrouter keys add"
                ],
            )


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def options_of(file: Path | None, given: Mapping[str, Any]) -> ServerOptions:
    """Return the options in *file*, where those *given* on the command line count first.

    Raises:
        ConfigError: The file cannot be read, or has wrong options.
    """
    name, folder, tables = ("server", Path.cwd(), {}) if file is None else read(file)
    tables = {**tables, **{key: value for key, value in given.items() if value is not None}}
    problems: list[str] = []
    found: ServerOptions | None = structure(tables, ServerOptions, "server", problems, folder)
    if found is None or problems:
        raise ConfigError(name, problems)
    return found
