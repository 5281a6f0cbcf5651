"""From chat messages to the turns of a conversation with Anthropic."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from llmrouter_core import BadRequest, Refused
from llmrouter_plugin_openai.faults import Place

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


@define
class Content:
    """A conversation that grows by chat messages.

    Turns alternate: what the user and the tools say after an answer is one turn, in which the
    results of tools come first.

    Attributes:
        place: Whom the call asks.
        fit: Makes identifiers of tool calls acceptable.
        system: The blocks of the system prompt, wherever in the chat they stood.
    """

    place: Place
    fit: Callable[[str], str]
    system: list[dict[str, Any]] = field(factory=list)
    _turns: list[dict[str, Any]] = field(init=False, factory=list)

    def add(self, message: Mapping[str, Any], where: str) -> None:
        """Add one chat message.

        Raises:
            BadRequest: It is not one; the message names *where*.
            Refused: It holds what Anthropic does not read; another model may.
        """
        role = message.get("role")
        if role in ("system", "developer"):
            self.system += self._blocks(message.get("content"), where)
        elif role == "user":
            self._turn("user")["content"] += self._blocks(message.get("content"), where)
        elif role == "tool":
            self._result(message, where)
        elif role == "assistant":
            self._turn("assistant")["content"] += self._answer(message, where)
        else:
            raise self.place.error(BadRequest, f"'{where}' has a role that nobody knows")

    def messages(self) -> list[dict[str, Any]]:
        """Return the turns; those in which nothing was said are left out."""
        turns: list[dict[str, Any]] = []
        for turn in self._turns:
            if turns and turn["content"] and turns[-1]["role"] == turn["role"]:
                turns[-1]["content"] += turn["content"]  # what stood between them said nothing
            elif turn["content"]:
                turns.append(turn)
        last = turns[-1]["content"][-1] if turns and turns[-1]["role"] == "assistant" else {}
        if last.get("type") == "text":  # an answer to go on with may not end in a blank
            last["text"] = last["text"].rstrip()
        if last.get("text") == "":
            turns[-1]["content"].pop()
        return turns if not turns or turns[-1]["content"] else turns[:-1]

    def _turn(self, role: str) -> dict[str, Any]:
        if not self._turns or self._turns[-1]["role"] != role:
            self._turns.append({"role": role, "content": []})
        return self._turns[-1]

    # ------------------------------------------------------------------ messages

    def _answer(self, message: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        blocks = [
            dict(thought)
            for thought in message.get("thinking_blocks") or ()
            if isinstance(thought, Mapping) and (thought.get("signature") or thought.get("data"))
        ]
        blocks += self._blocks(message.get("content") or message.get("refusal") or "", where)
        for call in message.get("tool_calls") or ():
            blocks.append(self._call(call, where))
        return blocks

    def _call(self, call: Any, where: str) -> dict[str, Any]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise self.place.error(Refused, f"'{where}' calls a tool that is no function")
        try:
            passed = json.loads(function.get("arguments") or "{}")
        except (TypeError, ValueError, RecursionError):
            passed = None
        if not isinstance(passed, dict):  # a model wrote it, and it was answered all the same
            passed = {"arguments": function.get("arguments")}
        identifier, name = self.fit(str(call.get("id"))), function.get("name")
        return {"type": "tool_use", "id": identifier, "name": name, "input": passed}

    def _result(self, message: Mapping[str, Any], where: str) -> None:
        identifier = message.get("tool_call_id")
        if not isinstance(identifier, str):
            raise self.place.error(BadRequest, f"'{where}.tool_call_id' is missing")
        content = message.get("content")
        said = content if isinstance(content, str) else self._blocks(content, where)
        block = {"type": "tool_result", "tool_use_id": self.fit(identifier), "content": said}
        blocks = self._turn("user")["content"]
        before = sum(one.get("type") == "tool_result" for one in blocks)
        blocks.insert(before, block)

    # ------------------------------------------------------------------ parts

    def _blocks(self, content: object, where: str) -> list[dict[str, Any]]:
        if content is None or content == "":
            return []
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        if not isinstance(content, list | tuple):
            raise self.place.error(BadRequest, f"'{where}.content' is neither text nor parts")
        blocks = [self._block(part, where) for part in content]
        return [block for block in blocks if block.get("type") != "text" or block.get("text")]

    def _block(self, part: Any, where: str) -> dict[str, Any]:
        """Return the block of a part; blocks of Anthropic's own are left as they are."""
        if not isinstance(part, Mapping):
            raise self.place.error(BadRequest, f"'{where}.content' holds what is no part")
        kind = part.get("type")
        marked = {n: part[n] for n in ("cache_control", "citations") if part.get(n) is not None}
        if kind == "refusal":
            return {"type": "text", "text": str(part.get("refusal") or "")}
        if kind == "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, Mapping) else image
            return {"type": "image", "source": self._source(url, where), **marked}
        if kind == "file" and isinstance(part.get("file"), Mapping):
            return {**self._document(part["file"], where), **marked}
        if kind in ("input_audio", "video_url"):
            raise self.place.error(Refused, f"'{where}' has content of type '{kind}'")
        return dict(part)

    def _document(self, file: Mapping[str, Any], where: str) -> dict[str, Any]:
        title = {"title": file["filename"]} if file.get("filename") else {}
        if file.get("file_id") and not file.get("file_data"):
            source = {"type": "file", "file_id": file["file_id"]}
        else:
            source = self._source(file.get("file_data"), where)
        return {"type": "document", "source": source, **title}

    def _source(self, url: object, where: str) -> dict[str, Any]:
        if isinstance(url, str) and (found := _DATA.fullmatch(url)):
            return {"type": "base64", "media_type": found[1].lower(), "data": found[2]}
        if isinstance(url, str) and re.match(r"(?i)https?://", url):
            return {"type": "url", "url": url}
        reason = f"'{where}' holds a URL that is neither http(s) nor base64 data"
        raise self.place.error(BadRequest, reason)
