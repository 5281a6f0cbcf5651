"""The helper of `same_mathematics`: one comparison a line, from standard input to output."""

import json
import sys
from contextlib import suppress


def main() -> None:
    """Say whether the library is there, then answer each line."""
    try:
        from math_verify import parse, verify  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        _say({"ready": False})
        return
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))
    _say({"ready": True})
    for line in sys.stdin:
        pair = json.loads(line)
        same = False
        with suppress(Exception):  # what cannot be compared was not found equal
            theirs, mine = (
                parse(f"\\boxed{{{pair[name]}}}", parsing_timeout=None, raise_on_error=False)
                for name in ("reference", "answer")
            )
            same = bool(theirs and mine and verify(theirs, mine, timeout_seconds=None))
        _say({"same": same})


def _say(message: dict[str, bool]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
