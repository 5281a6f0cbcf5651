"""What calls have used so far, and what the next ones may be expected to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from llmrouter_core import Model, Request, Usage

_SPARE = 2.0  # a reservation holds an answer this many times as long as the mean


@define(eq=False)
class Used:
    """What the answers of one model have used.

    Attributes:
        answers: How many there were, those cut short included.
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        spent: Dollars of all its calls, failed ones and what was replaced included.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    spent: float = 0.0


@define(eq=False)
class Tally:
    """Sums over the rows of a journal, those since replaced included.

    Attributes:
        models: What each model used, by name.
        judged: Dollars that judging cost.
    """

    models: dict[str, Used] = field(factory=dict)
    judged: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of the journal."""
        self.judged += row.get("judge_cost") or 0.0
        used = self.models.setdefault(row["model"], Used())
        if row.get("rescored"):  # an answer of an earlier row, which was paid for there
            return
        used.spent += row.get("cost") or 0.0
        if row["status"] in ("ok", "truncated") or row.get("unscored"):
            used.answers += 1
            used.input_tokens += row.get("input_tokens") or 0
            used.output_tokens += row.get("output_tokens") or 0

    @property
    def spent(self) -> float:
        """Dollars of all calls."""
        return sum(used.spent for used in self.models.values()) + self.judged

    def output(self, model: str, otherwise: int) -> float:
        """Return the expected tokens of an answer of *model*.

        Its own mean so far, else the mean of all models so far, else *otherwise*.
        """
        known = [self.models[model]] if model in self.models else []
        for found in (known, [*self.models.values()]):
            answers = sum(used.answers for used in found)
            if answers:
                return sum(used.output_tokens for used in found) / answers
        return float(otherwise)

    def cost(self, model: Model, request: Request, otherwise: int) -> float | None:
        """Return the expected dollars of *request*, or None where *model* has no price."""
        if model.price is None:
            return None
        output = self.output(model.name, otherwise)
        if request.limit is not None:
            output = min(output, request.limit)
        usage = Usage(input_tokens=request.input_tokens, output_tokens=round(output))
        return model.price.of(usage)

    def most(self, model: Model, request: Request, otherwise: int) -> float:
        """Return the dollars to set aside for *request*; nothing where there is no price."""
        if model.price is None:
            return 0.0
        output = request.limit
        if output is None:
            output = round(max(otherwise, _SPARE * self.output(model.name, otherwise)))
        return model.price.of(Usage(input_tokens=request.input_tokens, output_tokens=output))
