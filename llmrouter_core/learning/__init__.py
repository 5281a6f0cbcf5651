"""What scorers that learn share: calibration on held-out folds, amounts, and new models.

A house brings its algorithm, two methods of a `LearnedScorer`; everything that must be the same
in all of them stands here: ties and failures are gaps or equal scores in a regression of every
model's outcome, probabilities are calibrated on queries that were held out, lengths and seconds
are predicted by one ridge regression, every estimate has a standard error, and a model that
joins later is expressed by those that were learned.
"""

from llmrouter_core.learning.calibration import Calibration
from llmrouter_core.learning.holding import Held, held_out
from llmrouter_core.learning.joining import Joined, anchors
from llmrouter_core.learning.ridge import Ridge
from llmrouter_core.learning.scorer import LearnedScorer
from llmrouter_core.learning.table import Table

__all__ = [
    "Calibration",
    "Held",
    "Joined",
    "LearnedScorer",
    "Ridge",
    "Table",
    "anchors",
    "held_out",
]
