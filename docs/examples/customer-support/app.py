"""The desk: what becomes of one message of a customer.

`python app.py "Can I still return my helmet?"` answers one message, once day.py has run.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from llmrouter_core import CallError, LLMRouter, NoEligibleModel, Query, Usage

HERE = Path(__file__).parent
POLICY = (HERE / "policy.md").read_text(encoding="utf-8")

BUDGET = 0.01  # dollars that one conversation may cost
LONGEST = 150  # tokens of an answer
DOUBT = 0.6  # a ticket goes to a person if no model is expected to be this good at it


@define
class Talk:
    """A conversation.

    Attributes:
        id: Its name, the same on every turn.
        messages: What was said so far.
        spent: Dollars that its calls have cost.
        person: Why a person has it; None while the models answer.
    """

    id: str
    messages: list[dict[str, str]] = field(factory=list)
    spent: float = 0.0
    person: str | None = None


@frozen
class Reply:
    """What became of a message: an answer of a model, or a reason for a person to take over."""

    text: str = ""
    model: str | None = None
    person: str | None = None


@define
class Desk:
    """Lets the router answer, within a budget, and calls a person where it should not."""

    router: LLMRouter
    budget: float = BUDGET

    async def reply(self, text: str, talk: Talk, stand_in: str | None = None) -> Reply:
        """Return what becomes of *text*, the next message of *talk*.

        Args:
            text: What the customer wrote: the router decides by it.
            talk: The conversation, which is brought up to date.
            stand_in: What a simulated model is asked in its place.
        """
        talk.messages.append({"role": "user", "content": text})
        if talk.person is not None:  # who has been handed over stays with the person
            return Reply(person=talk.person)
        query, purse = self.query(text, talk, stand_in)
        try:
            decision = self.router.decide(query)
        except NoEligibleModel as refusal:  # a rule of router.toml keeps out every model
            return self._hand_over(talk, _rule(refusal))
        if purse == "empty":
            return self._hand_over(talk, "budget")
        quality = dict(zip(decision.models, decision.scores["quality"].values, strict=True))
        if max(quality[model] for model in decision.ranking) < DOUBT:
            return self._hand_over(talk, "doubt" if purse == "full" else "budget")
        session, words = self.router.session(), []
        try:
            async with aclosing(self.router.astream(query, session=session)) as chunks:
                async for chunk in chunks:
                    words += [chunk.text] if chunk.kind == "text" else []
        except CallError:  # neither model answers, or one broke off in the middle
            return self._hand_over(talk, "failure")
        finally:  # what failed is paid for too
            talk.spent += sum(step.cost or 0.0 for step in session.steps)
        talk.messages.append({"role": "assistant", "content": "".join(words)})
        return Reply(text="".join(words), model=session.steps[-1].model)

    def query(self, text: str, talk: Talk, stand_in: str | None) -> tuple[Query, str]:
        """Return what to send, and which models *talk* can still pay: its purse.

        It is full where all models that may be asked in turn are covered at their dearest, so
        that the budget holds whatever happens; small where only the small model is.
        """
        messages = [{"role": "system", "content": POLICY}, *talk.messages]
        if stand_in is not None:
            messages.append({"role": "user", "content": stand_in})
        payload: dict[str, Any] = {"messages": messages, "max_tokens": LONGEST}
        tokens = Query.of(payload).request.input_tokens
        most = Usage(input_tokens=tokens, output_tokens=LONGEST)
        dearest = sorted(model.price.of(most) for model in self.router.models if model.price)
        left = self.budget - talk.spent
        purse = "full" if sum(dearest) <= left else "small" if dearest[0] <= left else "empty"
        facts = {"conversation": talk.id, "purse": purse}
        return Query(text=text, payload=payload, facts=facts), purse

    def _hand_over(self, talk: Talk, reason: str) -> Reply:
        """Give *talk* to a person. Here your ticket system would be told."""
        talk.person = reason
        return Reply(person=reason)


def _rule(refusal: NoEligibleModel) -> str:
    """Return the scorer of router.toml that kept out the models."""
    found = re.search(r"scorer '([\w-]+)'", str(refusal))
    return found[1] if found else "rule"


async def main(text: str) -> None:
    """Print what becomes of a conversation that is just *text*."""
    async with LLMRouter(HERE / "router.toml") as router:
        reply = await Desk(router).reply(text, Talk("try"))
    said = f"to a person: {reply.person}" if reply.person else f"{reply.model}: {reply.text}"
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:])))
