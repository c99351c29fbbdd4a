"""Rendered resources of WADO-RS (PS3.18 8.3.5, 10.4.1.1.3): pictures, presentation states; documents and video."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hilum.archive.pictures import is_presentation_state
from hilum.archive.transcode import in_order
from hilum.codecs.registry import can_decode
from hilum.dicomweb import http
from hilum.dicomweb.documents import ENCAPSULATED, Documents, video_type
from hilum.dicomweb.frames import check_frames
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.icons import document_icon
from hilum.dicomweb.negotiate import NotAcceptable, choose_rendered, parse_accept
from hilum.dicomweb.parts import PRIVATE, etag_of, multipart_type, new_boundary, part_head
from hilum.dicomweb.render_query import Viewport, parse_render_query
from hilum.dicomweb.routing import parse_frames
from hilum.errors import DataError, NotFound, Unavailable, UsageError
from hilum.pixels.formats import FORMATS
from hilum.pixels.presentation_state import refuse_unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hilum.archive.archive import Archive
    from hilum.archive.pictures import PictureRequest
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.negotiate import MediaRange
    from hilum.dicomweb.render_query import RenderQuery
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.wado import Retrieve
    from hilum.index.base import InstanceRecord
    from hilum.pixels.formats import Picture

__all__ = ["PICTURES", "Rendered"]

PICTURES: Final = tuple(FORMATS)
"""Media types of pictures; the usual one first."""
_THUMBNAIL: Final = 128
_MAX_THUMBNAIL: Final = 512
_THUMBNAIL_QUALITY: Final = 75


class Rendered:
    """Answers rendered resources and thumbnails."""

    def __init__(self, archive: Archive, pool: Pool, retrieve: Retrieve) -> None:
        self._retrieve = archive.retrieve
        self._pictures = archive.pictures
        self._overlays = archive.overlays
        self._pool = pool
        self._stored = retrieve
        self._documents = Documents(archive.retrieve, pool)

    # rendered

    async def image(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a study, series, instance or frames as pictures; a document or video as that."""
        ranges = parse_accept(request.accept)
        query = parse_render_query(request.query)
        if match.endpoint.level == "frame":
            record = self._stored.record(match)
            numbers = parse_frames(match.frames)
            check_frames(self._retrieve.frame_count(record), numbers)
            return await self._frames(request, record, [number - 1 for number in numbers], query, ranges)
        records = await self._stored.records(match)
        if match.instance:
            return await self._instance(request, records[0], query, ranges)
        images = [record for record in records if self._is_image(record)]
        states = [record for record in records if is_presentation_state(record)]
        if not images and states:
            return await self.state(request, states[0], query, ranges)
        media_type, multipart = choose_rendered(ranges, PICTURES)
        if multipart:
            every = [(record, frame) for record in images for frame in range(self._retrieve.frame_count(record))]
            return await self._many_shown(query, every, media_type, records[0])
        if query.presentation_uid:
            raise UsageError("presentationUID goes with an instance, its frames, or a multipart answer")
        if not images and (videos := [record for record in records if video_type(record)]):
            return await self.one(request, videos[0], 0, query, media_type)
        record = self._retrieve.representative(images)
        return await self.one(request, record, self._retrieve.frame_count(record) // 2, query, media_type)

    async def _frames(
        self,
        request: Request,
        record: InstanceRecord,
        frames: list[int],
        query: RenderQuery,
        ranges: tuple[MediaRange, ...],
    ) -> Answer | Stream:
        media_type, multipart = choose_rendered(ranges, PICTURES)
        if multipart or len(frames) > 1:
            chosen = [(record, frame) for frame in frames]
            return await self._many_shown(query, chosen, media_type, record, all_of_them=True)
        return await self.one(request, record, frames[0], query, media_type)

    async def _instance(
        self, request: Request, record: InstanceRecord, query: RenderQuery, ranges: tuple[MediaRange, ...]
    ) -> Answer | Stream:
        if is_presentation_state(record):
            return await self.state(request, record, query, ranges)
        if not self._retrieve.frame_count(record):
            return await self._document(request, record, ranges)
        stream = video_type(record)
        media_type, multipart = choose_rendered(ranges, (stream, *PICTURES) if stream else PICTURES)
        if stream and media_type in (stream, "application/octet-stream"):
            return await self._documents.answer(request, record, stream, multipart=multipart)
        if multipart:
            frames = range(1 if stream else self._retrieve.frame_count(record))
            every = [(record, frame) for frame in frames]
            return await self._many_shown(query, every, media_type, record)
        if not stream and self._pictures.moves(record, FORMATS[media_type]):
            return await self._animation(request, record, query, media_type)
        return await self.one(request, record, 0, query, media_type)

    async def one(
        self, request: Request, record: InstanceRecord, frame: int, query: RenderQuery, media_type: str
    ) -> Answer:
        """One frame (from 0) as one picture."""
        return await self._one(request, record, frame, query, media_type, self._state_of(query, record))

    async def _one(
        self,
        request: Request,
        record: InstanceRecord,
        frame: int,
        query: RenderQuery,
        media_type: str,
        state: InstanceRecord | None,
    ) -> Answer:
        wanted = self._request(query, record, media_type, state)
        return await self._made(
            request, record, query, f"r-{frame}", wanted, lambda: self._pictures.picture(record, frame, wanted)
        )

    async def _animation(self, request: Request, record: InstanceRecord, query: RenderQuery, media_type: str) -> Answer:
        wanted = self._request(query, record, media_type, self._state_of(query, record))
        return await self._made(request, record, query, "a", wanted, lambda: self._pictures.animation(record, wanted))

    async def _made(
        self,
        request: Request,
        record: InstanceRecord,
        query: RenderQuery,
        what: str,
        wanted: PictureRequest,
        make: Callable[[], Picture],
    ) -> Answer:
        layers = self._overlays.etag(query.overlays)
        etag = etag_of(record, what, wanted.variant(), *([layers] if layers else []))
        headers: http.Headers = [PRIVATE, (b"vary", b"Accept")]
        if wanted.is_of_known_objects:
            headers.append((b"etag", etag))
            if http.etag_matches(request, etag):
                return http.empty(304, *headers)
        picture = await self._pool.run(make)
        headers += [(b"warning", f'299 hilum: "{text}"'.encode()) for text in query.warnings]
        headers += [(b"content-type", picture.media_type.encode())]
        headers += [(b"content-length", str(len(picture.data)).encode()), *_shape_headers(picture)]
        return Answer(200, headers, picture.data)

    def _request(
        self, query: RenderQuery, record: InstanceRecord, media_type: str, state: InstanceRecord | None
    ) -> PictureRequest:
        if not can_decode(record.transfer_syntax_uid) and not video_type(record):
            raise NotAcceptable(f"frames in {record.transfer_syntax_uid} cannot be decoded; ask for them as stored")
        return query.request(self._retrieve.pixels(record), media_type, state)

    async def _many_shown(
        self,
        query: RenderQuery,
        frames: Sequence[tuple[InstanceRecord, int]],
        media_type: str,
        record: InstanceRecord,
        *,
        all_of_them: bool = False,
    ) -> Stream:
        """Answer those frames that the query's presentation state refers to, all of them without one."""
        state = self._state_of(query, record)
        if state is not None:
            targets = await self._pool.run(self._pictures.targets, state)
            shown = {(image.sop_instance_uid, frame) for image, frame in targets}
            chosen = [(image, frame) for image, frame in frames if (image.sop_instance_uid, frame) in shown]
            if not chosen or (all_of_them and len(chosen) < len(frames)):
                raise UsageError("the presentation state does not refer to these frames")
            frames = chosen
        return self._many(query, frames, media_type, state)

    def _many(
        self,
        query: RenderQuery,
        frames: Sequence[tuple[InstanceRecord, int]],
        media_type: str,
        state: InstanceRecord | None,
    ) -> Stream:
        if not frames:
            raise NotFound("nothing here has pixel data")
        boundary = new_boundary()
        wanted: dict[str, PictureRequest] = {}

        def request_of(record: InstanceRecord) -> PictureRequest:
            uid = record.sop_instance_uid
            if uid not in wanted:
                wanted[uid] = self._request(query, record, media_type, state)
            return wanted[uid]

        def make(at: int) -> Picture:
            record, frame = frames[at]
            return self._pictures.picture(record, frame, request_of(record))

        request_of(frames[0][0])  # what cannot be is refused before the answer

        def pieces() -> Iterator[bytes]:
            for picture in in_order(len(frames), make):
                extra = b"".join(b"%s: %s\r\n" % header for header in _shape_headers(picture))
                head = part_head(boundary, media_type, len(picture.data))
                yield head[:-2] + extra + b"\r\n" + picture.data + b"\r\n"
            yield f"--{boundary}--\r\n".encode()

        return Stream(200, [multipart_type(media_type, boundary), PRIVATE], self._stored.in_thread(pieces()))

    def _is_image(self, record: InstanceRecord) -> bool:
        return self._retrieve.frame_count(record) > 0 and not video_type(record)

    async def _document(
        self, request: Request, record: InstanceRecord, ranges: tuple[MediaRange, ...]
    ) -> Answer | Stream:
        kind = ENCAPSULATED.get(record.sop_class_uid, "")
        if not kind:
            raise NotAcceptable("the instance has no pixel data and no document; its content is in the metadata")
        chosen, multipart = choose_rendered(ranges, (kind, "application/octet-stream"))
        return await self._documents.answer(request, record, chosen, multipart=multipart)

    # presentation states

    async def state(
        self, request: Request, record: InstanceRecord, query: RenderQuery, ranges: tuple[MediaRange, ...]
    ) -> Answer | Stream:
        """Answer the images of a presentation state as it shows them: the first one, or all as multipart."""
        try:
            refuse_unsupported(record.sop_class_uid)
        except UsageError as error:
            raise NotAcceptable(str(error)) from None
        if query.presentation_uid:
            raise UsageError("presentationUID is for images; this is a presentation state itself")
        media_type, multipart = choose_rendered(ranges, PICTURES)
        targets = await self._pool.run(self._pictures.targets, record)
        if multipart:
            return self._many(query, targets, media_type, record)
        image, frame = targets[0]
        return await self._one(request, image, frame, query, media_type, record)

    def _state_of(self, query: RenderQuery, record: InstanceRecord) -> InstanceRecord | None:
        """Give the presentation state that the query names, of the image's study."""
        if not query.presentation_uid:
            return None
        state = self._stored.find(query.presentation_uid)
        series = query.presentation_series_uid
        if state is None or state.study_instance_uid != record.study_instance_uid:
            raise NotFound("there is no such presentation state in this study")
        if series and state.series_instance_uid != series:
            raise NotFound("there is no such presentation state in this series")
        return state

    # thumbnails

    async def thumbnail(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a small image of a study, series, instance or frame; an icon for what has no pixels (W-19)."""
        query = parse_render_query(request.query)
        view = query.viewport or Viewport()
        side = min(max(view.width, view.height) or _THUMBNAIL, _MAX_THUMBNAIL)
        ranges = parse_accept(request.accept)
        records = await self._stored.records(match)
        pictures = [r for r in records if self._is_image(r) and can_decode(r.transfer_syntax_uid)]
        media_type, _ = choose_rendered(ranges, PICTURES)
        query.viewport = replace(view, width=side, height=side)
        query.quality = query.quality or _THUMBNAIL_QUALITY
        try:
            if not pictures:
                return await self._thumbnail_without_image(request, records, query, media_type)
            record = self._retrieve.representative(pictures)
            count = self._retrieve.frame_count(record)
            frame = count // 2
            if match.frames:
                numbers = parse_frames(match.frames)
                check_frames(count, numbers)
                frame = numbers[0] - 1
            return await self.one(request, record, frame, query, media_type)
        except (DataError, _NoPicture):  # damaged pixels: viewers would give up on thumbnails altogether
            return self._icon(request, side, ranges)

    async def _thumbnail_without_image(
        self, request: Request, records: Sequence[InstanceRecord], query: RenderQuery, media_type: str
    ) -> Answer:
        """Give the poster of a video, or the image of a presentation state."""
        for record in records:
            if video_type(record) and media_type != "application/octet-stream":
                try:
                    return await self.one(request, record, 0, query, media_type)
                except Unavailable:  # without PyAV
                    break
            if is_presentation_state(record):
                try:
                    image, frame = (await self._pool.run(self._pictures.targets, record))[0]
                    return await self._one(request, image, frame, query, media_type, record)
                except (UsageError, NotFound):
                    continue
        raise _NoPicture

    def _icon(self, request: Request, side: int, ranges: tuple[MediaRange, ...]) -> Answer:
        if choose_rendered(ranges, ("image/png", *PICTURES))[0] != "image/png":
            raise NotAcceptable("the instance has no pixel data; its icon is answered as image/png")
        body = document_icon(side)
        etag = b'"icon-%d"' % side
        headers: http.Headers = [(b"etag", etag), PRIVATE]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        length = (b"content-length", str(len(body)).encode())
        return Answer(200, [*headers, (b"content-type", b"image/png"), length], body)


class _NoPicture(Exception):
    """An icon has to do."""


def _shape_headers(picture: Picture) -> http.Headers:
    """What raw samples are; files say it themselves."""
    if not picture.shape:
        return []
    shape = ",".join(str(size) for size in picture.shape)
    return [(b"x-hilum-shape", shape.encode()), (b"x-hilum-dtype", picture.dtype.encode())]
