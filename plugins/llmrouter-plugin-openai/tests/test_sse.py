"""The parser of server-sent events follows the standard, however the bytes are cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_plugin_openai.sse import LONGEST, EventParser, LineTooLong


def parse(*pieces: bytes) -> list[str]:
    parser = EventParser()
    return [data for piece in pieces for data in parser.feed(piece)]


def reference(body: bytes) -> list[str]:
    """Return the events of a whole body, in the words of the standard."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\r|\n", text)[:-1]  # what follows the last line end is incomplete
    events, data = [], None
    for line in lines:
        if not line:
            if data is not None:
                events.append(data)
            data = None
        else:
            name, _, value = line.partition(":")
            if name == "data":
                value = value.removeprefix(" ")
                data = value if data is None else f"{data}\n{value}"
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\r\n\r\ndata: b\r\rdata:  c\n\n", ["a", "b", " c"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b": comment\ndata: a\ndata: b\n\n", ["a\nb"]),
        (b"event: x\nid: 1\nretry: 5\ndata\ndata\n\n", ["\n"]),
        (b"data: \xc3\xa9\xff\n\n", ["é\ufffd"]),
        (b"Data: a\n data: b\n\n: only a comment\n\n\n\n", []),
        (b"data: never finished\n", []),
        (b"data: never finished\n\ndata: [DONE]", ["never finished"]),
    ],
)
def test_the_standard_is_followed(body: bytes, events: list[str]) -> None:
    """Line ends, byte order mark, comments, fields, broken UTF-8 and a cut end."""
    assert parse(body) == reference(body) == events


lines = st.sampled_from(
    [
        b"",
        b"data: a",
        b"data:",
        b"data",
        b": c",
        b"data: \xe2\x82\xac",
        b"event: x",
        b"\xef\xbb\xbf",
    ]
) | st.binary(max_size=6)
bodies = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12).map(
    lambda rows: b"".join(line + end for line, end in rows)
)


@given(bodies, st.lists(st.integers(0, 120), max_size=20))
def test_the_cuts_do_not_matter(body: bytes, cuts: list[int]) -> None:
    """Any chunking gives the events of the whole body, empty pieces included."""
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]

    assert parse(*pieces) == parse(*(bytes([byte]) for byte in body)) == reference(body)


@pytest.mark.parametrize("size", [1 << 20, 4096, 65536 + 1])
def test_an_endless_line_is_refused(size: int) -> None:
    """A line of a megabyte is read, a longer one is an error, however it arrives."""
    good = b"data:" + b"x" * (LONGEST - 5)

    assert [len(data) for data in parse(*cut(good + b"\n\n", size))] == [LONGEST - 5]
    with pytest.raises(LineTooLong):
        parse(*cut(good + b"x", size))


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]
