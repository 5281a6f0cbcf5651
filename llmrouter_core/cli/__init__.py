"""The command line: `llmrouter`.

Each command is a module of this package that defines `command`, imported when it is run. The
commands of plugins are listed from metadata, and imported when they are run.
"""

import sys


def main() -> None:
    """Run the command line and exit."""
    from llmrouter_core.cli.group import llmrouter

    for stream in (sys.stdin, sys.stdout, sys.stderr):  # "?" instead of an encoding error
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    llmrouter()
