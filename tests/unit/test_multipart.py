"""Multipart bodies as clients send them, right and wrong."""

from __future__ import annotations

from array import array

import pytest

from hilum._multipart import MultipartParser, parse_content_type
from hilum.errors import DataError, LimitExceeded, UsageError

Part = tuple[dict[str, str], bytes]


def parse(body: bytes, boundary: bytes = b"b", step: int | None = None) -> list[Part]:
    """All parts of a body, fed in steps; checks that events come in order."""
    parser = MultipartParser(boundary)
    parts: list[Part] = []
    data: list[bytes] | None = None
    for at in range(0, len(body), step or len(body)):
        for event in parser.feed(body[at : at + (step or len(body))]):
            if event[0] == "headers":
                assert data is None
                parts.append((event[1], b""))
                data = []
            elif event[0] == "data":
                assert data is not None
                assert len(event[1])
                data.append(bytes(event[1]))
            else:
                assert data is not None
                parts[-1] = (parts[-1][0], b"".join(data))
                data = None
    parser.finish()
    assert parser.finished
    return parts


DICOM = {"content-type": "application/dicom"}
CASES: list[tuple[str, bytes, list[Part]]] = [
    ("plain", b"--b\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--b--", [(DICOM, b"abc")]),
    ("preamble of a line end", b"\r\n--b\r\nContent-Type:application/dicom\r\n\r\nabc\r\n--b--\r\n", [(DICOM, b"abc")]),
    ("preamble and epilogue", b"hello\r\n--bx\r\n--b\r\n\r\nabc\r\n--b--\r\nbye\r\n--b\r\n", [({}, b"abc")]),
    ("two parts", b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\nA: 2\r\n\r\ny\r\n--b--", [({"a": "1"}, b"x"), ({"a": "2"}, b"y")]),
    ("no headers", b"--b\r\n\r\nabc\r\n--b\r\n\r\ndef\r\n--b--", [({}, b"abc"), ({}, b"def")]),
    ("blanks after boundaries", b"--b \t\r\n\r\nabc\r\n--b  \r\n\r\nd\r\n--b-- \r\n", [({}, b"abc"), ({}, b"d")]),
    ("empty bodies", b"--b\r\nA: 1\r\n\r\n\r\n--b\r\nA: 2\r\n\r\n--b--", [({"a": "1"}, b""), ({"a": "2"}, b"")]),
    ("no blank line", b"--b\r\nA: 1\r\n--b\r\n--b--", [({"a": "1"}, b""), ({}, b"")]),
    ("LF only", b"--b\nA: 1\n\nx\r\n\ny\n--b--\n", [({"a": "1"}, b"x\r\n\ny")]),
    ("CRLF body keeps LF", b"--b\r\n\r\nx\n--b\ny\r\n--b--\n", [({}, b"x\n--b\ny")]),
    (
        "boundary as a prefix",
        b"--b\r\n\r\nx\r\n--bb\r\n--b-\r\n--b \rz\r\n--b--",
        [({}, b"x\r\n--bb\r\n--b-\r\n--b \rz")],
    ),
    ("CR before delimiter", b"--b\r\n\r\nx\r\r\n--b\r\r\n--b--", [({}, b"x\r\r\n--b\r")]),
    ("CRLF CRLF before", b"--b\r\n\r\nx\r\n\r\n--b--", [({}, b"x\r\n")]),
    ("body starts with the delimiter's start", b"--b\r\n\r\n--bc\r\n--b--", [({}, b"--bc")]),
    ("folded header", b"--b\r\nA: 1;\r\n\t b=2\r\nA: 3\r\n\r\n\r\n--b--", [({"a": "1; b=2, 3"}, b"")]),
    ("UTF-8 and Latin-1", b"--b\r\nA: \xc3\xa9\r\nB: \xe9\r\n\r\n\r\n--b--", [({"a": "é", "b": "é"}, b"")]),
    ("nothing", b"--b--", []),
]


@pytest.mark.parametrize(("body", "parts"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("step", [None, 1, 2, 3, 5, 7])
def test_parts(body: bytes, parts: list[Part], step: int | None) -> None:
    assert parse(body, step=step) == parts


def test_quoted_boundary() -> None:
    assert parse(b"--a b'()+_,-./:=?\r\n\r\nx\r\n--a b'()+_,-./:=?--", b'"a b\'()+_,-./:=?"') == [({}, b"x")]


def test_long_padding_is_data() -> None:
    body = b"--b\r\n\r\nx\r\n--b" + b" " * 2000 + b"\r\n--b--"
    assert parse(body) == parse(body, step=1) == [({}, b"x\r\n--b" + b" " * 2000)]


@pytest.mark.parametrize("cut", range(1, 62))
def test_cut_short(cut: int) -> None:
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--b\r\n\r\nd\r\n--b--"
    parser = MultipartParser(b"b")
    parser.feed(body[:-cut])
    assert not parser.finished
    with pytest.raises(DataError, match=r"ends before|no part"):
        parser.finish()


def test_wrong_boundary() -> None:
    with pytest.raises(DataError, match="no part"):
        parse(b"--b\r\n\r\nx\r\n--b--", b"other")


@pytest.mark.parametrize("boundary", [b"", b"x" * 257, b"a\r\nb", b"a\nb", b'""'])
def test_bad_boundary(boundary: bytes) -> None:
    with pytest.raises(UsageError):
        MultipartParser(boundary)


def test_bad_header_then_refused() -> None:
    parser = MultipartParser(b"b")
    with pytest.raises(DataError, match="colon") as caught:
        parser.feed(b"--b\r\nno colon here\r\n\r\n")
    assert caught.value.offset == 5
    assert "no colon here" not in str(caught.value)
    with pytest.raises(UsageError):
        parser.feed(b"x")


@pytest.mark.parametrize("step", [1, 100, 10**6])
@pytest.mark.parametrize("line", [b"A: 1\r\n", b"x"])
def test_headers_are_bounded(step: int, line: bytes) -> None:
    parser = MultipartParser(b"b", max_header_bytes=500)
    body = b"--b\r\n" + line * 2000
    chunks = (body[at : at + step] for at in range(0, len(body), step))
    with pytest.raises(LimitExceeded, match="500"):
        [parser.feed(chunk) for chunk in chunks]


def test_any_buffer_and_no_copy() -> None:
    body = b"--b\r\n\r\n" + b"x" * 1000 + b"\r\n--b--"
    for chunk in (bytearray(body), memoryview(body), array("B", body)):
        events = MultipartParser(b"b").feed(chunk)
        assert [e[0] for e in events] == ["headers", "data", "end"]
    (_, view) = MultipartParser(b"b").feed(body)[1]
    assert isinstance(view, memoryview)
    assert view.obj is body
    with pytest.raises(TypeError):
        MultipartParser(b"b").feed("text")  # type: ignore[arg-type]


@pytest.mark.parametrize("filler", [b"\r", b"\r\n", b"\r\n--", b"\r\n--b", b"\r\n--b ", b"\n", b"-"])
def test_hostile_fillers(filler: bytes) -> None:
    data = filler * 20000 + b"x"
    body = b"--bb\r\n\r\n" + data + b"\r\n--bb--"
    assert parse(body, b"bb") == parse(body, b"bb", step=4096) == [({}, data)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("multipart/related; type=application/dicom; boundary=abc", {"type": "application/dicom", "boundary": "abc"}),
        (
            'Multipart/Related;TYPE="application/dicom";Boundary="a;b=c"',
            {"type": "application/dicom", "boundary": "a;b=c"},
        ),
        (
            r'multipart/related; boundary="a\"b\\c" ; x=1;',
            {"boundary": r"a\"b\\c".replace("\\\\", "\\").replace('\\"', '"'), "x": "1"},
        ),
        ("multipart/related; ; flag; boundary = abc ;boundary=second", {"boundary": "abc"}),
        ('multipart/related; boundary="unterminated', {"boundary": "unterminated"}),
        (
            "multipart/related; type=application/dicom; transfer-syntax=*",
            {"type": "application/dicom", "transfer-syntax": "*"},
        ),
        ("multipart/related", {}),
    ],
)
def test_content_type(value: str, expected: dict[str, str]) -> None:
    assert parse_content_type(value) == ("multipart/related", expected)


def test_content_type_of_a_part() -> None:
    assert parse_content_type('application/dicom;transfer-syntax="1.2.840.10008.1.2.4.90"') == (
        "application/dicom",
        {"transfer-syntax": "1.2.840.10008.1.2.4.90"},
    )


def test_one_byte_chunks_of_half_delimiters() -> None:
    data = b"\r\n--" * 50000
    assert parse(b"--b\r\n\r\n" + data + b"\r\n--b--", step=1) == [({}, data)]


def test_events_come_before_the_error_after_them() -> None:
    parser = MultipartParser(b"b")
    assert [e[0] for e in parser.feed(b"--b\r\n\r\nx\r\n--b\r\nbad\r\n")] == ["headers", "data", "end"]
    with pytest.raises(DataError, match="colon"):
        parser.finish()
    with pytest.raises(UsageError):
        parser.feed(b"x")
