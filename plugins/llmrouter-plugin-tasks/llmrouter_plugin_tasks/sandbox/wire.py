"""Carry values between the process of the tests and the process of the answer, as plain data.

What has no plain form travels as a reference to where it lives. Nothing that is read here can
run code: the side of the tests trusts no byte it is sent.
This module runs in the sandbox's interpreter and imports the standard library only.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any, TextIO

LONGEST = 8 * 1024 * 1024
"""Characters of one message, at most."""

_ITEMS = 100_000  # of an iterator, at most


class Broken(Exception):
    """The other side ended, or sent what is no message."""


def send(pipe: TextIO, message: Any) -> None:
    """Write one message."""
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def receive(pipe: TextIO) -> dict[str, Any]:
    """Read one message.

    Raises:
        Broken: There is none, or it is too long or malformed.
    """
    line = pipe.readline(LONGEST)
    if not line:
        raise Broken("the answer's code ended the process")
    if not line.endswith("\n"):
        raise Broken("the answer's code returned too much")
    try:
        message = json.loads(line)
    except ValueError as error:
        raise Broken("the answer's code sent nonsense") from error
    if not isinstance(message, dict):
        raise Broken("the answer's code sent nonsense")
    return message


def encode(value: Any, refer: Callable[[Any], int]) -> Any:
    """Return *value* as JSON-able data; *refer* gives a number to what has no plain form."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [encode(item, refer) for item in value]
    if isinstance(value, dict):
        pairs = [[encode(k, refer), encode(v, refer)] for k, v in dict.items(value)]
        return {"dict": pairs}
    for name, kind in (("tuple", tuple), ("set", set), ("frozenset", frozenset), ("deque", deque)):
        if isinstance(value, kind):
            return {name: [encode(item, refer) for item in value]}
    if type(value) in (bytes, bytearray):
        return {type(value).__name__: value.hex()}
    if type(value) is complex:
        return {"complex": [value.real, value.imag]}
    if type(value) is range:
        return {"range": [value.start, value.stop, value.step]}
    if type(value) in (Fraction, Decimal):
        return {type(value).__name__: str(value)}
    if isinstance(value, Iterator):
        return {"iterator": [encode(item, refer) for item in islice(value, _ITEMS)]}
    return {"reference": refer(value)}


def decode(data: Any, resolve: Callable[[int], Any]) -> Any:
    """Return the value that *data* stands for; *resolve* finds what a number refers to."""
    if isinstance(data, list):
        return [decode(item, resolve) for item in data]
    if not isinstance(data, dict):
        return data
    [(kind, inner)] = data.items()
    if kind == "dict":
        return {decode(key, resolve): decode(value, resolve) for key, value in inner}
    if kind == "reference":
        return resolve(int(inner))
    if kind in ("bytes", "bytearray"):
        plain = bytes.fromhex(inner)
        return plain if kind == "bytes" else bytearray(plain)
    if kind in ("Fraction", "Decimal"):
        return {"Fraction": Fraction, "Decimal": Decimal}[kind](inner)
    if kind in ("complex", "range"):
        return {"complex": complex, "range": range}[kind](*inner)
    items = [decode(item, resolve) for item in inner]
    make: dict[str, Callable[[Any], Any]] = {
        "tuple": tuple,
        "set": set,
        "frozenset": frozenset,
        "deque": deque,
        "iterator": iter,
    }
    return make[kind](items)
