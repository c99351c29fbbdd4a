"""Tiles of large images: IIIF Image API 3.0, Deep Zoom and XYZ, of any frame and of whole slide images.

Three address schemes over two sources of pixels. Stored images are named as by ``hilum.archive.pyramid``: by a SOP
Instance UID, ``UID:frame``, or the Series Instance UID of a slide, with ``;opticalpath=`` and ``;focalplane=``.
``UID:plane;PARAMETER=VALUE;...`` is a plane through the volume of a series (``hilum.archive.plane_tiles``), with the
parameters of ``renderedmpr``. ``window``, ``quality`` and the like are those of the rendered resources of WADO-RS.

A tile that is as it is stored is answered in the event loop: it is a read of the page cache, and a thread costs more.
What an address was answered with lately is remembered, so that its tile need not be worked out again.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from hilum.archive.plane_tiles import PlaneImage
from hilum.archive.pyramid import Pyramid
from hilum.archive.slide_overlays import SlideOverlays
from hilum.dicomweb import http
from hilum.dicomweb.app import answer_with
from hilum.dicomweb.http import Answer, Request
from hilum.dicomweb.iiif import information, parse_image_request
from hilum.dicomweb.parts import INLINE_BYTES, PRIVATE
from hilum.dicomweb.render_query import DEFAULT_QUALITY, parse_render_query
from hilum.dicomweb.rendered_volume import volume_request
from hilum.dicomweb.volume_query import parse_volume_query
from hilum.errors import NotFound, UsageError
from hilum.pixels.formats import encode_picture, media_type_of
from hilum.pixels.settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.archive.pyramid import Region
    from hilum.archive.tiles import Tiler
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.http import Receive, Scope, Send, Stream
    from hilum.dicomweb.iiif import ImageRequest
    from hilum.dicomweb.render_query import RenderQuery
    from hilum.pixels.formats import FileFormat

__all__ = ["Iiif", "Tiles"]

_PLANE: Final = ":plane"
_FORMATS: Final[dict[str, FileFormat]] = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp"}
_INLINE_PIXELS: Final = 1 << 19
"""Stored tiles up to this size are read in the event loop."""
_MAX_ADDRESSES: Final = 1 << 14
"""Addresses whose answers are remembered."""
_ALLOW: Final = (b"allow", b"GET, HEAD, OPTIONS")
_TILE: Final = re.compile(r"(\d{1,9})_(\d{1,9})\.([a-z]{3,4})")
_ROW: Final = re.compile(r"(\d{1,9})\.([a-z]{3,4})")
_NAME: Final = ":;=,+"
"""What stays as it is in the name of an image in an address, beside letters, digits, ``-._~``."""
_LD_JSON: Final = b'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'
_NOTHING_ASKED: Final = parse_render_query([])


@dataclass(frozen=True, slots=True)
class _Part:
    """What a picture shows."""

    region: Region
    size: tuple[int, int]
    finish: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] | None = None
    """What is done to it at the end."""


class _Service(ABC):
    """What the address schemes have in common."""

    route = ""

    def __init__(self, archive: Archive, tiler: Tiler, pool: Pool, public_url: str = "") -> None:
        self._archive = archive
        self._tiler = tiler
        self._overlays = SlideOverlays(archive.retrieve, archive.overlays)
        self._pool = pool
        self._public_url = public_url
        self._answered: OrderedDict[bytes, tuple[int, http.Headers]] = OrderedDict()
        """Of addresses of pictures: revision of the index and headers of what they were answered with."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await answer_with(self._checked, self._request(scope, receive), scope, receive, send)

    def at_once(self, scope: Scope) -> Answer | None:
        """Answer a request without waiting, None where that cannot be."""
        request = self._request(scope, http.nothing)
        return self._again(request) or self._pool.at_once(self._checked(request))

    def _again(self, request: Request) -> Answer | None:
        """Answer as before when nothing has changed and the body is kept."""
        answered = self._answered.get(_target(request))
        if answered is None or answered[0] != self._archive.index.revision():
            return None
        headers = answered[1]
        etag = headers[0][1]
        if http.etag_matches(request, etag):
            return http.empty(304, *headers[:2])
        body = self._tiler.pictures.get(etag.decode())
        return None if body is None else Answer(200, headers, body)

    def _request(self, scope: Scope, receive: Receive) -> Request:
        mount: str = scope.get("hilum.mount", "")
        scope["hilum.route"] = self.route
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?")[0].decode("latin-1")[len(mount) :]
        public_url = self._public_url + mount if self._public_url else ""
        return Request(scope, receive, path, public_url)

    async def _checked(self, request: Request) -> Answer | Stream:
        if request.method == "OPTIONS":
            return http.empty(204, _ALLOW)
        if request.method not in ("GET", "HEAD"):
            return http.text(405, "tiles answer GET", _ALLOW)
        pieces = request.path.removeprefix("/").split("/")
        if "%" in request.path:
            pieces = [unquote(piece) for piece in pieces]
        revision = self._archive.index.revision()  # before it is looked into
        answer = await self._answer(request, pieces)
        if isinstance(answer, Answer) and answer.status == 200 and answer.headers[0][0] == b"etag":
            self._answered[_target(request)] = revision, answer.headers
            if len(self._answered) > _MAX_ADDRESSES:
                self._answered.popitem(last=False)
        return answer

    @abstractmethod
    async def _answer(self, request: Request, pieces: list[str]) -> Answer | Stream:
        """Answer GET or HEAD; `pieces` is the path below the mount, decoded."""

    async def _image(self, name: str) -> Pyramid | PlaneImage:
        """Find what a name stands for."""
        known = self._tiler.pyramids.known(name)
        if known is not None:
            return known
        return await self._pool.run(self._plane if _PLANE in name else self._tiler.pyramids.find, name)

    def _plane(self, name: str) -> PlaneImage:
        uid, _, parameters = name.partition(_PLANE)
        pairs = [pair.partition("=")[::2] for pair in parameters.split(";") if pair]
        query = parse_volume_query(pairs)
        moving = (query.swivel, query.rate, query.step, query.image.viewport)
        if any(value is not None for value in moving) or query.curve or query.metadata or query.interactive:
            raise UsageError("a plane is named by its place, slab, renderingmethod, window and overlays only")
        if query.method == "volume_rendered":
            raise UsageError("a plane shows maximum_ip, minimum_ip or average_ip")
        series = self._archive.index.series(uid)
        if series is None:
            raise NotFound("there is no such series")
        images = self._archive.volume_images
        records = self._archive.series_records(series.study_instance_uid, uid)
        source = images.source(records, query.references, query.matches, query.time)
        told = query.variant() + self._archive.overlays.etag(query.image.overlays)
        return PlaneImage.of(images, source, volume_request(images, source, query, "mpr"), told)

    async def _picture(self, request: Request, image: Pyramid | PlaneImage, extension: str, part: _Part) -> Answer:
        """Give the stored tile when that is all that is asked for, else make a picture in a thread.

        Nothing when the client has it already.
        """
        if extension not in _FORMATS:
            raise UsageError(f"the format must be one of {', '.join(_FORMATS)}")
        name = _FORMATS[extension]
        queried: bytes = request.scope["query_string"]
        query = parse_render_query(request.query) if queried else _NOTHING_ASKED
        over = await self._pool.run(self._archive.overlays.etag, query.overlays) if query.overlays else ""
        tag = f'"{image.tag}{over}-{hashlib.sha256(_target(request)).hexdigest()[:24]}"'
        headers: http.Headers = [(b"etag", tag.encode()), PRIVATE]
        if http.etag_matches(request, headers[0][1]):
            return http.empty(304, *headers)
        body = self._tiler.pictures.get(tag)
        plain = (query.window, query.quality, part.finish) == (None, None, None) and not query.overlays
        as_is = plain and name == "jpeg"
        if body is None and as_is:
            body = await self._stored(image, part)
        if body is None:
            if as_is and isinstance(image, Pyramid) and self._tiler.is_quick(image, part.region, part.size):
                body = self._file(
                    image, part, name, query
                )  # a thread, with its own memory, costs more than the picture
            else:
                body = await self._pool.run(self._file, image, part, name, query)
        if len(body) <= INLINE_BYTES:
            self._tiler.pictures.put(tag, body)
        kind, length = media_type_of(name).encode(), b"%d" % len(body)
        return Answer(200, [*headers, (b"content-type", kind), (b"content-length", length)], body)

    async def _stored(self, image: Pyramid | PlaneImage, part: _Part) -> bytes | None:
        """JPEG file of a stored tile when nothing but a tile is asked for."""
        if isinstance(image, PlaneImage):
            return None
        if part.size[0] * part.size[1] <= _INLINE_PIXELS:
            return self._tiler.stored_tile(image, part.region, part.size)
        return await self._pool.run(self._tiler.stored_tile, image, part.region, part.size)

    def _file(self, image: Pyramid | PlaneImage, part: _Part, name: FileFormat, query: RenderQuery) -> bytes:
        """Picture of the part."""
        if isinstance(image, PlaneImage):
            if query.overlays:
                raise UsageError("overlays of a plane are named in its name")
            samples = image.pixels(part.region, part.size, query.window)
        else:
            samples = self._tiler.pixels(image, part.region, part.size, RenderSettings(window=query.window))
            if query.overlays:
                samples = self._overlays.paint(samples, image, part.region, query.overlays)
        if part.finish is not None:
            samples = part.finish(samples)
        quality = DEFAULT_QUALITY if query.quality is None else query.quality
        if name == "jpeg" and not isinstance(image, PlaneImage) and not query.overlays:
            return self._tiler.encoded(image, samples, quality)
        return encode_picture(samples, name, quality)


