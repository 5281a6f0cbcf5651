"""How long each model takes to its first word, of late."""

import math
from collections import deque

_KEPT = 200  # the latest calls of a model
_ENOUGH = 20  # below it nothing is known


class Latency:
    """The seconds to the first word of each model's latest calls."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}

    def saw(self, model: str, seconds: float) -> None:
        """Take note of a first word, or of a call that had none after so long."""
        self._seconds.setdefault(model, deque(maxlen=_KEPT)).append(seconds)

    def quantile(self, model: str, share: float) -> float:
        """Return within how many seconds *share* of its calls had a first word.

        It is infinite as long as fewer than twenty calls are known.
        """
        seen = sorted(self._seconds.get(model, ()))
        if len(seen) < _ENOUGH:
            return math.inf
        return seen[math.ceil(share * len(seen)) - 1]
