"""Rendered MPR and 3D volumes (PS3.18 10.4.1.1.7, 10.4.1.1.8, Annex K): Supplement 228."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hilum.archive.pictures import is_presentation_state
from hilum.archive.volume_images import VolumeRequest
from hilum.archive.volumetric import StatePicture
from hilum.codecs.video import can_encode
from hilum.dicomweb import http
from hilum.dicomweb.http import Answer
from hilum.dicomweb.negotiate import NotAcceptable, choose_rendered, parse_accept
from hilum.dicomweb.parts import PRIVATE
from hilum.dicomweb.render_query import DEFAULT_QUALITY, RenderQuery
from hilum.dicomweb.volume_query import VolumeQuery, parse_volume_query
from hilum.errors import NotFound, UsageError
from hilum.pixels.formats import FORMATS, encode_animation, encode_picture
from hilum.pixels.presentation_state import PRESENTATION_STATES
from hilum.render.geometry import look_and_up
from hilum.render.volumetric_state import VOLUMETRIC_STATES

if TYPE_CHECKING:
    from hilum.archive.archive import Archive
    from hilum.archive.volume_images import Method, VolumeImages, VolumeSource
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.http import Request
    from hilum.dicomweb.routing import Match
    from hilum.dicomweb.wado import Retrieve
    from hilum.index.base import InstanceRecord
    from hilum.pixels.formats import AnimationFormat

__all__ = ["RenderedVolumes", "volume_request"]

_STILL: Final = ("image/jpeg", "image/png", "image/webp", "image/gif")
_MOVING: Final[dict[str, AnimationFormat]] = {
    "image/webp": "webp",
    "image/gif": "gif",
    "image/apng": "apng",
    "video/mp4": "mp4",
}
_JSON: Final = ("application/dicom+json", "application/json")
_RATE: Final = 10.0
_OPERATIONS: Final = {"mpr": "MPR", "3d": "3D_RENDERING"}


class RenderedVolumes:
    """Answers ``renderedmpr`` and ``rendered3d``."""

    def __init__(self, archive: Archive, pool: Pool, retrieve: Retrieve) -> None:
        self._archive = archive
        self._images = archive.volume_images
        self._pool = pool
        self._stored = retrieve

    async def mpr(self, request: Request, match: Match) -> Answer:
        """Answer a plane or slab through a volume."""
        return await self._answer(request, match, "mpr")

    async def three_d(self, request: Request, match: Match) -> Answer:
        """Answer a projection or volume rendering."""
        return await self._answer(request, match, "3d")

    async def _answer(self, request: Request, match: Match, kind: Literal["mpr", "3d"]) -> Answer:
        query = parse_volume_query(request.query)
        if kind == "mpr" and query.method == "volume_rendered":
            raise UsageError("renderedmpr shows maximum_ip, minimum_ip or average_ip")
        if kind == "3d" and (query.slab is not None or query.curve):
            raise UsageError("mprslab and volumetriccurvepoint are for renderedmpr")
        ranges = parse_accept(request.accept)
        records = await self._records(match)
        if match.instance and is_presentation_state(records[0]):
            _check_state(records[0], query, kind)
            media_type = choose_rendered(ranges, _STILL)[0]
            return await self._pool.run(self._make_state, request, records[0], query, media_type)
        media_type = choose_rendered(ranges, _JSON if query.metadata else _offered(query))[0]
        return await self._pool.run(self._make, request, records, query, kind, media_type)

    async def _records(self, match: Match) -> list[InstanceRecord]:
        """Give the instances that a path names; those of series are remembered: who drags asks on and on."""
        if match.series and not match.instance:
            with suppress(NotFound):  # the other way tells why
                return await self._pool.run(self._archive.series_records, match.study, match.series)
        return await self._stored.records(match)

    def _make_state(self, request: Request, record: InstanceRecord, query: VolumeQuery, media_type: str) -> Answer:
        """Answer a volumetric presentation state as it says (PS3.18 B.35)."""
        presented = _seen(StatePicture.of(self._archive, record), query)
        told = " ".join(f"{source.volume.key} {source.times}" for source in presented.volumes)
        etag = _tag(f"{told} {record.sha256.hex()} {query.variant()} {media_type}")
        headers: http.Headers = [(b"etag", etag), PRIVATE, (b"vary", b"Accept")]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        notes = [note for source in presented.volumes for note in self._warnings(source, query)]
        headers += _warning_headers(presented.warnings + list(dict.fromkeys(notes)))
        view = query.image.viewport
        image = presented.render(self._images, None if view is None else (view.width, view.height))
        body = encode_picture(image, FORMATS[media_type], _quality(query))
        headers += [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        return Answer(200, headers, body)

    def _make(
        self,
        request: Request,
        records: list[InstanceRecord],
        query: VolumeQuery,
        kind: Literal["mpr", "3d"],
        media_type: str,
    ) -> Answer:
        source = self._images.source(records, query.references, query.matches, query.time)
        etag = _etag(source, query, kind, media_type, self._archive.overlays.etag(query.image.overlays))
        headers: http.Headers = [(b"etag", etag), PRIVATE, (b"vary", b"Accept")]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers)
        wanted = volume_request(self._images, source, query, kind)
        headers += _warning_headers(self._warnings(source, query))
        body = _metadata(wanted) if query.metadata else self._picture(source, wanted, query, media_type)
        headers += [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        return Answer(200, headers, body)

    def _picture(self, source: VolumeSource, wanted: VolumeRequest, query: VolumeQuery, media_type: str) -> bytes:
        frames = self._images.frames(source, wanted)
        quality = _quality(query)
        moves = wanted.swivel is not None or bool(wanted.curve) or len(frames) > 1
        if not moves and media_type in FORMATS:
            return encode_picture(frames[0](), FORMATS[media_type], quality)
        if media_type not in _MOVING:
            raise NotAcceptable(f"animations are answered as {', '.join(_MOVING)}")
        delay = 1000.0 / (wanted.rate or _RATE)
        order = frames + frames[-2:0:-1] if wanted.swivel is not None and wanted.swivel < 360 else frames
        made = (frame() for frame in order)
        return encode_animation(made, _MOVING[media_type], delay, quality, count=len(order))

    def _warnings(self, source: VolumeSource, query: VolumeQuery) -> list[str]:
        notes = list(query.warnings)
        if source.volume.resampled:
            notes.append(f"the volume is resampled: {source.volume.resampled}")
        return notes


def volume_request(
    images: VolumeImages, source: VolumeSource, query: VolumeQuery, kind: Literal["mpr", "3d"]
) -> VolumeRequest:
    """Fill in what the request leaves to the server."""
    default: Method = "average_ip" if kind == "mpr" else "volume_rendered"
    method = query.method or default
    viewpoint = None
    if query.position is not None and query.look_at is not None:
        viewpoint = (query.position, query.look_at, query.up)
    view = query.image.viewport
    size = None if view is None else (view.width, view.height)
    orientation = query.orientation or ("f" if kind == "mpr" else "a")
    plane, up = images.view(source, orientation, viewpoint, size, query.width)
    moves = query.swivel is not None or bool(query.curve)
    step = query.step
    if moves and step is None:
        step = 5.0 if query.swivel is not None else plane.spacing[0]
    rate = query.rate
    if rate is None and moves:
        rate = _RATE
    shaded = method == "volume_rendered"
    return VolumeRequest(
        kind,
        method,
        plane.normal,
        up,
        query.look_at or plane.centre,
        plane.shape,
        plane.spacing[0],
        query.slab,
        None if shaded else query.image.window or images.window_of(source),
        query.swivel,
        step if moves else None,
        rate,
        query.curve,
        (query.preset or images.preset_of(source)) if shaded else "",
        query.interactive,
        query.image.overlays,
    )


def _offered(query: VolumeQuery) -> tuple[str, ...]:
    """Media types that may answer; time points of a volume move only where there are several."""
    moving = tuple(name for name in _MOVING if name != "video/mp4" or can_encode())
    if query.swivel is not None or query.curve:
        return moving
    return _STILL if query.rate is None else (*_STILL, *(name for name in moving if name not in _STILL))


def _warning_headers(notes: list[str]) -> http.Headers:
    return [(b"warning", f'299 hilum: "{note.replace(chr(34), chr(39))}"'.encode()) for note in notes]


def _quality(query: VolumeQuery) -> int:
    return DEFAULT_QUALITY if query.image.quality is None else query.image.quality


def _check_state(record: InstanceRecord, query: VolumeQuery, kind: Literal["mpr", "3d"]) -> None:
    """Refuse states that are not rendered here, and parameters beside them (PS3.18 8.3.5.3)."""
    name = PRESENTATION_STATES[record.sop_class_uid][0]
    shown_as = VOLUMETRIC_STATES.get(record.sop_class_uid)
    if shown_as is None:
        raise NotAcceptable(f"a {name} is not rendered as a volume")
    if shown_as != kind:
        raise UsageError(f"a {name} is answered by {'renderedmpr' if shown_as == 'mpr' else 'rendered3d'}")
    image = replace(query.image, viewport=None, quality=None)
    rest = replace(query, image=image, orientation="", position=None, look_at=None, up=None, warnings=[])
    if rest != VolumeQuery(RenderQuery()):
        raise UsageError(
            "beside a volumetric presentation state there are viewport, quality, orientation and viewpoints only"
        )


def _seen(presented: StatePicture, query: VolumeQuery) -> StatePicture:
    """Turn a state as the request wants (PS3.18 8.3.5.3.4 to 8.3.5.3.7)."""
    if query.position is not None and query.look_at is not None:
        look, up = look_and_up(np.subtract(query.look_at, query.position), query.up)
    elif query.orientation:
        look, up = look_and_up(query.orientation, None)
    else:
        return presented
    return presented.turned(look, up, query.look_at, query.position)


def _etag(source: VolumeSource, query: VolumeQuery, kind: str, media_type: str, overlays: str) -> bytes:
    told = f"{source.volume.key} {source.times} {source.record.sha256.hex()} {query.variant()} {kind} {media_type}"
    return _tag(told + overlays)


def _tag(told: str) -> bytes:
    return b'"v-%s"' % hashlib.sha256(told.encode()).hexdigest()[:32].encode()


def _metadata(wanted: VolumeRequest) -> bytes:
    """Write the Rendered Volume Response Module (PS3.18 Table K.1-1)."""
    position = [c - n for c, n in zip(wanted.centre, wanted.look, strict=True)]
    found: dict[str, Any] = {
        "00720510": ("CS", [_OPERATIONS[wanted.kind]]),
        "0070120D": ("CS", [wanted.method.upper()]),
        "00701603": ("FD", position),
        "00701604": ("FD", list(wanted.centre)),
        "00701605": ("FD", list(wanted.up)),
    }
    if wanted.slab is not None:
        found["00701503"] = ("FD", [wanted.slab])
    if wanted.window is not None:
        found["00281056"] = ("CS", [wanted.window.function])
        found["00281051"] = ("DS", [wanted.window.width])
        found["00281050"] = ("DS", [wanted.window.center])
    if wanted.swivel is not None:
        found["00701A06"] = ("FD", [wanted.swivel])
    if wanted.step is not None:
        found["00701A05"] = ("FD", [wanted.step])
    if wanted.rate is not None:
        found["00701A03"] = ("FD", [wanted.rate])
    return json.dumps({tag: {"vr": vr, "Value": value} for tag, (vr, value) in sorted(found.items())}).encode()
