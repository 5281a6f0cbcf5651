"""Collect outcomes: ask every model every query of a task, and keep what came of it."""

from llmrouter_plugin_collect.journal import Journal
from llmrouter_plugin_collect.lanes import Lane, lanes
from llmrouter_plugin_collect.plan import Plan
from llmrouter_plugin_collect.questions import Question
from llmrouter_plugin_collect.running import Run

__all__ = ["Journal", "Lane", "Plan", "Question", "Run", "lanes"]
