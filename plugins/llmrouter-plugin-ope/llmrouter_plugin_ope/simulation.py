"""Simulated traffic whose truth is known: what the estimators are checked against."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from llmrouter_core import Floats, Ints

NAMES = ("small", "middle", "large")
"""The three models, from cheap and weak to dear and strong."""


@frozen(kw_only=True, eq=False)
class World:
    """n queries, and what each of three models would get.

    Attributes:
        right: Chance that a model answers well, (n, 3).
        price: US dollars of each call, (n, 3).
        guess: A score that predicts *right*, with errors, (n, 3).
        odds: How likely the logging policy takes each model, (n, 3).
        shares: How likely another policy does, (n, 3).
    """

    right: Floats
    price: Floats
    guess: Floats
    odds: Floats
    shares: Floats

    @classmethod
    def of(
        cls, rng: np.random.Generator, n: int, *, error: float = 0.1, explore: float = 0.3
    ) -> World:
        """Return *n* queries, some of them hard.

        Both policies weigh the score against the price, the other one more so.

        Args:
            rng: Where chance comes from.
            n: How many queries.
            error: Standard deviation of the errors of the score.
            explore: Share of the queries for which the logging policy takes any model.
        """
        hard = rng.normal(size=(n, 1))
        right = 1 / (1 + np.exp(2 * (hard - np.array([-0.5, 0.5, 1.5]))))
        price = np.array([0.001, 0.004, 0.01]) * np.exp(0.3 * rng.normal(size=(n, len(NAMES))))
        guess = np.clip(right + error * rng.normal(size=right.shape), 0, 1)
        own, other = (np.argmax(guess - worth * price, axis=1) for worth in (20, 60))
        odds = explore / len(NAMES) + (1 - explore) * np.eye(len(NAMES))[own]
        return cls(
            right=right, price=price, guess=guess, odds=odds, shares=np.eye(len(NAMES))[other]
        )

    def chosen(self, rng: np.random.Generator) -> Ints:
        """Return a choice for each query, drawn by the odds, (n,)."""
        reached = np.cumsum(self.odds, axis=1)
        found: Ints = (rng.random((len(reached), 1)) > reached).sum(axis=1)
        return np.minimum(found, len(NAMES) - 1)

    def rows(self, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Return the decisions of the logging policy, as a server writes them."""
        chosen = self.chosen(rng)
        well = rng.random(len(chosen))
        return [
            {
                "id": f"r{row}",
                "text": f"question {row}",
                "models": list(NAMES),
                "scores": {"quality": self.guess[row].tolist(), "cost": self.price[row].tolist()},
                "chosen": NAMES[column],
                "propensity": float(self.odds[row, column]),
                "propensities": self.odds[row].tolist(),
                "cost": float(self.price[row, column]),
                "input_tokens": 10,
                "output_tokens": 20,
                "seconds": 0.5,
                "status": 200,
                "reward": float(well[row] < self.right[row, column]),
            }
            for row, column in enumerate(chosen.tolist())
        ]
