"""How good is a router? Replayed over recorded outcomes, beside the policies it must beat.

Baselines are always there: *random* (the expectation over the pool, not a draw), *cheapest*,
*smallest*, *largest*, *best single* (the model with the best mean score on the training
outcomes), *per-task best* (the same within each task), *zero router* (the best coin between two
models that costs what the router costs, seen on the test outcomes) and *oracle* (the best model
for each query, the cheaper of equals). Intervals are percentile bootstrap intervals over queries
(Efron 1979), resampled by group; gains are paired: the same resamples for both.
"""

from llmrouter_core.evaluation.judging import evaluate
from llmrouter_core.evaluation.policies import Outcome, baselines, expected_costs
from llmrouter_core.evaluation.report import (
    Calibration,
    Figure,
    Interval,
    Point,
    Report,
    Row,
    Slice,
)
from llmrouter_core.evaluation.rows import compare
from llmrouter_core.evaluation.versus import Comparison, Duel, Level, versus

__all__ = [
    "Calibration",
    "Comparison",
    "Duel",
    "Figure",
    "Interval",
    "Level",
    "Outcome",
    "Point",
    "Report",
    "Row",
    "Slice",
    "baselines",
    "compare",
    "evaluate",
    "expected_costs",
    "versus",
]
