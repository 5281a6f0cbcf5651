"""OpenAI's oldest protocol: a prompt, and its completion.

A prompt becomes the only message of a chat. Several prompts in one request, prompts of token
numbers, a `suffix` and a `best_of` have no counterpart and are refused.
"""

import time
from collections.abc import Mapping
from typing import Any

from llmrouter_core import BadRequest, Chunk, Usage

from llmrouter_plugin_server.protocols.checking import entry
from llmrouter_plugin_server.protocols.events import DONE, event
from llmrouter_plugin_server.protocols.foreign import Translated
from llmrouter_plugin_server.protocols.hearing import choices_of, content_of, counts_of, said_of

__all__ = ["Stream", "answer_of", "error_of", "payload_of"]

_READ = ("prompt", "echo", "suffix", "best_of", "logprobs", "stream")


def payload_of(body: Mapping[str, Any]) -> Translated:
    """Return the chat payload of a request for a completion.

    Raises:
        BadRequest: The request is not one, or asks for what chat completions cannot do; the
            message names the field.
    """
    fields = {key: value for key, value in body.items() if key not in _READ}
    fields["messages"] = [{"role": "user", "content": _prompt(body)}]
    fields["stream"] = bool(body.get("stream"))
    if body.get("suffix"):
        raise BadRequest("'suffix': models that chat cannot fill a gap; leave it out")
    if body.get("best_of") not in (None, 1, body.get("n")):
        raise BadRequest("'best_of' is larger than 'n', which chat completions cannot do")
    logprobs = body.get("logprobs")
    if type(logprobs) is int:
        fields |= {"logprobs": True} | ({"top_logprobs": logprobs} if logprobs else {})
    return Translated(fields, protocol="completions", body=body)


def answer_of(
    completion: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    model: str,
    identifier: str,
    llmrouter: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the text completion that a whole chat completion is, with all its choices.

    Args:
        completion: The chat completion.
        body: The request, which says whether the prompt is repeated.
        model: Name of the model that answered.
        identifier: Identifier of the answer, without a prefix.
        llmrouter: What the field `llmrouter` says.
    """
    before = _prompt(body) if body.get("echo") else ""
    return {
        **_head(model, identifier, completion.get("created")),
        "choices": [_choice(choice, n, before) for n, choice in choices_of(completion)],
        "usage": completion.get("usage"),
        **({} if llmrouter is None else {"llmrouter": llmrouter}),
    }


def error_of(error: Mapping[str, Any], *, status: int, identifier: str = "") -> dict[str, Any]:
    """Return the body of an error: OpenAI's, as it is."""
    del status, identifier  # another protocol needs them
    return {"error": dict(error)}


class Stream:
    """One answer, event by event: data without a name, `[DONE]` at the end.

    Args:
        body: The request.
        model: Name of the model that answers.
        identifier: Identifier of the answer, without a prefix.
    """

    def __init__(self, body: Mapping[str, Any], *, model: str, identifier: str) -> None:
        options = entry(body.get("stream_options") or {}, "stream_options")
        self._counted = bool(options.get("include_usage"))
        self._before = _prompt(body) if body.get("echo") else ""
        self._head = _head(model, identifier, None)
        self._lengths: dict[int, int] = {}  # of the text so far
        self._counts: Mapping[str, Any] | None = None

    def feed(self, chunk: Chunk) -> bytes:
        """Return the event that *chunk* brings, `b""` for none."""
        self._counts = counts_of(chunk.event, chunk.usage) or self._counts
        if chunk.kind != "text":
            return b""
        choices = choices_of(chunk.event)
        first = next((choice for index, choice in choices if not index), None)
        if first is None and (chunk.text or chunk.finish is not None):
            first = {"finish_reason": chunk.finish}
            choices.append((0, first))
        found = []
        for index, choice in choices:
            length = self._lengths.get(index, 0)
            text = chunk.text if choice is first else None
            made = _choice(choice, index, "" if length else self._before, text, length)
            if not length and made["text"] == self._before and made["finish_reason"] is None:
                continue  # the prompt goes out with the first word
            self._lengths[index] = length + len(made["text"])
            if made["text"] or made["finish_reason"] is not None:
                found.append(made)
        return event({**self._head, "choices": found}) if found else b""

    def end(
        self,
        error: Mapping[str, Any] | None = None,
        *,
        status: int = 502,
        usage: Usage | None = None,
        llmrouter: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the last events.

        Args:
            error: What went wrong, if anything: OpenAI's inner object. The answer then ends with
                it, without `[DONE]`.
            status: The HTTP status that the error would have had.
            usage: What was used, where no chunk says.
            llmrouter: What the field `llmrouter` of the last event says.
        """
        if error is not None:
            return event(error_of(error, status=status))
        last: dict[str, Any] = {**self._head, "choices": []}
        if self._counted:
            last["usage"] = self._counts or counts_of(None, usage)
        if llmrouter is not None:
            last["llmrouter"] = llmrouter
        said = self._counted or llmrouter is not None
        return (event(last) if said else b"") + DONE


def _prompt(body: Mapping[str, Any]) -> str:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRequest("'prompt' is not one text; send each prompt in a request of its own")
    return prompt


def _head(model: str, identifier: str, created: object) -> dict[str, Any]:
    return {
        "id": f"cmpl-{identifier}",
        "object": "text_completion",
        "created": created if type(created) is int else int(time.time()),
        "model": model,
    }


def _choice(
    choice: Mapping[str, Any], index: int, before: str, text: str | None = None, offset: int = 0
) -> dict[str, Any]:
    """Return one choice: *before*, and its text where *text* does not say another."""
    new = content_of(said_of(choice)) if text is None else text
    return {
        "index": index,
        "text": before + new,
        "logprobs": _logprobs(choice.get("logprobs"), offset + len(before)),
        "finish_reason": choice.get("finish_reason"),
    }


def _logprobs(found: object, offset: int) -> dict[str, list[Any]] | None:
    """Return log probabilities as the old protocol lists them."""
    content = found.get("content") if isinstance(found, Mapping) else None
    if not isinstance(content, list):
        return None
    tokens = [token for token in content if isinstance(token, Mapping)]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(str(token.get("token", "")))
    return {
        "tokens": [token.get("token") for token in tokens],
        "token_logprobs": [token.get("logprob") for token in tokens],
        "top_logprobs": [_top(token.get("top_logprobs")) for token in tokens],
        "text_offset": offsets,
    }


def _top(found: object) -> dict[str, Any]:
    tokens = found if isinstance(found, list) else []
    return {str(t.get("token")): t.get("logprob") for t in tokens if isinstance(t, Mapping)}
