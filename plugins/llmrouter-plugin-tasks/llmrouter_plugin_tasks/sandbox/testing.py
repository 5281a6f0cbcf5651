"""The process that runs the tests and never the answer's code.

Names of the answer stand in the tests as stand-ins that ask the other process; only plain data
comes back, so that no object of the answer can claim to equal what it does not.
This module runs in the sandbox's interpreter and imports the standard library only.
"""

import builtins
from typing import Any, TextIO

from llmrouter_plugin_tasks.sandbox.wire import Broken, decode, encode, receive, send


class Failed(Exception):
    """The answer's code raised an error that is no built-in one."""


class Channel:
    """Asks the answer's process, and makes stand-ins for what lives there."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self.incoming = incoming
        self.outgoing = outgoing

    def names(self) -> dict[str, Any]:
        """Return what the answer defines, once its code ran to its end."""
        return {name: self.decode(value) for name, value in self._reply()["names"].items()}

    def decode(self, data: Any) -> Any:
        """Return a value as the tests see it."""
        return decode(data, lambda number: StandIn(self, number))

    def ask(self, do: str, target: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Have the other process call, get or set, and return or raise what came of it."""
        order = {
            "do": do,
            "target": target,
            "arguments": [encode(item, _number) for item in arguments],
            "named": encode(named, _number),
        }
        send(self.outgoing, order)
        reply = self._reply()
        for place, data in reply.get("changed", {}).items():
            _update(arguments[int(place)], self.decode(data))
        return self.decode(reply["value"])

    def _reply(self) -> dict[str, Any]:
        reply = receive(self.incoming)
        if "raised" not in reply:
            return reply
        kind = getattr(builtins, str(reply["raised"]), None)
        said = str(reply.get("said", ""))[-300:]
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not AssertionError:
            try:
                error = kind(said)
            except TypeError:  # such as UnicodeDecodeError, which wants more
                error = Failed(said)
            raise error
        raise Failed(said)


class StandIn:
    """Something of the answer's that has no plain form: a function, a class, an object."""

    __slots__ = ("_channel", "_number")

    def __init__(self, channel: Channel, number: int) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call what it stands for."""
        return self._channel.ask("call", self._number, arguments, named)

    def __getattr__(self, name: str) -> Any:
        return self._channel.ask("get", self._number, (name,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self._channel.ask("set", self._number, (name, value), {})


def _number(value: Any) -> int:
    if type(value) is StandIn:
        return int(value._number)
    raise TypeError(f"a test passes a {type(value).__name__}, which cannot be sent to the answer")


def _update(old: Any, new: Any) -> None:
    if type(old) is list and type(new) is list:
        old[:] = new
    elif type(old) is type(new) and type(old) in (dict, set):
        old.clear()
        old.update(new)


def judge(tests: str, incoming: TextIO, outgoing: TextIO) -> dict[str, Any]:
    """Run *tests* against the answer and return the verdict."""
    try:
        space = {**Channel(incoming, outgoing).names(), "__name__": "tests"}
        exec(compile(tests, "tests", "exec"), space)  # noqa: S102 - which is what this is for
    except BaseException as error:  # noqa: BLE001 - whatever is raised, the tests did not pass
        said = str(error) or type(error).__name__
        if isinstance(error, AssertionError):
            said = f"a test fails: {error}" if str(error) else "a test fails"
        elif not isinstance(error, Broken | Failed) and type(error).__name__ not in said:
            said = f"{type(error).__name__}: {error}"
        return {"passed": False, "reason": said[:500]}
    return {"passed": True, "reason": ""}
