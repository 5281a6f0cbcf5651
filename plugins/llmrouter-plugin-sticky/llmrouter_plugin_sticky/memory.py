"""Which models are warm for which conversation: bounded, and safe from any thread."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from time import monotonic

from attrs import frozen

_MODELS = 4  # kept of one conversation


@frozen(kw_only=True)
class Warm:
    """A model that has read a conversation.

    Attributes:
        model: Its name.
        tokens: How many tokens of the conversation it has read or written.
        when: When that was, in seconds of a clock that only goes forward.
    """

    model: str
    tokens: int
    when: float


class Memory:
    """The warm models of the conversations used last.

    Args:
        most: How many conversations are kept.
        seconds: How long a model stays warm.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._kept: OrderedDict[int, tuple[Warm, ...]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, conversation: int, model: str, tokens: int) -> None:
        """Remember that *model* has just read *tokens* of *conversation*."""
        now = monotonic()
        with self._lock:
            others = [
                one
                for one in self._kept.pop(conversation, ())
                if one.model != model and now - one.when <= self._seconds
            ]
            new = Warm(model=model, tokens=tokens, when=now)
            self._kept[conversation] = (*others, new)[-_MODELS:]
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def recall(self, conversation: int) -> tuple[Warm, ...]:
        """Return who is warm for *conversation*, the one that answered last at the end.

        Empty where that one is warm no more: nothing holds the conversation then.
        """
        now = monotonic()
        with self._lock:
            found = self._kept.get(conversation, ())
        if not found or now - found[-1].when > self._seconds:
            return ()
        return tuple(one for one in found if now - one.when <= self._seconds)
