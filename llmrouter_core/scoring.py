"""What selectors share: reading a prediction that they cannot do without."""

from __future__ import annotations

from collections.abc import Mapping

from llmrouter_core.errors import ConfigError
from llmrouter_core.types import Scores


def named_score(scores: Mapping[str, Scores], name: str, place: str) -> Scores:
    """Return the score *name*, which the option at *place* cannot do without.

    Raises:
        ConfigError: No scorer predicts it; the message says what to add.
    """
    if name not in scores:
        found = ", ".join(scores) or "none"
        problem = f"no scorer predicts '{name}' (there is: {found}); add a [scorer.{name}]"
        raise ConfigError("router", [f"{problem} @ {place}"])
    return scores[name]
