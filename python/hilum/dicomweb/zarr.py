"""Series as Zarr v3 over HTTP: ``/zarr/studies/STUDY/series/SERIES/…`` (``docs/formats/zarr.md``).

``frames`` (decoded) and ``stored`` (as they came) are virtual: chunk n is frame n. ``volume`` is the OME-Zarr image of
the largest stack; its bricks are made with the first chunk that is asked for.
"""

from __future__ import annotations

import json
import os
from io import FileIO
from typing import TYPE_CHECKING, Any, Final

from hilum.dicomweb import http
from hilum.dicomweb.app import answer_with
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.parts import CHUNK, PRIVATE, RANGES
from hilum.errors import NotFound
from hilum.volumes.build import array_metadata, group_metadata
from hilum.volumes.virtual import virtual_arrays

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.http import Receive, Scope, Send
    from hilum.index.base import InstanceRecord
    from hilum.volumes.virtual import VirtualArray
    from hilum.volumes.volume import Volume

__all__ = ["Zarr"]

_ALLOW: Final = (b"allow", b"GET, HEAD, OPTIONS")
_JSON: Final = (b"content-type", b"application/json")
_OCTETS: Final = (b"content-type", b"application/octet-stream")
_INLINE: Final = 1 << 20
_KNOWN_SERIES: Final = 64