class Iiif(_Service):
    """``/iiif/3/NAME/info.json`` and ``/iiif/3/NAME/REGION/SIZE/ROTATION/QUALITY.FORMAT``."""

    route = "/iiif"

    async def _answer(self, request: Request, pieces: list[str]) -> Answer | Stream:
        if pieces[:1] != ["3"] or len(pieces) not in (2, 3, 6) or not pieces[1]:
            raise NotFound("an image is at /iiif/3/NAME/info.json or /iiif/3/NAME/REGION/SIZE/ROTATION/QUALITY.FORMAT")
        name = pieces[1]
        pyramid = await self._image(name)
        if len(pieces) == 2:
            location = (b"location", f"{request.base_url()}/3/{quote(name, safe=_NAME)}/info.json".encode())
            return http.text(303, "see info.json", location)
        if len(pieces) == 3:
            if pieces[2] != "info.json":
                raise NotFound("an image is described at /iiif/3/NAME/info.json")
            return self._information(request, pyramid, f"{request.base_url()}/3/{quote(name, safe=_NAME)}")
        quality, _, extension = pieces[5].rpartition(".")
        wanted = parse_image_request(pyramid, pieces[2], pieces[3], pieces[4], quality)
        finish = None
        if wanted.mirrored or wanted.quarters or wanted.quality in ("gray", "bitonal"):
            finish = partial(_finished, wanted)
        return await self._picture(request, pyramid, extension, _Part(wanted.region, wanted.size, finish))

    def _information(self, request: Request, pyramid: Pyramid | PlaneImage, address: str) -> Answer:
        answer = http.json_answer(200, information(pyramid, address), PRIVATE, (b"vary", b"Accept"))
        kind = _LD_JSON if "application/ld+json" in request.accept else b"application/json"
        return replace(answer, headers=[(b"content-type", kind), *answer.headers[1:]])


