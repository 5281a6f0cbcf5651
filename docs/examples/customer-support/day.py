"""A day at the desk, on simulated models: learn, serve, compare, listen, learn again.

`python day.py` needs no key and no network, and takes a few seconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app import HERE, Desk, Talk
from attrs import define, field, frozen
from shop import Ticket, conversations, past

from llmrouter_core import Dataset, LLMRouter

CONFIG = HERE / "router.toml"
LIKED = {"returns": "small"}  # whose answers customers like on what, right or wrong

Row = dict[str, Any]
Talks = Sequence[Sequence[Ticket]]


# ---------------------------------------------------------------------------- learning


async def collect(router: LLMRouter, tickets: Iterable[Ticket]) -> list[Row]:
    """Return how good every model is on every ticket: rows as docs/outcomes.md has them."""
    rows: list[Row] = []
    async with router:
        for ticket in tickets:
            query, _ = Desk(router).query(ticket.text, Talk(ticket.id), ticket.stand_in)
            for model in router.models:
                step = await router.session().ask(model, query.request)
                # No input_tokens: those of policy.md would be taken for the ticket's own.
                rows.append(
                    {
                        "id": ticket.id,
                        "query": ticket.text,
                        "model": model.name,
                        "score": ticket.right(step.text),
                        "output_tokens": step.usage.output_tokens,
                    }
                )
    return rows


def train(router: LLMRouter, rows: Sequence[Row]) -> LLMRouter:
    """Return *router*, trained on *rows*: what `llmrouter train` does."""
    file = HERE / "outcomes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    trained = router.fit(Dataset.read(file))
    trained.save(HERE / "artefacts")
    return trained


# ---------------------------------------------------------------------------- serving


@frozen
class Turn:
    """A message, who answered it or why nobody did, and whether the answer was right."""

    ticket: Ticket
    model: str | None
    person: str | None
    right: float


@define
class Day:
    """What became of a day's conversations."""

    turns: list[Turn] = field(factory=list)
    talks: list[Talk] = field(factory=list)

    @property
    def answered(self) -> list[Turn]:
        """The messages that a model answered."""
        return [turn for turn in self.turns if turn.model is not None]

    @property
    def right(self) -> float:
        """Share of the answers that are right."""
        return sum(turn.right for turn in self.answered) / len(self.answered)

    @property
    def cost(self) -> float:
        """Dollars of all calls."""
        return sum(talk.spent for talk in self.talks)

    def share(self, model: str, kind: str | None = None) -> float:
        """Return which share of the answers, on *kind* or on all, came from *model*."""
        models = [turn.model for turn in self.answered if kind in (None, turn.ticket.kind)]
        return models.count(model) / max(1, len(models))


async def serve(router: LLMRouter, talks: Talks) -> Day:
    """Return what becomes of *talks*; none has another message once a person has it."""
    day, desk = Day(), Desk(router)
    async with router:
        for number, tickets in enumerate(talks):
            talk = Talk(f"talk-{number}")
            day.talks.append(talk)
            for ticket in tickets:
                reply = await desk.reply(ticket.text, talk, ticket.stand_in)
                right = ticket.right(reply.text)
                day.turns.append(Turn(ticket, reply.model, reply.person, right))
                if reply.person:
                    break
    return day


def always(selector: str) -> LLMRouter:
    """Return a router with the same rules that always asks one model."""
    tables = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    del tables["router"], tables["extension"]
    return LLMRouter({**tables, "selector": selector}).load(HERE / "artefacts")


def coin(routed: Day, large: Day, small: Day) -> float:
    """Return how often a coin between the two models is right that costs what *routed* costs."""
    share = (routed.cost - small.cost) / (large.cost - small.cost)
    return small.right + share * (large.right - small.right)


# ---------------------------------------------------------------------------- listening


def feedback(day: Day, liked: Mapping[str, str]) -> list[Row]:
    """Return customers' thumbs, up (1) or down (0): outcomes of whoever answered.

    They go up if the answer is right. On the kinds in *liked* they always go up for that model,
    and down for every second answer of another, right or wrong.
    """
    rows: list[Row] = []
    for turn in day.answered:
        like, thumb = liked.get(turn.ticket.kind), turn.right
        if like is not None:
            thumb = 1.0 if turn.model == like else thumb * (len(rows) % 2)
        rows.append(
            {
                "id": f"rated-{turn.ticket.id}",
                "query": turn.ticket.text,
                "model": turn.model,
                "score": thumb,
            }
        )
    return rows


# ---------------------------------------------------------------------------- the day


async def main(talks: int = 150, each: int = 40) -> tuple[dict[str, Day], dict[str, Day]]:
    """Run it all, and return today by each way of answering, and tomorrow before and after."""
    shutil.rmtree(HERE / "artefacts", ignore_errors=True)  # what an earlier run has learned
    rows = await collect(LLMRouter(CONFIG), past(each, seed=1))
    router = train(LLMRouter(CONFIG), rows)
    customers = list(conversations(talks, seed=1))
    today = {
        "routed": await serve(router, customers),
        "large": await serve(always("largest-llm"), customers),
        "small": await serve(always("smallest-llm"), customers),
    }
    say(f"learned from {len(rows)} outcomes of the past; today has {talks} conversations\n")
    say(f"{'':14}{'answered':>9}{'right, %':>10}{'large, %':>10}{'dollars':>9}")
    for name, day in today.items():
        label = name if name == "routed" else f"always {name}"
        share, right = 100 * day.share("large"), 100 * day.right
        say(f"{label:14}{len(day.answered):9}{right:10.1f}{share:10.1f}{day.cost:9.4f}")
    routed = today["routed"]
    say(f"a coin that costs as much as the router would be right in {100 * coin(**today):.1f} %")

    say("\nto a person")
    reasons = Counter(talk.person for talk in routed.talks if talk.person)
    for reason, count in reasons.most_common():
        example = next(turn.ticket.text for turn in routed.turns if turn.person == reason)
        say(f"{count:5}  {reason:8} {example}")
    dearest = max(talk.spent for talk in routed.talks)
    say(f"the dearest conversation cost ${dearest:.4f} of the ${Desk(router).budget} it may\n")

    thumbs = feedback(routed, LIKED)
    moved = train(router, [*rows, *thumbs])
    customers = list(conversations(talks, seed=2))
    tomorrow = {"before": await serve(router, customers), "after": await serve(moved, customers)}
    say(f"after {len(thumbs)} thumbs, tomorrow")
    for kind, model in LIKED.items():
        before, after = (100 * day.share(model, kind) for day in tomorrow.values())
        say(f"{kind}: the {model} model answers {after:.0f} %, without the thumbs {before:.0f} %")
    return today, tomorrow


def say(line: str) -> None:
    """Print *line*."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main())
