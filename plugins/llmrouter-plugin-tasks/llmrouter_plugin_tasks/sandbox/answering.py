"""The process that runs an answer's code and does what the tests ask of it.

It sees neither the tests nor the pipe of the verdict.
This module runs in the sandbox's interpreter and imports the standard library only.
"""

import traceback
from typing import Any, TextIO

from llmrouter_plugin_tasks.sandbox.wire import Broken, decode, encode, receive, send


def serve(code: str, incoming: TextIO, outgoing: TextIO) -> None:
    """Run *code*, offer the names it defines, and obey until the tests end."""
    objects: list[Any] = []

    def refer(value: Any) -> int:
        objects.append(value)
        return len(objects) - 1

    space: dict[str, Any] = {"__name__": "answer"}
    try:
        exec(compile(code, "answer", "exec"), space)  # noqa: S102 - which is what this is for
    except BaseException as error:  # noqa: BLE001 - sys.exit too is a failure
        send(outgoing, _raised(error))
        return
    names = {name: value for name, value in space.items() if not name.startswith("__")}
    send(outgoing, {"names": {name: _guarded(value, refer) for name, value in names.items()}})
    while True:
        try:
            order = receive(incoming)
        except Broken:
            return
        try:
            send(outgoing, _obey(order, objects, refer))
        except BaseException as error:  # noqa: BLE001 - it belongs to the tests, whatever it is
            send(outgoing, _raised(error))


def _guarded(value: Any, refer: Any) -> Any:
    try:
        return encode(value, refer)
    except Exception:  # noqa: BLE001 - a value that resists is passed by reference
        return {"reference": refer(value)}


def _obey(order: dict[str, Any], objects: list[Any], refer: Any) -> dict[str, Any]:
    target = objects[order["target"]]
    given = decode(order["arguments"], objects.__getitem__)
    if order["do"] == "get":
        return {"value": encode(getattr(target, given[0]), refer)}
    if order["do"] == "set":
        setattr(target, given[0], given[1])
        return {"value": None}
    before = order["arguments"]
    value = target(*given, **decode(order["named"], objects.__getitem__))
    # What the call changed in its arguments is sent back, unless it went into the value.
    after = [
        encode(item, refer) if isinstance(item, list | dict | set) else None for item in given
    ]
    changed = {
        str(place): item
        for place, item in enumerate(after)
        if item is not None and item != before[place]
    }
    return {"value": encode(value, refer), "changed": changed}


def _raised(error: BaseException) -> dict[str, Any]:
    said = "".join(traceback.format_exception_only(error)).strip()
    return {"raised": type(error).__name__, "said": said[-300:]}
