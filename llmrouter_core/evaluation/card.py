"""The card of a report: what was evaluated, so that another can do it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import llmrouter_core
from llmrouter_core.evaluation.report import Report

if TYPE_CHECKING:
    from llmrouter_core.router import LLMRouter
    from llmrouter_core.training import Dataset


def card(
    router: LLMRouter, test: Dataset, train: Dataset, report: Report, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the card of *report*: plain data, without a date and without any option's value."""
    return {
        "parts": [
            {
                "place": part.place,
                "part": part.label,
                "distribution": None if part.entry is None else part.entry.distribution,
                "version": None if part.entry is None else part.entry.version,
            }
            for part in router.config.parts
        ],
        "models": [
            {
                "name": model.name,
                "size": model.size,
                "input_price": None if model.price is None else model.price.input,
                "output_price": None if model.price is None else model.price.output,
            }
            for model in router.pipeline.models
        ],
        "versions": {
            "llmrouter-core": llmrouter_core.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "notes": router.notes(),
        "train": _counts(train),
        "test": _counts(test),
        "resamples": report.resamples,
        "seed": report.seed,
        **more,
    }


def _counts(data: Dataset) -> dict[str, int]:
    return {
        "queries": len(data),
        "groups": len(set(data.groups)),
        "models": len(data.models),
        "outcomes": int((~np.isnan(data.quality)).sum()),
        "failures": data.failures,
    }
