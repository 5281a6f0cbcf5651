"""Call Anthropic's models by Anthropic's own protocol: strict limits, no retries."""

from llmrouter_plugin_anthropic.caller import AnthropicCaller

__all__ = ["AnthropicCaller"]
