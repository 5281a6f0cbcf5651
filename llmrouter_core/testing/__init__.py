"""The conformance kit, and toys to test with: `pip install llmrouter-core[testing]`.

One statement checks a house: `test_conformance = conformance("llmrouter-plugin-knn")`.
"""

from llmrouter_core.testing.collecting import conformance
from llmrouter_core.testing.recording import RecordingSession
from llmrouter_core.testing.toys import (
    EchoCaller,
    ScriptedCaller,
    StoppedClock,
    ToyEmbedder,
    ToyScorer,
    ToySelector,
    toy_dataset,
    toy_models,
    toy_scores,
)

__all__ = [
    "EchoCaller",
    "RecordingSession",
    "ScriptedCaller",
    "StoppedClock",
    "ToyEmbedder",
    "ToyScorer",
    "ToySelector",
    "conformance",
    "toy_dataset",
    "toy_models",
    "toy_scores",
]