class Zarr:
    """Answers ``/zarr``; plain ASGI.

    Parameters
    ----------
    archive : Archive
    pool : Pool
        Threads for blocking work.
    """

    def __init__(self, archive: Archive, pool: Pool) -> None:
        self._archive = archive
        self._pool = pool
        self._known: dict[str, tuple[list[InstanceRecord], list[VirtualArray]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["hilum.route"] = "/zarr"
        request = Request(scope, receive, scope["path"][len(scope.get("hilum.mount", "")) :])
        await answer_with(self._answer, request, scope, receive, send)

    async def _answer(self, request: Request) -> Answer | Stream:
        if request.method == "OPTIONS":
            return http.empty(204, _ALLOW)
        if request.method not in ("GET", "HEAD"):
            return http.text(405, "arrays are read only", _ALLOW)
        match request.path.strip("/").split("/"):
            case ["studies", study, "series", series, *rest] if rest:
                return await self._series(request, study, series, rest)
        raise NotFound("there is nothing here; arrays are at /zarr/studies/STUDY/series/SERIES/")

    async def _series(self, request: Request, study: str, series: str, rest: list[str]) -> Answer | Stream:
        records = await self._pool.run(self._archive.series_records, study, series)
        if rest == ["zarr.json"]:
            return _document(request, await self._pool.run(self._group, records))
        kind, _, number = rest[0].partition(".")
        if (number and not number.isdecimal()) or len(number) > 6:
            raise NotFound("there is no such array")
        at = int(number or 0)
        if kind == "volume":
            return await self._volume(request, records, at, rest[1:])
        arrays = self._arrays(records)
        if kind not in ("frames", "stored") or at >= len(arrays):
            raise NotFound("there is no such array")
        return await self._frames(request, arrays[at], rest[1:], stored=kind == "stored")

    def _arrays(self, records: list[InstanceRecord]) -> list[VirtualArray]:
        """Give the virtual arrays of a series, remembered as long as its instances are the same."""
        known = self._known.get(records[0].series_instance_uid)
        if known is None or known[0] != records:
            known = records, virtual_arrays(records)
            while len(self._known) >= _KNOWN_SERIES:
                self._known.pop(next(iter(self._known)), None)
            self._known[records[0].series_instance_uid] = known
        return known[1]

    def _group(self, records: list[InstanceRecord]) -> dict[str, Any]:
        """``zarr.json`` of a series: what is below it."""
        assembly = self._archive.volumes.assembly(records)
        arrays = self._arrays(records)
        ours = {
            "arrays": [_numbered("frames", at) for at in range(len(arrays))],
            "stored": [_numbered("stored", at) for at, array in enumerate(arrays) if array.transfer_syntax_uid],
            "volumes": [_numbered("volume", at) for at in range(len(assembly.stacks))],
            "no_volume": [{"frames": one.frames, "reason": one.reason} for one in assembly.refused],
        }
        inline = {"frames": arrays[0].metadata(stored=False)} if arrays else {}
        return {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"hilum": ours},
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": inline},
        }

    # Frames

    async def _frames(self, request: Request, array: VirtualArray, rest: list[str], *, stored: bool) -> Answer | Stream:
        if stored and not array.transfer_syntax_uid:
            raise NotFound("the frames have different transfer syntaxes; ask for frames")
        if rest == ["zarr.json"]:
            return _document(request, array.metadata(stored=stored))
        record, frame = array.frames[_chunk(rest, len(array.frames), len(array.chunk_shape))]
        etag = f'"{record.sha256.hex()[:24]}-{frame}-{"s" if stored else "d"}"'.encode()
        headers = [(b"etag", etag), PRIVATE, RANGES]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        if stored or array.is_plain:
            body = await self._pool.run(self._archive.retrieve.stored_frame, record, frame)
            body = body[: array.chunk_bytes] if array.is_plain else body
        elif request.method == "HEAD":
            return Answer(200, [*headers, _OCTETS, (b"content-length", str(array.chunk_bytes).encode())])
        else:
            body = await self._pool.run(self._decoded, record, frame)
        part = http.apply_range(request, len(body), etag)
        return _part(body[part.start : part.stop], part, headers)

    def _decoded(self, record: InstanceRecord, frame: int) -> bytes:
        values = self._archive.retrieve.decoded_frame(record, frame)
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()

    # Volumes

    async def _volume(
        self, request: Request, records: list[InstanceRecord], at: int, rest: list[str]
    ) -> Answer | Stream:
        volume = await self._pool.run(self._archive.volumes.volume, records, at)
        shapes = volume.levels
        if rest == ["zarr.json"]:
            return _document(request, group_metadata(volume.frames, volume.stack, shapes, ""))
        match rest:
            case [level, "zarr.json"] if _digits([level]) and int(level) < len(shapes):
                return _document(request, array_metadata(volume.stack, shapes[int(level)]))
            case [level, "c", *place] if _digits([level, *place]) and place and int(level) < len(shapes):
                pass
            case ["minmax", *place] if place and all(_digits([p]) or p in ("c", "zarr.json") for p in place):
                pass
            case _:
                raise NotFound("there is no such array")
        file = await self._pool.run(_open, volume, "/".join(rest))
        return await self._file(request, file, f'"{volume.key}"'.encode())

    async def _file(self, request: Request, file: FileIO, etag: bytes) -> Answer | Stream:
        """Answer with a file or a part of it; closes it."""
        total = os.fstat(file.fileno()).st_size
        headers = [(b"etag", etag), PRIVATE, RANGES]
        part = http.apply_range(request, total, etag)
        if (
            part.status != 416
            and not http.etag_matches(request, etag)
            and request.method == "GET"
            and part.length > _INLINE
        ):
            chunks = self._pieces(file, part.start, part.stop)
            return Stream(part.status, [*headers, _OCTETS, *part.headers], chunks, part.length)
        with file:
            if part.status != 416 and http.etag_matches(request, etag):
                return http.empty(304, *headers)
            if request.method == "HEAD":
                return Answer(200, [*headers, _OCTETS, (b"content-length", str(total).encode())])
            return _part(os.pread(file.fileno(), part.length, part.start), part, headers)

    async def _pieces(self, file: FileIO, start: int, stop: int) -> AsyncIterator[bytes]:
        with file:
            for at in range(start, stop, CHUNK):
                yield await self._pool.run(os.pread, file.fileno(), min(CHUNK, stop - at), at)


def _open(volume: Volume, name: str) -> FileIO:
    """Open a file of a volume, which is made if need be; an open file stays good when the volume is evicted."""
    for last in (False, True):
        try:
            return FileIO(volume.path / name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if last or volume.is_built:
                break
    raise NotFound("there is no such chunk")


def _numbered(kind: str, number: int) -> str:
    return f"{kind}.{number}" if number else kind


def _digits(parts: list[str]) -> bool:
    return bool(parts) and all(part.isdecimal() and len(part) <= 9 for part in parts)


def _chunk(rest: list[str], count: int, axes: int) -> int:
    """Frame that ``c/N/0/0`` names."""
    if rest[:1] != ["c"] or len(rest) != axes + 1 or not _digits(rest[1:]) or any(int(p) for p in rest[2:]):
        raise NotFound("there is no such chunk")
    number = int(rest[1])
    if number >= count:
        raise NotFound("there is no such chunk")
    return number


def _document(request: Request, document: dict[str, Any]) -> Answer:
    body = json.dumps(document, separators=(",", ":")).encode()
    part = http.apply_range(request, len(body))
    return _part(body[part.start : part.stop], part, [PRIVATE, RANGES], _JSON)


def _part(body: bytes, part: http.ByteRange, headers: http.Headers, kind: tuple[bytes, bytes] = _OCTETS) -> Answer:
    if part.status == 416:
        return http.text(416, "nothing is in that range", *headers, *part.headers)
    length = (b"content-length", str(len(body)).encode())
    return Answer(part.status, [*headers, kind, length, *part.headers], body)
