"""Run code that nobody has read, and say whether it passes its tests."""

from llmrouter_plugin_tasks.sandbox.running import Limits, SandboxUnavailable, Verdict, run_tests

__all__ = ["Limits", "SandboxUnavailable", "Verdict", "run_tests"]
