"""Eleven public benchmarks as tasks, and the metrics that judge their answers."""

from llmrouter_plugin_tasks.choices import (
    ArcChallengeTask,
    CommonsenseQaTask,
    GpqaTask,
    MmluTask,
    OpenbookQaTask,
)
from llmrouter_plugin_tasks.graded import GradedTask
from llmrouter_plugin_tasks.metrics import (
    Judge,
    choice,
    contains,
    exact_match,
    number,
    same_mathematics,
    same_number,
    token_f1,
)
from llmrouter_plugin_tasks.programs import HumanEvalTask, MbppTask
from llmrouter_plugin_tasks.questions import NaturalQuestionsTask, TriviaQaTask
from llmrouter_plugin_tasks.sandbox import Limits, SandboxUnavailable, Verdict, run_tests
from llmrouter_plugin_tasks.sums import Gsm8kTask, MathTask

__all__ = [
    "ArcChallengeTask",
    "CommonsenseQaTask",
    "GpqaTask",
    "GradedTask",
    "Gsm8kTask",
    "HumanEvalTask",
    "Judge",
    "Limits",
    "MathTask",
    "MbppTask",
    "MmluTask",
    "NaturalQuestionsTask",
    "OpenbookQaTask",
    "SandboxUnavailable",
    "TriviaQaTask",
    "Verdict",
    "choice",
    "contains",
    "exact_match",
    "number",
    "run_tests",
    "same_mathematics",
    "same_number",
    "token_f1",
]
