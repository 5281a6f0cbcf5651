"""Call any provider that speaks OpenAI's chat completions: strict limits, no retries."""

from llmrouter_plugin_openai.caller import OpenaiCaller

__all__ = ["OpenaiCaller"]
