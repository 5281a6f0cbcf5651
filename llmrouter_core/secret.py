"""A key that does not print itself."""

from __future__ import annotations

import os
import re
from typing import Any

from llmrouter_core.errors import ConfigError

# Keys of mixed case, or long ones, look like variables too: messages show a variable's name.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{,63}|[a-z_][a-z0-9_]{,31}")


_revealed: set[str] = set()


def revealed() -> frozenset[str]:
    """Return every value that was revealed in this process, for whoever keeps them out of logs."""
    return frozenset(_revealed)


class Secret:
    """A secret value, read from the environment when it is used and never shown.

    In a config it is written `{ env = "VARIABLE" }`; a literal is refused, because files are
    shared. In Python, `Secret("value")` holds a value obtained elsewhere. Secrets cannot be
    printed, pickled or saved: `repr` names the variable at most.
    """

    __slots__ = ("_value", "env")

    def __init__(self, value: str | None = None, *, env: str | None = None) -> None:
        if (value is None) == (env is None):
            raise ValueError("a secret is either a value or the name of a variable")
        if env is not None and not _VARIABLE.fullmatch(env):  # it may be a key: never shown
            raise ValueError("'env' takes the name of a variable, such as OPENAI_API_KEY")
        self.env = env
        self._value = value

    @property
    def missing(self) -> bool:
        """Whether there is nothing to reveal now."""
        value = self._value if self.env is None else os.environ.get(self.env)
        return not (value and value.strip())

    def reveal(self) -> str:
        """Return the value, without surrounding blanks.

        Raises:
            ConfigError: The environment variable is not set.
        """
        if self.missing:
            reason = f"{self.env} is not set; set it: export {self.env}=…"
            raise ConfigError("environment", [reason if self.env else "the secret is empty"])
        value = str(self._value if self.env is None else os.environ[self.env]).strip()
        _revealed.add(value)
        return value

    def __repr__(self) -> str:
        return f"Secret(env={self.env!r})" if self.env else "Secret(•••)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.env, self._value) == (other.env, other._value)

    def __hash__(self) -> int:
        return hash((self.env, self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret cannot be pickled")
