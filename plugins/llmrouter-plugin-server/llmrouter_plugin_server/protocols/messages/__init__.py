"""Anthropic's messages.

Text, system prompts, images, documents, tools and their results become what chat completions have
for them. Fields of the body that are unknown are passed through, and so are content blocks and
tools that only Anthropic has: a provider that does not know them says so. What is left out without
a word is what changes no answer or could only break another provider: cache marks, and the
thoughts of earlier turns. The native caller sends the body as it came, with all of these.
"""

from llmrouter_plugin_server.protocols.messages.answering import answer_of, error_of
from llmrouter_plugin_server.protocols.messages.asking import count_of, payload_of
from llmrouter_plugin_server.protocols.messages.streaming import PING, Stream

__all__ = ["PING", "Stream", "answer_of", "count_of", "error_of", "payload_of"]