class Tiles(_Service):
    """Deep Zoom and XYZ.

    Deep Zoom: ``/tiles/NAME.dzi`` and ``/tiles/NAME_files/LEVEL/COLUMN_ROW.FORMAT``. XYZ: ``/tiles/NAME/Z/X/Y.FORMAT``,
    level 0 in one tile, tiles at the right and lower edge filled up.
    """

    route = "/tiles"

    async def _answer(self, request: Request, pieces: list[str]) -> Answer | Stream:
        if len(pieces) == 1 and pieces[0].endswith(".dzi"):
            return self._dzi(await self._image(pieces[0].removesuffix(".dzi")))
        if len(pieces) == 3 and pieces[0].endswith("_files"):
            place = _TILE.fullmatch(pieces[2])
            if place is None or not pieces[1].isdecimal():
                raise NotFound("a Deep Zoom tile is at NAME_files/LEVEL/COLUMN_ROW.FORMAT")
            pyramid = await self._image(pieces[0].removesuffix("_files"))
            below = _deepest(pyramid) - int(pieces[1][:4])
            region, size = _tile_region(pyramid, below, int(place[1]), int(place[2]))
            return await self._picture(request, pyramid, place[3], _Part(region, size))
        place = _ROW.fullmatch(pieces[3]) if len(pieces) == 4 else None
        if place is None or not (pieces[1].isdecimal() and pieces[2].isdecimal()):
            raise NotFound("tiles are at NAME.dzi, NAME_files/LEVEL/COLUMN_ROW.FORMAT and NAME/Z/X/Y.FORMAT")
        pyramid = await self._image(pieces[0])
        below = _zooms(pyramid) - int(pieces[1][:4])
        region, size = _tile_region(pyramid, below, int(pieces[2][:9]), int(place[1]))
        finish = None if size == pyramid.tile else partial(_filled, pyramid)
        return await self._picture(request, pyramid, place[2], _Part(region, size, finish))

    def _dzi(self, pyramid: Pyramid | PlaneImage) -> Answer:
        wide, high = pyramid.tile
        if wide != high:
            raise UsageError("Deep Zoom has square tiles only; ask for this slide by IIIF")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpg" Overlap="0" '
            f"TileSize={quoteattr(str(wide))}>"
            f'<Size Width="{pyramid.columns}" Height="{pyramid.rows}"/></Image>\n'
        ).encode()
        length = (b"content-length", b"%d" % len(body))
        return Answer(200, [(b"content-type", b"application/xml"), length, PRIVATE], body)


