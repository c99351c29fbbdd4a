"""Frames of WADO-RS (PS3.18 10.4.1.1.6): as stored, decoded, or encoded again; nothing is read of other frames."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from hilum.archive.stored_object import object_of_record
from hilum.archive.transcode import frame_in_syntax, in_order, native_frame
from hilum.codecs.encode import LOSSLESS, is_lossy
from hilum.codecs.jp2 import jp2_boxed
from hilum.codecs.registry import can_decode
from hilum.dicom.scan import FrameTable
from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.negotiate import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    FrameChoice,
    NotAcceptable,
    choose_frames,
    parse_accept,
)
from hilum.dicomweb.parts import (
    INLINE_BYTES,
    PRIVATE,
    RANGES,
    etag_of,
    gathered,
    multipart_type,
    new_boundary,
    part_head,
    whole_multipart,
)
from hilum.dicomweb.routing import parse_frames
from hilum.dicomweb.syntaxes import can_make
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hilum.archive.archive import Archive
    from hilum.dicomweb.negotiate import MediaRange
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.wado import Retrieve
    from hilum.index.base import InstanceRecord

__all__ = ["Frames", "check_frames", "frame_choice"]

_GATHERED_BYTES: Final = 16 << 20
"""Stored frames up to this many bytes in all are answered from memory."""


def check_frames(count: int, numbers: Sequence[int]) -> None:
    """Refuse frames that do not exist with 404 (W-21)."""
    if not count:
        raise NotFound("the instance has no frames")
    if max(numbers) > count:
        raise NotFound(f"the instance has {count} frame{'s' if count > 1 else ''}; numbers begin with 1")


def frame_choice(ranges: tuple[MediaRange, ...], record: InstanceRecord, *, several: bool) -> FrameChoice:
    """How frames of an instance are answered: `choose_frames` with what can be made of it."""
    stored = record.transfer_syntax_uid
    return choose_frames(
        ranges,
        stored,
        several=several,
        can_decode=lambda: can_decode(stored),
        can_make=lambda syntax: can_make(record, syntax) and not is_lossy(syntax, LOSSLESS),
    )


class Frames:
    """Answers retrievals of frames."""

    def __init__(self, archive: Archive, web: Retrieve) -> None:
        self._retrieve = archive.retrieve
        self._web = web

    async def answer(self, request: Request, match: Match) -> Answer | Stream:
        """Answer the frames of a path."""
        numbers = parse_frames(match.frames)
        record = self._web.record(match)
        choice = frame_choice(parse_accept(request.accept), record, several=len(numbers) > 1)
        check_frames(self._retrieve.frame_count(record), numbers)
        kind = (choice.media_type[-5:], choice.transfer_syntax, int(choice.as_stored), int(choice.multipart))
        etag = etag_of(record, *numbers[:4], len(numbers), *kind)
        if http.etag_matches(request, etag):
            return http.empty(304, (b"etag", etag), PRIVATE)
        return await self.chosen(request, record, numbers, choice, etag)

    async def chosen(
        self, request: Request, record: InstanceRecord, numbers: list[int], choice: FrameChoice, etag: bytes
    ) -> Answer | Stream:
        """Answer frames (from 1) in the way that was chosen."""
        size, make = self._maker(record, choice)
        total = None if size is None else sum(map(size, numbers))
        if total is not None and total <= INLINE_BYTES:
            return _in_memory(request, [make(number) for number in numbers], choice, etag)
        if len(numbers) == 1 or (total is not None and total <= _GATHERED_BYTES):
            try:
                bodies = await self._web.pool.run(lambda: [make(number) for number in numbers])
            except UsageError as error:  # what only the frame tells
                raise NotAcceptable(str(error)) from None
            return _in_memory(request, bodies, choice, etag)
        return self._stream(numbers, make, choice, etag, size)

    def _maker(
        self, record: InstanceRecord, choice: FrameChoice
    ) -> tuple[Callable[[int], int] | None, Callable[[int], bytes]]:
        """How large a frame (from 1) is where it is only read, else None; and how to make it."""
        retrieve = self._retrieve
        if not choice.as_stored and choice.transfer_syntax != EXPLICIT_LITTLE_ENDIAN:
            stored = cache(lambda: object_of_record(retrieve, record))
            return None, lambda number: _boxed(
                frame_in_syntax(stored(), number - 1, choice.transfer_syntax, LOSSLESS), choice
            )
        if not choice.as_stored or record.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN:
            return None, lambda number: native_frame(retrieve, record, number - 1)
        if choice.media_type == "image/jp2" or FrameTable(record.frame_table).inflated:
            return None, lambda number: _boxed(retrieve.stored_frame(record, number - 1), choice)
        return (
            lambda number: retrieve.frame_size(record, number - 1),
            lambda number: retrieve.stored_frame(record, number - 1),
        )

    def _stream(
        self,
        numbers: list[int],
        make: Callable[[int], bytes],
        choice: FrameChoice,
        etag: bytes,
        size: Callable[[int], int] | None,
    ) -> Stream:
        boundary = new_boundary()
        closing = f"--{boundary}--\r\n".encode()
        length = None
        if size is not None:
            sizes = [size(number) for number in numbers]
            heads = sum(len(part_head(boundary, choice.content_type, one)) + 2 for one in sizes)
            length = heads + sum(sizes) + len(closing)

        def pieces() -> Iterator[bytes]:
            made = map(make, numbers) if size is not None else in_order(len(numbers), lambda at: make(numbers[at]))
            for body in made:
                yield part_head(boundary, choice.content_type, len(body))
                yield body
                yield b"\r\n"
            yield closing

        headers = [multipart_type(choice.media_type, boundary), (b"etag", etag), PRIVATE]
        return Stream(200, headers, self._web.in_thread(gathered(pieces())), length)


def _boxed(data: bytes, choice: FrameChoice) -> bytes:
    return jp2_boxed(data) if choice.media_type == "image/jp2" else data


def _in_memory(request: Request, bodies: list[bytes], choice: FrameChoice, etag: bytes) -> Answer:
    if choice.multipart:
        return whole_multipart(choice.media_type, choice.content_type, bodies, (b"etag", etag), PRIVATE)
    body = bodies[0]
    headers = [(b"content-type", choice.content_type.encode()), (b"etag", etag), PRIVATE, RANGES]
    part = http.apply_range(request, len(body), etag)
    if part.status == 416:
        return http.text(416, "nothing of the frame is in that range", (b"etag", etag), *part.headers)
    headers += [*part.headers, (b"content-length", str(part.length).encode())]
    return Answer(
        part.status, headers, body if part.status == 200 else memoryview(body)[part.start : part.stop].tobytes()
    )
