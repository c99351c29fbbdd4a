"""WADO-RS (PS3.18 10.4): whole objects and metadata. What is stored goes out as it is, without a look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from hilum.archive import transcode
from hilum.codecs.encode import LOSSLESS
from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.negotiate import NotAcceptable, choose_metadata, choose_objects, parse_accept
from hilum.dicomweb.parts import (
    CHUNK,
    INLINE_BYTES,
    PRIVATE,
    etag_of,
    gathered,
    multipart_type,
    new_boundary,
    part_head,
    ranged,
    whole_multipart,
)
from hilum.dicomweb.small_cache import SmallCache
from hilum.dicomweb.syntaxes import select
from hilum.dicomweb.xml import multipart_xml
from hilum.dicomweb.zip import zip_pieces
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.syntaxes import Selection
    from hilum.index.base import InstanceRecord

__all__ = ["Retrieve"]

_GZIP_FROM_BYTES: Final = 4096
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BODIES_BYTES: Final = 32 << 20
_KNOWN_SERIES: Final = 512


class Retrieve:
    """Answers retrievals of what is stored."""

    def __init__(self, archive: Archive, pool: Pool) -> None:
        self._archive = archive
        self._retrieve = archive.retrieve
        self.pool = pool
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
        return await self.pool.run(self._retrieve.records, match.study, match.series or None)

    async def in_thread(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Pieces that are read from disk or computed, each in a thread."""
        while True:
            piece = await self.pool.run(next, pieces, None)
            if piece is None:
                return
            yield piece

    # whole objects

    async def objects(self, request: Request, match: Match) -> Answer | Stream:
        """Answer a study, series or instance as DICOM files."""
        choices = choose_objects(parse_accept(request.accept), single=bool(match.instance))
        records = await self.records(match)
        chosen = select(choices, records)
        record, syntax = chosen.instances[0]
        if chosen.form == "single":
            return await self.one_object(request, record, syntax)
        if chosen.form == "zip":
            return self._zip(chosen.instances)
        small = len(records) == 1 and record.location.length <= INLINE_BYTES
        if small and syntax == record.transfer_syntax_uid and request.method != "HEAD":
            return whole_multipart("application/dicom", _file_type(syntax), [self._retrieve.read(record)], PRIVATE)
        return self._multipart(chosen)

    async def one_object(self, request: Request, record: InstanceRecord, syntax: str) -> Answer | Stream:
        """Answer an instance as a bare DICOM file in a transfer syntax of `select_one`."""
        if syntax == record.transfer_syntax_uid:
            return self.stored_bytes(request, record, _file_type(syntax), 0, record.location.length)
        try:
            made = await self.pool.run(transcode.transcode, self._retrieve, record, syntax, LOSSLESS)
        except UsageError as error:  # what only the frames tell
            raise NotAcceptable(str(error)) from None
        headers = [(b"content-type", _file_type(syntax).encode()), PRIVATE]
        return Stream(200, headers, self.in_thread(made.pieces), made.length)

    def stored_bytes(
        self, request: Request, record: InstanceRecord, content_type: str, start: int, length: int
    ) -> Answer | Stream:
        """Answer a range of the stored object as a single-part answer, with ETag and Range."""
        begun = ranged(request, etag_of(record, start, length), length, content_type)
        if isinstance(begun, Answer):
            return begun
        part, headers = begun
        if request.method == "HEAD" or not part.length:
            return Answer(part.status, [*headers, (b"content-length", str(part.length).encode())])
        if part.length <= INLINE_BYTES:
            headers.append((b"content-length", b"%d" % part.length))
            return Answer(part.status, headers, self._retrieve.read(record, start + part.start, part.length))
        pieces = self._retrieve.stream(record, start + part.start, part.length, chunk=CHUNK)
        return Stream(part.status, headers, self.in_thread(pieces), part.length)

    def _zip(self, instances: Sequence[tuple[InstanceRecord, str]]) -> Stream:
        def files() -> Iterator[tuple[str, Iterator[bytes]]]:
            for record, syntax in instances:
                name = f"{record.study_instance_uid}/{record.series_instance_uid}/{record.sop_instance_uid}.dcm"
                yield name, self._object_pieces(record, syntax)[2]

        headers = [
            (b"content-type", b"application/zip"),
            PRIVATE,
            (b"content-disposition", b'attachment; filename="study.zip"'),
        ]
        return Stream(200, headers, self.in_thread(zip_pieces(files())))

    def _object_pieces(self, record: InstanceRecord, syntax: str) -> tuple[str, int, Iterator[bytes]]:
        """Transfer syntax, length and pieces; what turns out not to go in the syntax goes out as it is stored."""
        if syntax != record.transfer_syntax_uid:
            try:
                made = transcode.transcode(self._retrieve, record, syntax, LOSSLESS)
            except (DataError, UsageError):
                pass
            else:
                return syntax, made.length, made.pieces
        return record.transfer_syntax_uid, record.location.length, self._retrieve.stream(record, chunk=CHUNK)

    def _multipart(self, chosen: Selection) -> Stream:
        boundary = new_boundary()
        closing = f"--{boundary}--\r\n".encode()
        length: int | None = None
        if all(syntax == record.transfer_syntax_uid for record, syntax in chosen.instances):
            sizes = [(record.location.length, _file_type(syntax)) for record, syntax in chosen.instances]
            length = sum(len(part_head(boundary, kind, size)) + size + 2 for size, kind in sizes) + len(closing)

        def pieces() -> Iterator[bytes]:
            for record, wanted in chosen.instances:
                syntax, size, content = self._object_pieces(record, wanted)
                yield part_head(boundary, _file_type(syntax), size)
                yield from content
                yield b"\r\n"
            yield closing

        headers = [multipart_type("application/dicom", boundary), PRIVATE]
        if chosen.partial:
            headers.append(
                (b"warning", b'299 hilum: "Some instances cannot be given in that transfer syntax and are left out"')
            )
        return Stream(206 if chosen.partial else 200, headers, self.in_thread(gathered(pieces())), length)

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
            plain = await self.pool.run(self._retrieve.metadata, records, base)
            return await self.pool.run(multipart_xml, plain, headers)
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
            body = await self.pool.run(self._retrieve.metadata, records, base)
        if packed and len(body) >= _GZIP_FROM_BYTES:
            return await self.pool.run(http.gzip_json, body)
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


def _file_type(syntax: str) -> str:
    return f"application/dicom; transfer-syntax={syntax}"
