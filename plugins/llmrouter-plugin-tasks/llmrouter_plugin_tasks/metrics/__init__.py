"""What an answer is worth: pure functions, each of one kind of answer."""

from llmrouter_plugin_tasks.metrics.choice import choice
from llmrouter_plugin_tasks.metrics.equivalence import same_mathematics
from llmrouter_plugin_tasks.metrics.judging import Judge
from llmrouter_plugin_tasks.metrics.number import number, same_number
from llmrouter_plugin_tasks.metrics.text import contains, exact_match, token_f1

__all__ = [
    "Judge",
    "choice",
    "contains",
    "exact_match",
    "number",
    "same_mathematics",
    "same_number",
    "token_f1",
]
