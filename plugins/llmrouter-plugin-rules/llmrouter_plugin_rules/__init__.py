"""Choose by rules a person can read, and keep out models that cannot answer."""

from llmrouter_plugin_rules.scorer import Gate, RulesScorer
from llmrouter_plugin_rules.selector import Rule, RulesSelector

__all__ = ["Gate", "Rule", "RulesScorer", "RulesSelector"]