def _target(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    return b"%s?%s" % (request.path.encode("latin-1"), query)


def _deepest(pyramid: Pyramid | PlaneImage) -> int:
    """Number of the level of Deep Zoom that is the image itself: level 0 is one pixel."""
    return (max(pyramid.columns, pyramid.rows) - 1).bit_length()


def _zooms(pyramid: Pyramid | PlaneImage) -> int:
    """Number of the level of XYZ that is the image itself: level 0 is one tile."""
    zooms = 0
    while pyramid.columns > pyramid.tile[0] << zooms or pyramid.rows > pyramid.tile[1] << zooms:
        zooms += 1
    return zooms


def _tile_region(pyramid: Pyramid | PlaneImage, below: int, column: int, row: int) -> tuple[Region, tuple[int, int]]:
    """Region of the image and size of a tile, `below` halvings under the image itself."""
    if below < 0:
        raise NotFound("there is no such level")
    wide, high = (side << below for side in pyramid.tile)
    x, y = column * wide, row * high
    if x >= pyramid.columns or y >= pyramid.rows:
        raise NotFound("there is no such tile")
    columns, rows = min(wide, pyramid.columns - x), min(high, pyramid.rows - y)
    return (x, y, columns, rows), (-(-columns // (1 << below)), -(-rows // (1 << below)))


def _finished(wanted: ImageRequest, samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Grey, mirror and turn a picture."""
    if wanted.quality in ("gray", "bitonal"):
        samples = _grey(samples, bitonal=wanted.quality == "bitonal")
    return np.rot90(samples[:, ::-1] if wanted.mirrored else samples, -wanted.quarters)


def _grey(samples: npt.NDArray[np.uint8], *, bitonal: bool) -> npt.NDArray[np.uint8]:
    """Luminance (ITU-R BT.601) of a picture, as ``(rows, columns)`` uint8; black and white from the middle on."""
    grey = samples if samples.ndim == 2 else np.rint(samples @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.where(grey >= 128, np.uint8(255), np.uint8(0)) if bitonal else grey


def _filled(pyramid: Pyramid | PlaneImage, samples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Fill a tile at the edge up to its full size."""
    whole = np.zeros((pyramid.tile[1], pyramid.tile[0], *samples.shape[2:]), np.uint8)
    if samples.ndim == 3:
        whole[:] = pyramid.background or 0
    whole[: samples.shape[0], : samples.shape[1]] = samples
    return whole
