"""What is put together comes apart again, the same for any chunking, and nothing crashes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hilum._multipart import MultipartParser, parse_content_type
from hilum.errors import HilumError

BOUNDARY = st.text("abcXYZ0-'()+_,./:=?", min_size=1, max_size=20).map(str.encode)
TRICKY = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"a", b"ab", b" ", b"\t", b"A: b\r\n", b"--a--"]
        ),
        st.binary(max_size=8),
    ),
    max_size=20,
).map(b"".join)
HEADERS = st.dictionaries(
    st.text("abcdef-", min_size=1, max_size=8), st.text('abc/;="é ', max_size=20).map(str.strip), max_size=4
)
Result = tuple[list[tuple[dict[str, str], bytes]], str]


def run(boundary: bytes, body: bytes, cuts: list[int]) -> Result:
    """Parts and how it ended, for one way to cut the body."""
    parser = MultipartParser(boundary, max_header_bytes=200)
    parts: list[tuple[dict[str, str], bytes]] = []
    edges = sorted({min(c, len(body)) for c in cuts} | {0, len(body)})
    try:
        for begin, end in itertools.pairwise(edges):
            for event in parser.feed(body[begin:end]):
                if event[0] == "headers":
                    parts.append((event[1], b""))
                elif event[0] == "data":
                    parts[-1] = (parts[-1][0], parts[-1][1] + bytes(event[1]))
        parser.finish()
    except HilumError as error:
        return parts, type(error).__name__
    return parts, "finished"


@given(BOUNDARY, st.lists(st.tuples(HEADERS, TRICKY), max_size=4), st.binary(max_size=9), st.lists(st.integers(0, 400)))
def test_round_trip(
    boundary: bytes, parts: list[tuple[dict[str, str], bytes]], epilogue: bytes, cuts: list[int]
) -> None:
    parts = [(h, d) for h, d in parts if b"--" + boundary not in b"\r\n" + d]
    body = b"\r\n"
    for headers, data in parts:
        lines = b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items())
        body += b"--" + boundary + b"\r\n" + lines + b"\r\n" + data + b"\r\n"
    body += b"--" + boundary + b"--" + epilogue
    assert run(boundary, body, cuts) == (parts, "finished")


@given(TRICKY, st.lists(st.integers(0, 300), max_size=30))
def test_any_bytes_the_same_for_any_chunking(body: bytes, cuts: list[int]) -> None:
    for prefix in (
        b"",
        b"--a\r\n",
        b"--a\n",
        b"--a\r\n\r\n",
        b"--a\n\n",
        b"--a\n\n\n--a\n",
        b"--a\r\nA: 1\r\n\r\n\r\n--a\r\n",
    ):
        whole, ending = run(b"a", prefix + body, [])
        assert run(b"a", prefix + body, cuts) == (whole, ending)
        assert run(b"a", prefix + body, list(range(len(prefix + body)))) == (whole, ending)


@given(st.text(max_size=60))
def test_any_content_type(value: str) -> None:
    _, parameters = parse_content_type(value)
    assert all(name == name.strip().lower() for name in parameters)
