"""Parts of answers: entity tags, the multipart framing of RFC 2387, pieces of a stream."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final

from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hilum.index.base import InstanceRecord

__all__ = [
    "CHUNK",
    "INLINE_BYTES",
    "PRIVATE",
    "RANGES",
    "etag_of",
    "gathered",
    "multipart_type",
    "new_boundary",
    "part_head",
    "part_of",
    "ranged",
    "whole_multipart",
]

CHUNK: Final = 1 << 18
"""Bytes of a piece that is read at once."""
INLINE_BYTES: Final = 1 << 20
"""What is no longer in all is read in the event loop: a read from the page cache costs less than a thread."""
PRIVATE: Final = (b"cache-control", b"private, no-cache")
"""Answers may be kept by the client alone, and are asked for again; an ETag makes that cheap."""
RANGES: Final = (b"accept-ranges", b"bytes")


def etag_of(record: InstanceRecord, *variant: object) -> bytes:
    """Entity tag of something that is made from one object alone."""
    return b'"%s%s"' % (record.sha256[:12].hex().encode(), "".join(f"-{part}" for part in variant).encode())


def ranged(
    request: http.Request, etag: bytes, length: int, content_type: str, *more: tuple[bytes, bytes]
) -> tuple[http.ByteRange, http.Headers] | Answer:
    """Begin an answer that may be a part of a body of ``length`` bytes, ``more`` are headers of any answer.

    Returns
    -------
    tuple of ByteRange and headers, or Answer
        What to send, with all headers but Content-Length; an answer when nothing is sent: 304 or 416.
    """
    headers: http.Headers = [(b"etag", etag), PRIVATE, RANGES, *more]
    if http.etag_matches(request, etag):
        return http.empty(304, *headers)
    part = http.apply_range(request, length, etag)
    headers += part.headers
    if part.status == 416:
        return http.text(416, "nothing of it is in that range", *headers)
    return part, [*headers, (b"content-type", content_type.encode())]


def multipart_type(part_type: str, boundary: str) -> tuple[bytes, bytes]:
    """Content-Type of a multipart answer (RFC 2387)."""
    return b"content-type", f'multipart/related; type="{part_type}"; boundary={boundary}'.encode()


def new_boundary() -> str:
    """128 random bits: some clients search for the text alone (W-5)."""
    return token_hex(16)


def part_head(boundary: str, content_type: str, length: int) -> bytes:
    """Boundary and headers of a part; the names are spelt as clients look for them (W-1)."""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n".encode()


def whole_multipart(
    part_type: str, content_type: str, bodies: Sequence[bytes], *headers: tuple[bytes, bytes]
) -> Answer:
    """Give bodies that are in memory as one multipart answer."""
    boundary = new_boundary()
    pieces: list[bytes] = []
    for body in bodies:
        pieces += [part_head(boundary, content_type, len(body)), body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    whole = Pieces(pieces)
    length = (b"content-length", b"%d" % len(whole))
    return Answer(200, [multipart_type(part_type, boundary), length, *headers], whole)


def part_of(pieces: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Bytes from ``start`` to ``stop`` of what the pieces are together."""
    at = 0
    for piece in pieces:
        end = at + len(piece)
        if end > start and at < stop:
            yield bytes(piece[max(start - at, 0) : stop - at])
        at = end
        if at >= stop:
            return


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces joined, so that each crossing to a thread brings some work."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
