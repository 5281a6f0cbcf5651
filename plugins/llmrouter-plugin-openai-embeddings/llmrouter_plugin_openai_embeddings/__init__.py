"""Embed by any provider that speaks OpenAI's embeddings: strict limits, few repeats, a memory."""

from llmrouter_plugin_openai_embeddings.embedder import OpenaiEmbeddingsEmbedder

__all__ = ["OpenaiEmbeddingsEmbedder"]
