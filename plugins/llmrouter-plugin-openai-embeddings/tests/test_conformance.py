"""The house keeps every promise that the conformance kit knows."""

from llmrouter_core.testing import conformance

from .server import provider

test_conformance = conformance("llmrouter-plugin-openai-embeddings", openai_embeddings=provider)
