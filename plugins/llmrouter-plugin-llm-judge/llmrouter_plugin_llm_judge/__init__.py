"""Let a small model judge how hard a query is, and choose by that."""

from llmrouter_plugin_llm_judge.solver import LlmJudgeSolver

__all__ = ["LlmJudgeSolver"]
