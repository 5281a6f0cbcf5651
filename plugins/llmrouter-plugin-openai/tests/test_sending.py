"""A payload that remembers its text is sent on as it came, but for the fields that are ours."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core import BadRequest, Model, Payload
from llmrouter_plugin_openai.faults import Place
from llmrouter_plugin_openai.sending import body_of

PLACE = Place("small", "api.example.org")
MODEL = Model(name="small", id="lab/small")
OURS = {"model", "stream", "stream_options"}


@pytest.fixture(autouse=True)
def transport() -> None:
    """Nothing is sent here."""


def written(name: str) -> st.SearchStrategy[str]:
    """Return the ways in which a string can be written in JSON: plain, escaped, in capitals."""
    escaped = "".join(f"\\u{unit:04x}" for unit in units(name))
    return st.sampled_from(
        [
            json.dumps(name, ensure_ascii=False),
            json.dumps(name),
            f'"{escaped}"',
            '"' + "".join(f"\\u{unit:04X}" for unit in units(name)) + '"',
        ]
    )


def units(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


blanks = st.text(" \t\n\r", max_size=2)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
scalars = st.sampled_from(
    [
        "0",
        "-0",
        "1.0",
        "1.50",
        "1e5",
        "1E+5",
        "-0.0e-00",
        "2.5e-400",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "0.1000000000000000055511151231257827",
        '"\\/"',
        '"\\ud83d\\ude00"',
        '"\\u0000"',
        '""',
    ]
) | texts.flatmap(written)


def inside(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaced = st.tuples(blanks, inner, blanks).map("".join)
    pair = st.tuples(blanks, texts.flatmap(written), blanks, st.just(":"), spaced).map("".join)
    return st.lists(spaced, max_size=3).map(lambda found: f"[{','.join(found)}]") | st.lists(
        pair, max_size=3
    ).map(lambda found: f"{{{','.join(found)}}}")


values = st.recursive(scalars, inside, max_leaves=8)
names = texts | st.sampled_from(["messages", "tools", "seed", "llmrouter", *OURS])
objects = st.lists(
    st.tuples(names.flatmap(lambda n: st.tuples(st.just(n), written(n))), values, blanks),
    max_size=6,
)


def parsed(text: str | bytes) -> Any:
    """Return JSON with its numbers as they are written."""
    return json.loads(text, parse_int=lambda n: ["int", n], parse_float=lambda n: ["float", n])


@given(objects, st.booleans())
def test_the_bytes_of_other_fields_are_untouched(
    fields: list[tuple[tuple[str, str], str, str]], stream: bool
) -> None:
    """Any object, any spelling; of a name that comes twice the last value counts, as always."""
    inner = ",".join(f"{pad}{name}{pad}:{pad}{value}{pad}" for (_, name), value, pad in fields)
    source = f"{{{inner}}}"
    last = {name: value for (name, _), value, _ in fields}
    payload = Payload(json.loads(source), source.encode())
    options = payload.get("stream_options")
    if options and not isinstance(options, dict) and stream and payload.get("stream") is not False:
        with pytest.raises(BadRequest):
            body_of(PLACE, MODEL, payload, stream=stream)
        return
    sent = body_of(PLACE, MODEL, payload, stream=stream)
    streamed = stream and payload.get("stream") is not False

    kept = {name: value for name, value in last.items() if name not in OURS}
    got = parsed(sent)
    assert {name: got[name] for name in kept} == {n: parsed(value) for n, value in kept.items()}
    assert all(value.encode() in sent for value in kept.values())
    assert got["model"] == "lab/small"
    assert got["stream"] is streamed
    assert got.keys() == kept.keys() | (OURS if streamed else {"model", "stream"})
    if streamed:
        assert got["stream_options"]["include_usage"] is True
        assert json.loads(sent)["stream_options"] == {**(options or {}), "include_usage": True}


def test_a_field_stays_where_it_was() -> None:
    """To the byte, and in order."""
    source = b'{ "seed":1.0, "model" : "auto", "x":[ 1e5,"\\u00e9"] ,"stream":true}'
    payload = Payload(json.loads(source), source)

    assert body_of(PLACE, MODEL, payload, stream=False) == (
        b'{"seed":1.0,"model":"lab/small","x":[ 1e5,"\\u00e9"],"stream":false}'
    )


def test_a_field_that_was_taken_out_is_not_sent() -> None:
    """Such as one that was for the router."""
    source = b'{"messages":[],"llmrouter":{"tradeoff":0.3}}'
    payload = Payload({"messages": []}, source)

    assert b"llmrouter" not in body_of(PLACE, MODEL, payload, stream=True)


@pytest.mark.parametrize("source", [b"", b"[]", b'{"messages":', b'{"other":1}', b"\xff"])
def test_a_source_that_is_not_the_payloads_is_not_used(source: bytes) -> None:
    """The fields are what counts, and are written anew."""
    payload = Payload({"messages": [], "seed": 1}, source)
    sent = body_of(PLACE, MODEL, payload, stream=False)

    assert json.loads(sent) == {
        "messages": [],
        "seed": 1,
        "model": "lab/small",
        "stream": False,
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), "\ud800"])
def test_what_is_not_json_is_a_bad_request(value: Any) -> None:
    """Without a source as with one that does not fit."""
    for payload in ({"x": value}, Payload({"x": value}, b"{}")):
        with pytest.raises(BadRequest, match="the payload is not JSON"):
            body_of(PLACE, MODEL, payload, stream=True)
