"""The house keeps every promise that the conformance kit knows."""

from llmrouter_core.testing import conformance

test_conformance = conformance("llmrouter-plugin-redis")
