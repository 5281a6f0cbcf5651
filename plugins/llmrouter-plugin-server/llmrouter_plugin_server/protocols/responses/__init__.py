"""OpenAI's responses.

Nothing is stored here: a request carries its whole conversation, and what refers to an earlier
response, a stored item or a prompt is refused, and so are tools that run at OpenAI. Functions,
custom tools, images, files, JSON schemas, log probabilities and reasoning efforts become what chat
completions have for them; fields that are unknown are passed through. What earlier turns thought
is left out, because providers refuse the thoughts of others.
"""

from llmrouter_plugin_server.protocols.responses.answering import answer_of, error_of
from llmrouter_plugin_server.protocols.responses.asking import payload_of
from llmrouter_plugin_server.protocols.responses.streaming import Stream

__all__ = ["Stream", "answer_of", "error_of", "payload_of"]
