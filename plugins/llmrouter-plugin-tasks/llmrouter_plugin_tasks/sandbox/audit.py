"""Refuse files, sockets and processes from within the interpreter, where no kernel does.

A hook on audit events stops code that does harm by accident or in plain sight. It does not stop
code that sets out to escape it, which is why it is used only where the user asks for it.
This module runs in the sandbox's interpreter and imports the standard library only.
"""

import os
import sys
from typing import Any

_REFUSED = (
    "socket.",
    "subprocess.",
    "os.fork",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.kill",
    "os.killpg",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "os.chdir",
    "os.listdir",
    "os.scandir",
    "os.setxattr",
    "os.removexattr",
    "shutil.",
    "signal.",
    "ctypes.",
    "resource.",
    "fcntl.",
    "gc.",
    "pty.",
    "sqlite3.",
    "syslog.",
    "mmap.",
    "webbrowser.",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(readable: list[str]) -> None:
    """Refuse everything but reading below *readable*; it cannot be taken back."""
    roots = tuple(os.path.realpath(path) for path in readable)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED):
            raise PermissionError(f"the sandbox refuses {event}")
        if event == "open" and not isinstance(arguments[0], int):
            path, _, flags = arguments
            real = os.path.realpath(os.fsdecode(path))
            listed = any(real == root or real.startswith(root + os.sep) for root in roots)
            if (flags or 0) & _WRITING or not listed:
                raise PermissionError("the sandbox refuses to open files")

    sys.addaudithook(hook)
