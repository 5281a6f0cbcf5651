"""The page as data: what was concluded, and the reports that it rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import asdict
from llmrouter_core.evaluation.report import plain

from llmrouter_plugin_report.document import Document
from llmrouter_plugin_report.runs import Run
from llmrouter_plugin_report.saving import savings


def as_json(found: Document, runs: Sequence[Run], per_day: int) -> str:
    """Return *found* as JSON in ASCII; a number that is not known is null."""
    data = {
        "title": found.title,
        "queries_per_day": per_day,
        "runs": [
            {
                "name": run.name,
                "headline": one.headline,
                "sentences": one.sentences,
                "quality": one.quality.value,
                "cost": one.cost.value,
                "savings": [
                    asdict(saving, value_serializer=lambda _, __, value: plain(value))
                    for saving in savings(run, per_day)
                ],
                "report": run.report.to_dict(),
            }
            for run, (_, one) in zip(runs, found.verdicts, strict=True)
        ],
    }
    return json.dumps(data, indent=2, default=str) + "\n"
