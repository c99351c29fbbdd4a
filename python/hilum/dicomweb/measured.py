"""Numbers and surfaces of volumes: ``/volumes/studies/STUDY/series/SERIES/…`` (``docs/reference/measurements.md``)."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.measured import SurfaceTurn, find_segment
from hilum.dicomweb import http
from hilum.dicomweb.app import answer_with
from hilum.dicomweb.http import Answer, Request
from hilum.dicomweb.measure_query import SegmentName, parse_body, parse_pairs
from hilum.dicomweb.negotiate import choose_rendered, parse_accept
from hilum.dicomweb.parts import PRIVATE
from hilum.dicomweb.routing import check_uid
from hilum.errors import LimitExceeded, NotFound, UsageError
from hilum.volumes.mesh_files import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.http import Receive, Scope, Send
    from hilum.dicomweb.measure_query import MeasureQuery
    from hilum.volumes.measure import Statistics
    from hilum.volumes.regions import Region
    from hilum.volumes.volume import Volume

__all__ = ["Measured"]

MAX_BODY: Final = 4 << 20
MAX_VERTICES: Final = 1 << 22
"""Of a surface before decimation: about a gigabyte for some seconds."""
_ALLOW_GET: Final = (b"allow", b"GET, HEAD, OPTIONS")
_ALLOW_POST: Final = (b"allow", b"POST, OPTIONS")
_ALLOW_BOTH: Final = (b"allow", b"GET, HEAD, POST, OPTIONS")
_JSON: Final = ("application/json",)
_FORMS: Final = {media_type: form for form, media_type in MEDIA_TYPES.items()}
_MESHES: Final = (MEDIA_TYPES["glb"], MEDIA_TYPES["stl"], MEDIA_TYPES["obj"])


class Measured:
    """Answers ``/volumes``; plain ASGI.

    Parameters
    ----------
    archive : Archive
    pool : Pool
        Threads for blocking work.
    """

    def __init__(self, archive: Archive, pool: Pool) -> None:
        self._archive = archive
        self._pool = pool
        self._turn = SurfaceTurn()
        self._numbers: dict[str, Callable[[Volume, MeasureQuery], dict[str, Any]]] = {
            "statistics": self._statistics,
            "profile": self._profile,
            "curve": self._curve,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["hilum.route"] = "/volumes"
        request = Request(scope, receive, scope["path"][len(scope.get("hilum.mount", "")) :])
        await answer_with(self._answer, request, scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        match request.path.strip("/").split("/"):
            case ["studies", study, "series", series]:
                what, allow = "", _ALLOW_GET
            case ["studies", study, "series", series, what] if what in self._numbers:
                allow = _ALLOW_POST
            case ["studies", study, "series", series, "mesh" as what]:
                allow = _ALLOW_BOTH
            case _:
                raise NotFound("there is nothing here; see /volumes/studies/STUDY/series/SERIES")
        if request.method == "OPTIONS":
            return http.empty(204, allow)
        if request.method.encode() not in allow[1].split(b", "):
            return http.text(405, f"this answers {allow[1].decode()}", allow)
        for uid in (study, series):
            check_uid(uid)
        makes = _MESHES if what == "mesh" else _JSON
        media_type = choose_rendered(parse_accept(request.accept), makes)[0]
        if request.method == "POST":
            kind = request.header(b"content-type").partition(";")[0].strip().lower()
            if kind != "application/json":
                return http.text(415, "the body must be application/json")
            query = parse_body(await _body(request))
        else:
            query = parse_pairs(request.query if what else [])
        return await self._pool.run(self._make, request, (study, series), what, query, media_type)

    def _make(self, request: Request, uids: tuple[str, str], what: str, query: MeasureQuery, media_type: str) -> Answer:
        records = self._archive.series_records(*uids)
        assembly = self._archive.volumes.assembly(records)
        if not what:
            volumes = [self._archive.volumes.volume(records, n) for n in range(len(assembly.stacks))]
            refused = [{"frames": one.frames, "reason": one.reason} for one in assembly.refused]
            return _document({"volumes": [_description(one) for one in volumes], "no_volume": refused})
        if assembly.stacks and query.volume >= len(assembly.stacks):
            raise NotFound("the series has no such volume")
        volume = self._archive.volumes.volume(records, query.volume)
        if query.time >= max(len(volume.times), 1):
            raise NotFound("the volume has no such time point")
        if what == "mesh":
            return self._mesh(request, volume, query, media_type)
        answer = self._numbers[what](volume, query)
        return _document({**answer, "resampled": volume.resampled})

    def _region(self, volume: Volume, wanted: Region | SegmentName | None) -> Region | None:
        if isinstance(wanted, SegmentName):
            return find_segment(self._archive, wanted.instance, wanted.number, volume.grid, wanted.time)
        return wanted

    def _statistics(self, volume: Volume, query: MeasureQuery) -> dict[str, Any]:
        query.only("statistics", "time", "region", "bins", "limits")
        region = self._region(volume, query.region)
        return _numbers(
            volume.measure(region, quantity=query.quantity, time=query.time, bins=query.bins, limits=query.limits)
        )

    def _profile(self, volume: Volume, query: MeasureQuery) -> dict[str, Any]:
        query.only("profile", "time", "start", "end", "spacing", "interpolation")
        if query.start is None or query.end is None:
            raise UsageError("a profile has a start and an end")
        found = volume.profile(
            query.start,
            query.end,
            spacing=query.spacing,
            linear=query.interpolation == "linear",
            quantity=query.quantity,
            time=query.time,
        )
        return {
            "distances": found.distances.tolist(),
            "values": [_number(value) for value in found.values.tolist()],
            "units": found.units,
        }

    def _curve(self, volume: Volume, query: MeasureQuery) -> dict[str, Any]:
        query.only("curve", "region")
        found = volume.curve(self._region(volume, query.region), quantity=query.quantity)
        points = [_numbers(point) for point in found.points]
        return {"times": list(found.times), "time_kind": found.time_kind, "points": points}

    def _mesh(self, request: Request, volume: Volume, query: MeasureQuery, media_type: str) -> Answer:
        query.only(
            "mesh", "time", "region", "threshold", "below", "segment", "level", "closed", "largest", "smooth", "faces",
            "error",
        )  # fmt: skip
        headers: http.Headers = [PRIVATE, (b"vary", b"Accept")]
        if request.method != "POST" and query.segment is None:
            told = f"{volume.key} {query.variant()} {media_type}"
            etag = b'"m-%s"' % hashlib.sha256(told.encode()).hexdigest()[:32].encode()
            headers.append((b"etag", etag))
            if http.etag_matches(request, etag):
                return http.empty(304, *headers)
        if query.level >= len(volume.levels):
            raise NotFound("the volume has no such level")
        segment = None if query.segment is None else self._region(volume, query.segment)
        region = self._region(volume, query.region)
        with self._turn():
            mesh = volume.mesh(
                query.threshold,
                segment=segment,  # type: ignore[arg-type]  # a mask, as what it was named by is one
                region=region,
                below=query.below,
                quantity=query.quantity,
                level=query.level,
                time=query.time,
                closed=query.closed,
                largest=query.largest,
                smooth=query.smooth,
                faces=query.faces,
                error=query.error,
                vertices=MAX_VERTICES,
            )
            body = mesh.to_bytes(_FORMS[media_type])
        headers += [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        return Answer(200, headers, body)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for piece in request.body_chunks():
        size += len(piece)
        if size > MAX_BODY:
            raise LimitExceeded(f"the body has more than {MAX_BODY} bytes")
        parts.append(piece)
    return b"".join(parts)


def _description(volume: Volume) -> dict[str, Any]:
    return {
        "shape": list(volume.shape),
        "affine": volume.affine.tolist(),
        "dtype": str(volume.dtype),
        "units": volume.units,
        "slope": volume.slope,
        "intercept": volume.intercept,
        "times": list(volume.times),
        "levels": [list(shape) for shape in volume.levels],
        "frame_of_reference": volume.frame_of_reference_uid,
        "resampled": volume.resampled,
        "tilt_degrees": volume.tilt_degrees,
        "notes": list(volume.notes),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _numbers(found: Statistics) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "count": found.count,
        "not_numbers": found.not_numbers,
        "volume_ml": found.volume_ml,
        "minimum": _number(found.minimum),
        "maximum": _number(found.maximum),
        "mean": _number(found.mean),
        "sd": _number(found.sd),
        "units": found.units,
    }
    if found.histogram is not None:
        answer["histogram"] = {
            "edges": found.histogram.edges.tolist(),
            "counts": found.histogram.counts.tolist(),
        }
    return answer


def _document(document: dict[str, Any]) -> Answer:
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    headers = [PRIVATE, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return Answer(200, headers, body)
