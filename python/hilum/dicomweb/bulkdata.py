"""Bulk data of WADO-RS (PS3.18 10.4.1.1.5): the value of one element in little endian, pixel data also as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.archive.stored_object import object_of_record
from hilum.archive.transcode import native_pixels
from hilum.dicom.scan import FrameTable
from hilum.dicomweb.frames import frame_choice
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.negotiate import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    NATIVE,
    FrameChoice,
    choose_bulkdata,
    parse_accept,
)
from hilum.dicomweb.parts import (
    CHUNK,
    PRIVATE,
    etag_of,
    gathered,
    multipart_type,
    new_boundary,
    part_head,
    part_of,
    ranged,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.archive.archive import Archive
    from hilum.dicomweb.frames import Frames
    from hilum.dicomweb.negotiate import MediaRange
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.wado import Retrieve
    from hilum.index.base import InstanceRecord

__all__ = ["BulkData"]

_PIXEL_DATA: Final = frozenset({"7FE00010", "7FE00008", "7FE00009"})
_OCTETS: Final = "application/octet-stream"


class BulkData:
    """Answers retrievals of bulk data."""

    def __init__(self, archive: Archive, web: Retrieve, frames: Frames) -> None:
        self._retrieve = archive.retrieve
        self._web = web
        self._frames = frames

    async def answer(self, request: Request, match: Match) -> Answer | Stream:
        """Answer the value of one element (W-18)."""
        ranges = parse_accept(request.accept)
        record = self._web.record(match)
        path = match.path.strip("/").upper()
        if path in _PIXEL_DATA and record.pixels is not None:
            found = await self._pixels(request, record, ranges)
            if found is not None:
                return found
        multipart = choose_bulkdata(ranges)
        size, pieces = await self._web.pool.run(self._retrieve.bulkdata_stream, record, path)
        if multipart:
            return self._one_part(size, pieces)
        return await self._ranged(request, record, path, size, pieces)

    async def _ranged(
        self, request: Request, record: InstanceRecord, path: str, size: int, pieces: Iterator[bytes]
    ) -> Answer | Stream:
        begun = ranged(request, etag_of(record, path.replace("/", ".")), size, _OCTETS)
        if isinstance(begun, Answer):
            return begun
        part, headers = begun
        return Stream(part.status, headers, self._web.in_thread(part_of(pieces, part.start, part.stop)), part.length)

    def _one_part(self, size: int, pieces: Iterator[bytes]) -> Stream:
        boundary = new_boundary()
        head, tail = part_head(boundary, _OCTETS, size), f"\r\n--{boundary}--\r\n".encode()

        def whole() -> Iterator[bytes]:
            yield head
            yield from pieces
            yield tail

        headers = [multipart_type(_OCTETS, boundary), PRIVATE]
        return Stream(200, headers, self._web.in_thread(gathered(whole())), len(head) + size + len(tail))

    # Pixel data

    async def _pixels(
        self, request: Request, record: InstanceRecord, ranges: tuple[MediaRange, ...]
    ) -> Answer | Stream | None:
        """Pixel data: native as one value, compressed as frames (PS3.18 8.7.3.3.2); None: as any other element."""
        table = FrameTable(record.frame_table)
        stored = record.transfer_syntax_uid
        if not len(table):
            return None
        choice = _choice(ranges, record)
        numbers = list(range(1, len(table) + 1))
        if choice.transfer_syntax not in NATIVE:
            several = FrameChoice(
                choice.as_stored, choice.media_type, choice.transfer_syntax, choice.multipart or len(table) > 1
            )
            etag = etag_of(record, "pixels", several.media_type[-5:], several.transfer_syntax, int(several.multipart))
            return await self._frames.chosen(request, record, numbers, several, etag)
        if choice.as_stored and (table.inflated or stored == EXPLICIT_BIG_ENDIAN):
            return None
        if choice.as_stored:
            first, size = table[0].fragments[0][0], (table.frame_bits * len(table) + 7) // 8
            if not choice.multipart:
                return self._web.stored_bytes(request, record, _OCTETS, first, size)
            return self._one_part(size, self._retrieve.stream(record, first, size, chunk=CHUNK))
        size, pieces = await self._web.pool.run(lambda: native_pixels(object_of_record(self._retrieve, record)))
        if choice.multipart:
            return self._one_part(size, pieces)
        content_type = f"{_OCTETS}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}".encode()
        return Stream(200, [(b"content-type", content_type), PRIVATE], self._web.in_thread(pieces), size)


def _choice(ranges: tuple[MediaRange, ...], record: InstanceRecord) -> FrameChoice:
    """As for one frame; whoever takes anything gets octets as stored, native ones not in multipart."""
    first, stored = ranges[0], record.transfer_syntax_uid
    if first.type == "*/*" and first.transfer_syntax in ("", "*"):
        own = EXPLICIT_LITTLE_ENDIAN if stored in NATIVE else stored
        return FrameChoice(True, _OCTETS, own, first.multipart)
    return frame_choice(ranges, record, several=False)
