"""Rendered resources of WADO-RS (PS3.18 8.3.5, 10.4.1.1.3): images by the core, documents and video as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from hilum.codecs.registry import can_decode
from hilum.dicomweb import http
from hilum.dicomweb.frames import check_frames
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.icons import document_icon
from hilum.dicomweb.negotiate import STORED_MEDIA, NotAcceptable, choose_rendered, parse_accept
from hilum.dicomweb.parts import PRIVATE, etag_of, multipart_type, new_boundary, part_head
from hilum.dicomweb.routing import parse_frames
from hilum.errors import DataError, NotFound, UsageError
from hilum.pixels.pipeline import RenderSettings, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.wado import Retrieve
    from hilum.index.base import InstanceRecord

__all__ = ["RenderQuery", "Rendered", "parse_render_query"]

_IMAGES: Final = ("image/jpeg", "image/png")
_FORMATS: Final[dict[str, Literal["jpeg", "png"]]] = {"image/jpeg": "jpeg", "image/png": "png"}
_MAX_SIDE: Final = 16384
_THUMBNAIL: Final = 128
_MAX_THUMBNAIL: Final = 512
_THUMBNAIL_QUALITY: Final = 75
_QUALITY: Final = 90
_FUNCTIONS: Final[dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]]] = {
    "": "LINEAR",
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "linear_exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}
_ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_ENCAPSULATED: Final = {
    _ENCAPSULATED_PDF: "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
_DOCUMENT: Final = "00420011"
_DOCUMENT_LENGTH: Final = "00420015"


@dataclass(slots=True)
class RenderQuery:
    """What the query of a rendered resource asks for."""

    settings: RenderSettings = field(default_factory=RenderSettings)
    has_viewport: bool = False
    warnings: list[str] = field(default_factory=list)


def _numbers(name: str, value: str, least: int, most: int) -> list[float | None]:
    """Numbers separated by commas; an empty one is None."""
    pieces = value.split(",")
    if not least <= len(pieces) <= most:
        raise UsageError(f"{name} must be {least} to {most} numbers, separated by commas")
    try:
        numbers = [float(piece) if piece.strip() else None for piece in pieces]
    except ValueError:
        raise UsageError(f"{name} must be {least} to {most} numbers, separated by commas") from None
    if any(number is not None and not math.isfinite(number) for number in numbers):
        raise UsageError(f"{name} must be finite numbers")
    return numbers


def _viewport(value: str, settings: RenderSettings) -> RenderSettings:
    numbers = _numbers("viewport", value, 2, 6)
    width, height = numbers[0] or 0, numbers[1] or 0
    if not (0 <= width <= _MAX_SIDE and 0 <= height <= _MAX_SIDE):
        raise UsageError(f"the viewport must be from 1 to {_MAX_SIDE} pixels wide and high")
    settings = replace(settings, width=round(width), height=round(height))
    if len(numbers) == 2:
        return settings
    x, y, columns, rows = (number or 0 for number in [*numbers[2:], 0, 0, 0][:4])
    if columns < 0 or rows < 0:
        raise UsageError("a viewport that flips the image is not supported")
    if x < 0 or y < 0 or max(x, y, columns, rows) > 65535:
        raise UsageError("the region of the viewport lies outside of every image")
    return replace(settings, region=(round(x), round(y), round(columns), round(rows)))


def _window(value: str) -> Window:
    center, found, rest = value.partition(",")
    width, _, function = rest.partition(",")
    if not found or function.strip().lower() not in _FUNCTIONS:
        raise UsageError("window must be center,width[,function] with the function linear, linear-exact or sigmoid")
    numbers = _numbers("window", f"{center},{width}", 2, 2)
    if numbers[0] is None or numbers[1] is None:
        raise UsageError("window must have a center and a width")
    name = _FUNCTIONS[function.strip().lower()]
    if numbers[1] < (1 if name == "LINEAR" else 1e-9):
        raise UsageError("the width of the window must be at least 1 for linear, above 0 for the others")
    return Window(numbers[0], numbers[1], name)


def parse_render_query(pairs: Sequence[tuple[str, str]]) -> RenderQuery:
    """Parameters of PS3.18 8.3.5.1.

    Raises
    ------
    UsageError
        A value that cannot be.
    """
    found = RenderQuery(RenderSettings(quality=_QUALITY))
    for name, value in pairs:
        folded = name.lower()
        if folded == "viewport":
            found.settings = _viewport(value, found.settings)
            found.has_viewport = True
        elif folded == "window":
            found.settings = replace(found.settings, window=_window(value))
        elif folded == "quality":
            if not value.isdigit() or not 1 <= int(value[:4]) <= 100:
                raise UsageError("quality must be a number from 1 to 100")
            found.settings = replace(found.settings, quality=int(value))
        elif folded in ("annotation", "iccprofile") and value.lower() not in ("", "no"):
            found.warnings.append(f"The {folded} parameter is not supported and was ignored")
    return found


class Rendered:
    """Answers rendered resources and thumbnails."""

    def __init__(self, archive: Archive, pool: Pool, retrieve: Retrieve) -> None:
        self._retrieve = archive.retrieve
        self._pool = pool
        self._stored = retrieve

    # rendered

    async def image(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a study, series, instance or frames as images; an instance that is a document or video as that."""
        ranges = parse_accept(request.accept)
        query = parse_render_query(request.query)
        if match.endpoint.level == "frame":
            record = self._stored.record(match)
            numbers = parse_frames(match.frames)
            check_frames(self._retrieve.frame_count(record), numbers)
            media_type, multipart = choose_rendered(ranges, _IMAGES)
            if len(numbers) > 1 or multipart:
                return self._many(query, [(record, number - 1) for number in numbers], media_type)
            return await self.one(request, record, numbers[0] - 1, query, media_type)
        records = await self._stored.records(match)
        if match.instance and not self._is_image(records[0]):
            return await self._not_an_image(request, records[0], match)
        media_type, multipart = choose_rendered(ranges, _IMAGES)
        if multipart:
            every = [(record, frame) for record in records for frame in range(self._renderable_frames(record))]
            return self._many(query, every, media_type)
        record = records[0] if match.instance else self._retrieve.representative(records)
        frame = self._retrieve.frame_count(record) // 2 if not match.instance else 0
        return await self.one(request, record, frame, query, media_type)

    async def one(
        self, request: Request, record: InstanceRecord, frame: int, query: RenderQuery, media_type: str
    ) -> Answer:
        """One frame (from 0) as one image."""
        etag = etag_of(record, "r", frame, *_variant(query.settings, media_type))
        headers: http.Headers = [(b"etag", etag), PRIVATE, (b"vary", b"Accept")]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        if not can_decode(record.transfer_syntax_uid):
            raise NotAcceptable(f"frames in {record.transfer_syntax_uid} cannot be decoded; ask for them as stored")
        settings = replace(query.settings, format=_FORMATS[media_type])
        body = await self._pool.run(self._retrieve.rendered, record, frame, settings)
        headers += [(b"warning", f'299 hilum: "{text}"'.encode()) for text in query.warnings]
        headers += [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        return Answer(200, headers, body)

    def _many(self, query: RenderQuery, frames: Sequence[tuple[InstanceRecord, int]], media_type: str) -> Stream:
        if not frames:
            raise NotFound("nothing here has pixel data")
        boundary = new_boundary()
        settings = replace(query.settings, format=_FORMATS[media_type])

        def pieces() -> Iterator[bytes]:
            for record, frame in frames:
                body = self._retrieve.rendered(record, frame, settings)
                yield part_head(boundary, media_type, len(body)) + body + b"\r\n"
            yield f"--{boundary}--\r\n".encode()

        return Stream(200, [multipart_type(media_type, boundary), PRIVATE], self._stored.in_thread(pieces()))

    def _is_image(self, record: InstanceRecord) -> bool:
        return self._retrieve.frame_count(record) > 0 and not _is_video(record)

    def _renderable_frames(self, record: InstanceRecord) -> int:
        return self._retrieve.frame_count(record) if self._is_image(record) else 0

    async def _not_an_image(self, request: Request, record: InstanceRecord, match: Match) -> Answer | Stream:
        ranges = parse_accept(request.accept)
        if _is_video(record):
            kind = STORED_MEDIA[record.transfer_syntax_uid][0]
            _, multipart = choose_rendered(ranges, (kind, "application/octet-stream"))
            return await self._whole(request, record, kind, multipart=multipart, size=None)
        kind = _ENCAPSULATED.get(record.sop_class_uid, "")
        if not kind:
            raise NotAcceptable("the instance has no pixel data and no document; its content is in the metadata")
        chosen, multipart = choose_rendered(ranges, (kind, "application/octet-stream"))
        return await self._whole(request, record, chosen, multipart=multipart, size=0)

    async def _whole(
        self, request: Request, record: InstanceRecord, kind: str, *, multipart: bool, size: int | None
    ) -> Answer | Stream:
        """Give a document (``size`` 0) or a video stream as one body, with Range so that players can seek."""
        if size is None:
            body = await self._pool.run(self._retrieve.stored_frame, record, 0)
        else:
            body = await self._pool.run(self._document, record)
        if multipart:
            boundary = new_boundary()
            whole = part_head(boundary, kind, len(body)) + body + f"\r\n--{boundary}--\r\n".encode()
            return Answer(
                200, [multipart_type(kind, boundary), (b"content-length", str(len(whole)).encode()), PRIVATE], whole
            )
        etag = etag_of(record, "w")
        headers: http.Headers = [(b"etag", etag), PRIVATE, (b"accept-ranges", b"bytes"), (b"vary", b"Accept")]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        part = http.apply_range(request, len(body), etag)
        headers += part.headers
        if part.status == 416:
            return http.text(416, "nothing of it is in that range", *headers)
        headers += [(b"content-type", kind.encode()), (b"content-length", str(part.length).encode())]
        if kind in ("text/xml", "model/stl", "model/obj", "model/mtl"):
            headers.append((b"content-disposition", b"attachment"))  # never a page of our origin (P53)
        return Answer(part.status, headers, bytes(memoryview(body)[part.start : part.stop]))

    def _document(self, record: InstanceRecord) -> bytes:
        body = self._retrieve.bulkdata(record, _DOCUMENT)
        try:
            length = int.from_bytes(self._retrieve.bulkdata(record, _DOCUMENT_LENGTH), "little")
        except (NotFound, UsageError):
            return body
        return body[:length] if 0 < len(body) - length <= 1 else body

    # thumbnails

    async def thumbnail(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a small image of a study, series, instance or frame; an icon for what has no pixels (W-19)."""
        query = parse_render_query(request.query)
        settings = query.settings
        side = max(settings.width, settings.height) if query.has_viewport else 0
        side = min(side or _THUMBNAIL, _MAX_THUMBNAIL)
        ranges = parse_accept(request.accept)
        records = await self._stored.records(match)
        pictures = [r for r in records if self._is_image(r) and can_decode(r.transfer_syntax_uid)]
        if not pictures:
            return self._icon(request, side, choose_rendered(ranges, ("image/png", "image/jpeg"))[0])
        media_type, _ = choose_rendered(ranges, _IMAGES)
        record = self._retrieve.representative(pictures)
        count = self._retrieve.frame_count(record)
        frame = count // 2
        if match.frames:
            numbers = parse_frames(match.frames)
            check_frames(count, numbers)
            frame = numbers[0] - 1
        quality = settings.quality if any(name == "quality" for name, _ in request.query) else _THUMBNAIL_QUALITY
        small = replace(settings, width=side, height=side, quality=quality)
        try:
            return await self.one(request, record, frame, replace(query, settings=small), media_type)
        except DataError:  # damaged pixels: viewers would give up on thumbnails altogether
            return self._icon(request, side, choose_rendered(ranges, ("image/png", "image/jpeg"))[0])

    def _icon(self, request: Request, side: int, media_type: str) -> Answer:
        if media_type != "image/png":
            raise NotAcceptable("the instance has no pixel data; its icon is answered as image/png")
        body = document_icon(side)
        etag = b'"icon-%d"' % side
        headers: http.Headers = [(b"etag", etag), PRIVATE]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        length = (b"content-length", str(len(body)).encode())
        return Answer(200, [*headers, (b"content-type", b"image/png"), length], body)


def _is_video(record: InstanceRecord) -> bool:
    return STORED_MEDIA.get(record.transfer_syntax_uid, ("",))[0].startswith("video/")


def _variant(settings: RenderSettings, media_type: str) -> list[object]:
    """Give what distinguishes one rendering from another, fit for an entity tag."""
    window = settings.window
    parts: list[object] = [media_type[6:], settings.quality, settings.width, settings.height]
    if window is not None:
        parts += [f"{window.center:g}", f"{window.width:g}", window.function]
    if settings.region is not None:
        parts += list(settings.region)
    return parts
