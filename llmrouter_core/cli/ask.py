"""`llmrouter ask`: answer a query."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import asdict, define, evolve

from llmrouter_core.cli.console import (
    as_json,
    config_argument,
    example,
    query_of,
    query_options,
    say,
)
from llmrouter_core.config import Part
from llmrouter_core.errors import NotFitted
from llmrouter_core.hooks import hookimpl
from llmrouter_core.router import LLMRouter
from llmrouter_core.types import Answer, Ints, Model, Query


@click.command(epilog=example('llmrouter ask router.toml "What is the capital of France?"'))
@config_argument
@click.argument("query")
@query_options
@click.option("--stream/--no-stream", default=True, help="Print words as they arrive.")
@click.option("--json", "json_", is_flag=True, help="Print the whole answer as one JSON object.")
def command(
    config: Path,
    query: str,
    user: str | None,
    facts: dict[str, Any],
    stream: bool,
    json_: bool,
) -> None:
    """Answer QUERY with the model of CONFIG worth using for it; - reads QUERY from stdin.

    The answer goes to stdout; which model gave it, and what it cost, to stderr.
    """
    asked = query_of(_stdin() if query == "-" else query, user, facts)
    streamed = stream and not json_
    router = LLMRouter(config)
    try:
        answer = _answered(router, asked, streamed)
    except NotFitted as error:
        # A first answer should need no training; but who answers untrained, says so.
        say(f"note: {error}; until then the models are asked in the order of the config")
        router = _in_order(router)
        answer = _answered(router, asked, streamed)
    if json_:
        as_json(_plain(answer, router))
        return
    if not stream:
        click.echo(answer.text)
    say(_summary(answer))


def _answered(router: LLMRouter, query: Query, streamed: bool) -> Answer:
    with router:
        return _streamed(router, query) if streamed else router.route(query)


@define(eq=False, kw_only=True)
class _PoolOrder:
    """Ranks the models as the config lists them, until something has been learned."""

    @hookimpl
    def select(self, queries: Sequence[Query], models: Sequence[Model]) -> Ints:
        return np.tile(np.arange(len(models), dtype=np.intp), (len(queries), 1))  # (n, m)


def _in_order(router: LLMRouter) -> LLMRouter:
    """Return *router* without what must be trained: it asks the models in their order."""
    kept = [p for p in router.config.parts if p.kind not in ("embedder", "scorer", "selector")]
    order = Part("selector", "selector", "the order of the pool", _PoolOrder())
    return LLMRouter.of(evolve(router.config, parts=(*kept, order)))


def _stdin() -> str:
    """Return all of stdin; bytes that are not UTF-8 are left for `query_of` to refuse."""
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _streamed(router: LLMRouter, query: Query) -> Answer:
    """Print the answer as it arrives, and return it."""
    session, texts = router.session(), []
    with closing(router.stream(query, session=session)) as chunks:
        try:
            for chunk in chunks:
                if chunk.kind == "text" and chunk.text:
                    texts.append(chunk.text)
                    click.echo(chunk.text, nl=False)
                    sys.stdout.flush()
                elif chunk.text:
                    say(chunk.text)
        finally:
            if texts:
                click.echo()
    return Answer(text="".join(texts), steps=tuple(session.steps), decision=session.decision)


def _summary(answer: Answer) -> str:
    usage = answer.usage
    about = "about " if usage.estimated else ""
    cost = "cost unknown" if answer.cost is None else f"${Decimal(f'{answer.cost:.2e}'):f}"
    calls = f", {len(answer.steps)} calls" if len(answer.steps) > 1 else ""
    return (
        f"{answer.model}: {about}{usage.input_tokens:,} + {usage.output_tokens:,} tokens, {cost}, "
        f"{answer.seconds:.1f} s{calls}"
    )


def _plain(answer: Answer, router: LLMRouter) -> dict[str, Any]:
    """Return *answer* as plain data; what was sent is left out, for the user has it."""
    decision = answer.decision
    return {
        "text": answer.text,
        "model": answer.model,
        "usage": _usage(answer),
        "cost": answer.cost,
        "seconds": answer.seconds,
        "finish": answer.finish,
        "steps": [
            asdict(step, filter=lambda item, _: item.name != "request") for step in answer.steps
        ],
        "decision": None if decision is None else router.explain(decision).explain(),
    }


def _usage(answer: Answer) -> dict[str, Any]:
    usage = asdict(answer.usage)
    return {key: usage[key] for key in ("input_tokens", "output_tokens", "estimated")}
