"""WADO-RS (PS3.18 10.4).

Whole objects, metadata, frames, bulk data. What is stored goes out as it is, without a look inside.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final
from zlib import crc32

from hilum.archive import transcode
from hilum.archive.transcode import can_transcode, native_frame
from hilum.codecs.registry import can_decode
from hilum.dicom.scan import FrameTable
from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Pieces, Request, Stream
from hilum.dicomweb.negotiate import (
    EXPLICIT_LITTLE_ENDIAN,
    NATIVE,
    FrameChoice,
    NotAcceptable,
    ObjectChoice,
    choose_bulkdata,
    choose_frames,
    choose_metadata,
    choose_objects,
    parse_accept,
)
from hilum.dicomweb.routing import parse_frames
from hilum.dicomweb.small_cache import SmallCache
from hilum.dicomweb.xml import multipart_xml
from hilum.dicomweb.zip import zip_pieces
from hilum.errors import DataError, NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.routing import Match
    from hilum.index.base import InstanceRecord

__all__ = ["Retrieve", "etag_of"]

CHUNK: Final = 1 << 18
INLINE_BYTES: Final = 1 << 20
"""What is no longer in all is read in the event loop: a read from the page cache costs less than a thread."""
_GZIP_FROM_BYTES: Final = 4096
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BODIES_BYTES: Final = 32 << 20
_KNOWN_SERIES: Final = 512
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_PIXEL_DATA: Final = frozenset({"7FE00010", "7FE00008", "7FE00009"})
PRIVATE: Final = (b"cache-control", b"private, no-cache")
"""Answers may be kept by the client alone, and are asked for again; an ETag makes that cheap."""
_RANGES: Final = (b"accept-ranges", b"bytes")
_OCTETS: Final = "application/octet-stream"


def etag_of(record: InstanceRecord, *variant: object) -> bytes:
    """Entity tag of something that is made from one object alone."""
    return b'"%s%s"' % (record.sha256[:12].hex().encode(), "".join(f"-{part}" for part in variant).encode())


def multipart_type(part_type: str, boundary: str) -> tuple[bytes, bytes]:
    """Content-Type of a multipart answer (RFC 2387)."""
    return b"content-type", f'multipart/related; type="{part_type}"; boundary={boundary}'.encode()


def new_boundary() -> str:
    """128 random bits: some clients search for the text alone (W-5)."""
    return token_hex(16)


def part_head(boundary: str, content_type: str, length: int) -> bytes:
    """Boundary and headers of a part; the names are spelt as clients look for them (W-1)."""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n".encode()


class Retrieve:
    """Answers retrievals of what is stored."""

    def __init__(self, archive: Archive, pool: Pool) -> None:
        self._archive = archive
        self._retrieve = archive.retrieve
        self._pool = pool
        self._bodies = SmallCache(_BODIES_BYTES)
        self._tags: dict[tuple[str, str], tuple[int, str]] = {}

    # finding

    def record(self, match: Match) -> InstanceRecord:
        """Give the one instance that a path names; one look-up, in the event loop."""
        return self._retrieve.records(match.study, match.series, match.instance)[0]

    def find(self, sop_instance_uid: str) -> InstanceRecord | None:
        """Give an instance by its UID alone."""
        return self._retrieve.lookup([sop_instance_uid])[0]

    def frame_count(self, record: InstanceRecord) -> int:
        """Frames of an instance."""
        return self._retrieve.frame_count(record)

    async def records(self, match: Match) -> list[InstanceRecord]:
        """Give the instances that a path names, in display order."""
        if match.instance:
            return [self.record(match)]
        return await self._pool.run(self._retrieve.records, match.study, match.series or None)

    async def in_thread(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Pieces that are read from disk or computed, each in a thread."""
        while True:
            piece = await self._pool.run(next, pieces, None)
            if piece is None:
                return
            yield piece

    # whole objects

    async def objects(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a study, series or instance as DICOM files."""
        choices = choose_objects(parse_accept(request.accept), single=bool(match.instance))
        records = await self.records(match)
        choice, possible = _feasible(choices, records)
        if choice.form == "single":
            return await self.one_object(request, records[0], choice)
        if choice.form == "zip":
            return self._zip(possible, choice)
        if len(records) == 1 and _goes_out_as_stored(records[0], choice.transfer_syntax):
            record = records[0]
            if record.location.length <= INLINE_BYTES and request.method != "HEAD":
                return _whole_multipart(
                    "application/dicom", _file_type(record.transfer_syntax_uid), [self._retrieve.read(record)], PRIVATE
                )
        return self._multipart(possible, choice, partial=len(possible) < len(records))

    async def one_object(self, request: Request, record: InstanceRecord, choice: ObjectChoice) -> Answer | Stream:
        """Answer an instance as a bare DICOM file."""
        if not _can_give(record, choice.transfer_syntax):
            raise NotAcceptable(
                f"the instance is stored in {record.transfer_syntax_uid} and cannot be given in the one asked for"
            )
        if _goes_out_as_stored(record, choice.transfer_syntax):
            return self.stored_bytes(
                request,
                record,
                f"application/dicom; transfer-syntax={record.transfer_syntax_uid}",
                0,
                record.location.length,
            )
        made = await self._pool.run(transcode.transcode, self._retrieve, record)
        content_type = f"application/dicom; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}".encode()
        headers = [(b"content-type", content_type), PRIVATE]
        return Stream(200, headers, self.in_thread(made.pieces), made.length)

    def stored_bytes(
        self, request: Request, record: InstanceRecord, content_type: str, start: int, length: int
    ) -> Answer | Stream:
        """Answer a range of the stored object as a single-part answer, with ETag and Range."""
        etag = etag_of(record, start, length)
        headers = [(b"etag", etag), PRIVATE, _RANGES]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        part = http.apply_range(request, length, etag)
        headers += part.headers
        if part.status == 416:
            return http.text(416, "nothing of the object is in that range", *headers)
        headers.append((b"content-type", content_type.encode()))
        if request.method == "HEAD" or not part.length:
            return Answer(part.status, [*headers, (b"content-length", str(part.length).encode())])
        if part.length <= INLINE_BYTES:
            headers.append((b"content-length", b"%d" % part.length))
            return Answer(part.status, headers, self._retrieve.read(record, start + part.start, part.length))
        pieces = self._retrieve.stream(record, start + part.start, part.length, chunk=CHUNK)
        return Stream(part.status, headers, self.in_thread(pieces), part.length)

    def _zip(self, records: Sequence[InstanceRecord], choice: ObjectChoice) -> Stream:
        def files() -> Iterator[tuple[str, Iterator[bytes]]]:
            for record in records:
                name = f"{record.study_instance_uid}/{record.series_instance_uid}/{record.sop_instance_uid}.dcm"
                yield name, self._object_pieces(record, choice.transfer_syntax)[1]

        headers = [
            (b"content-type", b"application/zip"),
            PRIVATE,
            (b"content-disposition", b'attachment; filename="study.zip"'),
        ]
        return Stream(200, headers, self.in_thread(zip_pieces(files())))

    def _object_pieces(self, record: InstanceRecord, syntax: str) -> tuple[int, Iterator[bytes]]:
        if _goes_out_as_stored(record, syntax):
            return record.location.length, self._retrieve.stream(record, chunk=CHUNK)
        made = transcode.transcode(self._retrieve, record)
        return made.length, made.pieces

    def _multipart(self, records: Sequence[InstanceRecord], choice: ObjectChoice, *, partial: bool) -> Stream:
        boundary = new_boundary()
        closing = f"--{boundary}--\r\n".encode()
        length: int | None = None
        if all(_goes_out_as_stored(record, choice.transfer_syntax) for record in records):
            sizes = ((record.location.length, _file_type(record.transfer_syntax_uid)) for record in records)
            length = sum(len(part_head(boundary, kind, size)) + size + 2 for size, kind in sizes) + len(closing)

        def pieces() -> Iterator[bytes]:
            for record in records:
                syntax = _outgoing_syntax(record, choice.transfer_syntax)
                try:
                    size, content = self._object_pieces(record, syntax)
                except DataError:  # one that cannot be decoded goes out as stored, and its part says so
                    syntax = record.transfer_syntax_uid
                    size, content = self._object_pieces(record, syntax)
                yield part_head(boundary, _file_type(syntax), size)
                yield from content
                yield b"\r\n"
            yield closing

        headers = [multipart_type("application/dicom", boundary), PRIVATE]
        if partial:
            headers.append(
                (b"warning", b'299 hilum: "Some instances cannot be given in that transfer syntax and are left out"')
            )
        return Stream(206 if partial else 200, headers, self.in_thread(_gathered(pieces())), length)

    # metadata

    async def metadata(self, request: Request, match: Match) -> Answer | Stream:
        """Answer data sets without their bulk data."""
        form = choose_metadata(parse_accept(request.accept))
        base = request.base_url()
        packed = form == "json" and http.accepts_gzip(request)
        form += f"-{crc32(base.encode()):x}"
        tag = self._unchanged(match) if not match.instance else ""
        body = self._bodies.get(f"{tag}-{form}-{packed}") if tag else None
        records: Sequence[InstanceRecord] = ()
        if body is None:
            sequence = self._last_event()
            records = await self.records(match)
            tag = self._retrieve.metadata_etag(records)[:24]
            if not match.instance:
                self._remember(match, sequence, tag)
        etag = f'"{tag}-{form}"'.encode()
        headers = [(b"etag", b"W/" + etag), PRIVATE, (b"vary", b"Accept, Accept-Encoding")]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        if form.startswith("xml"):
            plain = await self._pool.run(self._retrieve.metadata, records, base)
            return await self._pool.run(multipart_xml, plain, headers)
        if body is None:
            body = await self._metadata_body(records, base, packed=packed)
            self._bodies.put(f"{tag}-{form}-{packed}", body)
        if body[:2] == _GZIP_MAGIC:
            headers.append((b"content-encoding", b"gzip"))
        headers += [http.JSON_TYPE, (b"content-length", str(len(body)).encode())]
        return Answer(200, headers, body)

    async def _metadata_body(self, records: Sequence[InstanceRecord], base: str, *, packed: bool) -> bytes:
        if len(records) == 1:
            body = self._retrieve.metadata(records, base)
        else:
            body = await self._pool.run(self._retrieve.metadata, records, base)
        if packed and len(body) >= _GZIP_FROM_BYTES:
            return await self._pool.run(http.gzip_json, body)
        return body

    def _unchanged(self, match: Match) -> str:
        """Tag of a study or series when nothing has happened in the archive since it was made, else empty."""
        sequence, tag = self._tags.get((match.study, match.series), (0, ""))
        return tag if tag and not self._archive.events(sequence, 1) else ""

    def _last_event(self) -> int:
        event = self._archive.index.last_event()
        return event.sequence if event is not None else 0

    def _remember(self, match: Match, sequence: int, tag: str) -> None:
        while len(self._tags) >= _KNOWN_SERIES:
            del self._tags[next(iter(self._tags))]
        self._tags[match.study, match.series] = (sequence, tag)

    # frames

    async def frames(self, request: Request, match: Match) -> Answer | Stream:
        """Frames as stored, or decoded to native."""
        numbers = parse_frames(match.frames)
        record = self.record(match)
        stored = record.transfer_syntax_uid
        choice = choose_frames(
            parse_accept(request.accept), stored, several=len(numbers) > 1, can_decode=lambda: can_decode(stored)
        )
        check_frames(self._retrieve.frame_count(record), numbers)
        etag = etag_of(
            record, *numbers[:4], len(numbers), choice.media_type[-5:], int(choice.as_stored), int(choice.multipart)
        )
        if http.etag_matches(request, etag):
            return http.empty(304, (b"etag", etag), PRIVATE)
        size, make = self._frame_maker(record, choice)
        if size is not None and size(numbers) <= INLINE_BYTES:
            return _frames_answer(request, [make(number - 1) for number in numbers], choice, etag)
        if len(numbers) == 1 or (size is not None and size(numbers) <= INLINE_BYTES * 16):
            bodies = await self._pool.run(lambda: [make(number - 1) for number in numbers])
            return _frames_answer(request, bodies, choice, etag)
        sizes = None if size is None else [self._retrieve.frame_size(record, number - 1) for number in numbers]
        return self._frames_stream(numbers, make, choice, etag, sizes)

    def _frame_maker(
        self, record: InstanceRecord, choice: FrameChoice
    ) -> tuple[Callable[[list[int]], int] | None, Callable[[int], bytes]]:
        """How to make a frame (from 0); and what frames cost when they are only read, else None."""
        if not choice.as_stored:
            return None, lambda frame: native_frame(self._retrieve, record, frame)
        if record.transfer_syntax_uid == _BIG_ENDIAN:
            return None, lambda frame: native_frame(self._retrieve, record, frame)
        if choice.media_type == "image/jp2":
            return None, lambda frame: jp2_boxed(self._retrieve.stored_frame(record, frame))
        if FrameTable(record.frame_table).inflated:
            return None, lambda frame: self._retrieve.stored_frame(record, frame)
        return (
            lambda numbers: sum(self._retrieve.frame_size(record, number - 1) for number in numbers),
            lambda frame: self._retrieve.stored_frame(record, frame),
        )

    def _frames_stream(
        self,
        numbers: list[int],
        make: Callable[[int], bytes],
        choice: FrameChoice,
        etag: bytes,
        sizes: Sequence[int] | None,
    ) -> Stream:
        boundary = new_boundary()
        closing = f"--{boundary}--\r\n".encode()
        length = None
        if sizes is not None:
            heads = sum(len(part_head(boundary, choice.content_type, size)) + 2 for size in sizes)
            length = heads + sum(sizes) + len(closing)

        def pieces() -> Iterator[bytes]:
            for number in numbers:
                body = make(number - 1)
                yield part_head(boundary, choice.content_type, len(body))
                yield body
                yield b"\r\n"
            yield closing

        headers = [multipart_type(choice.media_type, boundary), (b"etag", etag), PRIVATE]
        return Stream(200, headers, self.in_thread(_gathered(pieces())), length)

    # bulk data

    async def bulkdata(self, request: Request, match: Match) -> Answer | Stream:
        """Answer the value of one element in little endian (W-18)."""
        multipart = choose_bulkdata(parse_accept(request.accept))
        record = self.record(match)
        path = match.path.strip("/").upper()
        if path in _PIXEL_DATA and record.pixels is not None:
            found = self._pixel_bulkdata(request, record, multipart=multipart)
            if found is not None:
                return await found
        size, pieces = await self._pool.run(self._retrieve.bulkdata_stream, record, path)
        if multipart:
            return self._one_part(size, pieces, _OCTETS)
        return await self._ranged(request, record, path, size, pieces)

    async def _ranged(
        self, request: Request, record: InstanceRecord, path: str, size: int, pieces: Iterator[bytes]
    ) -> Answer | Stream:
        etag = etag_of(record, path.replace("/", "."))
        headers = [(b"etag", etag), PRIVATE, _RANGES]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        part = http.apply_range(request, size, etag)
        headers += part.headers
        if part.status == 416:
            return http.text(416, "nothing of the element is in that range", *headers)
        headers.append((b"content-type", _OCTETS.encode()))
        return Stream(part.status, headers, self.in_thread(_slice(pieces, part.start, part.stop)), part.length)

    def _one_part(self, size: int, pieces: Iterator[bytes], content_type: str) -> Stream:
        boundary = new_boundary()
        head, tail = part_head(boundary, content_type, size), f"\r\n--{boundary}--\r\n".encode()

        def whole() -> Iterator[bytes]:
            yield head
            yield from pieces
            yield tail

        headers = [multipart_type(content_type, boundary), PRIVATE]
        return Stream(200, headers, self.in_thread(_gathered(whole())), len(head) + size + len(tail))

    def _pixel_bulkdata(
        self, request: Request, record: InstanceRecord, *, multipart: bool
    ) -> Awaitable[Answer | Stream] | None:
        """Pixel data: native as the range that it is, encapsulated as frames."""
        table = FrameTable(record.frame_table)
        if not len(table) or table.inflated:
            return None
        if record.transfer_syntax_uid in NATIVE and record.transfer_syntax_uid != _BIG_ENDIAN:
            first = table[0].fragments[0][0]
            size = (table.frame_bits * len(table) + 7) // 8
            return self._native_pixels(request, record, first, size, multipart=multipart)
        if record.transfer_syntax_uid in NATIVE:
            return None
        choice = FrameChoice(True, _OCTETS, record.transfer_syntax_uid, multipart or len(table) > 1)
        make = lambda frame: self._retrieve.stored_frame(record, frame)  # noqa: E731 - one of two forms of the same
        return self._encapsulated_pixels(request, record, len(table), make, choice)

    async def _native_pixels(
        self, request: Request, record: InstanceRecord, first: int, size: int, *, multipart: bool
    ) -> Answer | Stream:
        if not multipart:
            return self.stored_bytes(request, record, _OCTETS, first, size)
        return self._one_part(size, self._retrieve.stream(record, first, size, chunk=CHUNK), _OCTETS)

    async def _encapsulated_pixels(
        self, request: Request, record: InstanceRecord, frames: int, make: Callable[[int], bytes], choice: FrameChoice
    ) -> Answer | Stream:
        etag = etag_of(record, "pixels", int(choice.multipart))
        if choice.multipart:
            numbers = list(range(1, frames + 1))
            sizes = [self._retrieve.frame_size(record, number - 1) for number in numbers]
            return self._frames_stream(numbers, make, choice, etag, sizes)
        return _frames_answer(request, [await self._pool.run(make, 0)], choice, etag)


def check_frames(count: int, numbers: Sequence[int]) -> None:
    """Refuse frames that do not exist with 404 (W-21)."""
    if not count:
        raise NotFound("the instance has no frames")
    if max(numbers) > count:
        raise NotFound(f"the instance has {count} frame{'s' if count > 1 else ''}; numbers begin with 1")


def _goes_out_as_stored(record: InstanceRecord, syntax: str) -> bool:
    return syntax in ("*", record.transfer_syntax_uid)


def _outgoing_syntax(record: InstanceRecord, syntax: str) -> str:
    return record.transfer_syntax_uid if syntax == "*" else syntax


def _file_type(syntax: str) -> str:
    return f"application/dicom; transfer-syntax={syntax}"


def _can_give(record: InstanceRecord, syntax: str) -> bool:
    return _goes_out_as_stored(record, syntax) or (syntax == EXPLICIT_LITTLE_ENDIAN and can_transcode(record))


def _feasible(
    choices: Sequence[ObjectChoice], records: Sequence[InstanceRecord]
) -> tuple[ObjectChoice, Sequence[InstanceRecord]]:
    """Give the first way that gives all the instances, else the first that gives some, with those."""
    best: tuple[ObjectChoice, Sequence[InstanceRecord]] | None = None
    for choice in choices:
        possible = [record for record in records if _can_give(record, choice.transfer_syntax)]
        if len(possible) == len(records):
            return choice, records
        if possible and best is None:
            best = choice, possible
    if best is None:
        raise NotAcceptable(
            "cannot be given in that transfer syntax; given are the stored one (transfer-syntax=*) and, where "
            f"frames can be decoded, {EXPLICIT_LITTLE_ENDIAN}"
        )
    return best


def _frames_answer(request: Request, bodies: list[bytes], choice: FrameChoice, etag: bytes) -> Answer:
    if not choice.multipart:
        body = bodies[0]
        headers = [(b"content-type", choice.content_type.encode()), (b"etag", etag), PRIVATE, _RANGES]
        part = http.apply_range(request, len(body), etag)
        if part.status == 416:
            return http.text(416, "nothing of the frame is in that range", (b"etag", etag), *part.headers)
        headers += [*part.headers, (b"content-length", str(part.length).encode())]
        return Answer(
            part.status, headers, body if part.status == 200 else memoryview(body)[part.start : part.stop].tobytes()
        )
    return _whole_multipart(choice.media_type, choice.content_type, bodies, (b"etag", etag), PRIVATE)


def _whole_multipart(
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


def _slice(pieces: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Bytes from ``start`` to ``stop`` of what the pieces are together."""
    at = 0
    for piece in pieces:
        end = at + len(piece)
        if end > start and at < stop:
            yield bytes(piece[max(start - at, 0) : stop - at])
        at = end
        if at >= stop:
            return


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
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


_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  \r\n\x87\n"


def jp2_boxed(codestream: bytes) -> bytes:
    """Give a JPEG 2000 codestream in the boxes of a JP2 file (ISO/IEC 15444-1 I.4) that ``image/jp2`` promises."""
    if not codestream.startswith(_CODESTREAM) or len(codestream) < 49:
        return codestream
    width, height, x, y = (int.from_bytes(codestream[at : at + 4], "big") for at in (8, 12, 16, 20))
    components = int.from_bytes(codestream[40:42], "big")
    depth = codestream[42]
    width, height = width - x, height - y
    header = (
        height.to_bytes(4, "big") + width.to_bytes(4, "big") + components.to_bytes(2, "big") + bytes((depth, 7, 0, 0))
    )
    colour = b"\1\0\0" + (16 if components >= 3 else 17).to_bytes(4, "big")
    boxes = _box(b"ihdr", header) + _box(b"colr", colour)
    return _JP2_SIGNATURE + _box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + _box(b"jp2h", boxes) + _box(b"jp2c", codestream)


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content
