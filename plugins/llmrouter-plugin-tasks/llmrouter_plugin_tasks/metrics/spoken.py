"""Tell what a model says from what it thinks aloud before."""

import re

_THOUGHT = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)


def spoken(answer: str) -> str:
    """Return what follows the thoughts that some models put in tags before their answer."""
    return _THOUGHT.split(answer)[-1]
