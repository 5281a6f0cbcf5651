"""The parser of server-sent events follows the standard, however the bytes are cut."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_plugin_openai.sse import LONGEST, EventParser


@pytest.fixture(autouse=True)
def transport() -> None:
    """Nothing is sent here."""


def parse(*pieces: bytes) -> list[bytes]:
    parser = EventParser()
    found = [data for piece in pieces for data in parser.feed(piece)]
    assert not parser.overlong
    return found


def reference(body: bytes) -> list[bytes]:
    """Return the events of a whole body, in the words of the standard."""
    text = body.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\r|\n", text)[:-1]  # what follows the last line end is incomplete
    events, data = [], None
    for line in lines:
        if not line:
            if data is not None:
                events.append(data)
            data = None
        else:
            name, _, value = line.partition(b":")
            if name == b"data":
                value = value.removeprefix(b" ")
                data = value if data is None else b"%b\n%b" % (data, value)
    return events


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\r\n\r\ndata: b\r\rdata:  c\n\n", [b"a", b"b", b" c"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": comment\ndata: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: x\nid: 1\nretry: 5\ndata\ndata\n\n", [b"\n"]),
        (b"data: \xc3\xa9\xff\n\n", [b"\xc3\xa9\xff"]),
        (b"Data: a\n data: b\n\n: only a comment\n\n\n\n", []),
        (b"data: never finished\n", []),
        (b"data: never finished\n\ndata: [DONE]", [b"never finished"]),
    ],
)
def test_the_standard_is_followed(body: bytes, events: list[bytes]) -> None:
    """Line ends, byte order mark, comments, fields, untouched bytes and a cut end."""
    assert parse(body) == reference(body) == events


lines = st.sampled_from(
    [
        b"",
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


pieces = st.lists(
    st.sampled_from(
        [
            b"data: a\n\n",
            b"data: b\r\r",
            b"data: c\r\n\r\n",
            b"data: d\n",
            b"data: e\rdata: f\n\n",
            b"data:",
            b" ",
            b"x",
            b"\n",
            b"\r",
            b"\xef\xbb\xbf",
        ]
    ),
    max_size=8,
)


@given(pieces)
def test_what_was_carried_over_counts(pieces: list[bytes]) -> None:
    """Pieces that would be whole events are not, behind the start of a line or of an event."""
    assert parse(*pieces) == reference(b"".join(pieces))


def test_long_lines_are_counted_one_by_one() -> None:
    """Together they may be longer than one may be."""
    line = b"data:" + b"x" * (LONGEST * 2 // 3)

    assert [len(data) for data in parse(line, b"\n" + line, b"\n\n")] == [2 * len(line) - 9]


@pytest.mark.parametrize("size", [1 << 22, 1 << 20, 4096, 65536 + 1])
@pytest.mark.parametrize("end", [b"", b"\n\ndata: b\n\n"])
def test_an_endless_line_is_refused(size: int, end: bytes) -> None:
    """A line of a megabyte is read, a longer one and what follows it is not, however it comes."""
    good = b"data: a\n\ndata:" + b"x" * (LONGEST - 5)

    assert [len(data) for data in parse(*cut(good + b"\n\n", size))] == [1, LONGEST - 5]
    parser = EventParser()
    found = [data for piece in cut(good + b"x" + end, size) for data in parser.feed(piece)]
    assert parser.overlong
    assert found == [b"a"]


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]
