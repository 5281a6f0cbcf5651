"""Call the hundred providers that the library litellm knows."""

from llmrouter_plugin_litellm.caller import LitellmCaller

__all__ = ["LitellmCaller"]
