"""The house keeps every promise that the conformance kit knows."""

from llmrouter_core.testing import conformance

from .claude import provider

test_conformance = conformance("llmrouter-plugin-anthropic", anthropic=provider)
