"""Estimate from a log what another router would get, before anyone switches."""

from llmrouter_plugin_ope.errors import NoEstimate
from llmrouter_plugin_ope.estimating import Estimates, estimates
from llmrouter_plugin_ope.log import Log
from llmrouter_plugin_ope.policy import Target, decided
from llmrouter_plugin_ope.report import Report, estimate

__all__ = [
    "Estimates",
    "Log",
    "NoEstimate",
    "Report",
    "Target",
    "decided",
    "estimate",
    "estimates",
]
