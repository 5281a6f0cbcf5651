"""Reading TOML: a file, or a dictionary that already has its shape, as raw tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from llmrouter_core.errors import ConfigError

Tables: TypeAlias = Mapping[str, Any]

LARGEST = 1 << 20
"""Bytes of the largest config that is read: a megabyte is thousands of models."""


def read(source: str | Path | Mapping[str, Any]) -> tuple[str, Path, dict[str, Any]]:
    """Return the source's name, the folder its paths are relative to, and its raw tables.

    Raises:
        ConfigError: The file is missing, unreadable, too large, not text or not TOML.
    """
    if isinstance(source, Mapping):
        return "config", Path.cwd(), dict(source)
    path, name = Path(source), str(source)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = "; to write one: llmrouter init auto > router.toml"
        raise ConfigError(
            name,
            [f"cannot be read: {reason}{hint if isinstance(error, FileNotFoundError) else ''}"],
        ) from None
    except ValueError as error:  # a NUL byte in the path
        raise ConfigError(repr(name), [f"is not a path: {error}"]) from None
    if len(content) > LARGEST:
        raise ConfigError(name, [f"is larger than {LARGEST // 1024} KiB; is it a config?"])
    return name, path.resolve().parent, parse(content, name)


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Return the tables of a TOML file's *content*.

    Raises:
        ConfigError: It is not UTF-8 text, or not TOML; the message has the line.
    """
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as UTF-8 TOML"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {error}"
    except ValueError as error:  # a number of more digits than Python reads
        problem = f"is not valid TOML: {error}".partition(";")[0]
    except RecursionError:
        problem = "is nested too deeply; a config is flat"
    raise ConfigError(name, [problem])
