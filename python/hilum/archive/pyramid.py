"""Images that can be asked for in parts: a frame, a tiled instance, or a slide of several levels; and finding them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.partial import resolutions
from hilum.archive.slide import TileGrid, channels_of, grid_of, place_of_path
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import Index, InstanceRecord
    from hilum.pixels.description import RenderingAttributes
    from hilum.types import PixelDescription

__all__ = ["PLAIN_TILE", "Pyramid", "PyramidLevel", "Pyramids", "Region"]

Region = tuple[int, int, int, int]
"""``(x, y, columns, rows)`` in pixels of the largest level, from the upper left corner."""

PLAIN_TILE: Final = 512
"""Columns and rows of a tile of an image that is not stored in tiles."""
_MAX_PYRAMIDS: Final = 256
_MAX_NAMES: Final = 1024
_MAX_NAME: Final = 200
"""Characters of a name that is kept."""
_ASPECT_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """One stored resolution."""

    record: InstanceRecord
    grid: TileGrid
    pixels: PixelDescription
    attributes: RenderingAttributes
    """Of the first frame; they hold for all tiles."""
    is_colour: bool
    resolutions: int | None = None
    """How often a plain frame can be halved by decoding less of it; None: it is decoded whole."""

    @property
    def is_tiled(self) -> bool:
        """Whether it is more than one frame."""
        return self.grid.across * self.grid.down > 1


@dataclass(frozen=True)
class Pyramid:
    """An image that can be asked for in parts: a frame, a tiled instance, or a slide of several instances."""

    levels: tuple[PyramidLevel, ...]
    """The largest first."""
    tag: str
    """Changes when any of the objects does."""

    @property
    def columns(self) -> int:
        """Of the largest level."""
        return self.levels[0].grid.columns

    @property
    def rows(self) -> int:
        """Of the largest level."""
        return self.levels[0].grid.rows

    @property
    def background(self) -> tuple[int, int, int] | None:
        """Red, green, blue of what no tile covers; None of a grey image."""
        level = self.levels[0]
        return level.grid.absent if level.is_colour else None

    @property
    def tile(self) -> tuple[int, int]:
        """Columns and rows of the tiles that are best asked for."""
        level = self.levels[0]
        return (level.grid.tile_columns, level.grid.tile_rows) if level.is_tiled else (PLAIN_TILE, PLAIN_TILE)

    @cached_property
    def factors(self) -> tuple[tuple[float, float], ...]:
        """Of each level, pixels of the largest one for one of its own, across and down.

        Whole where rounding alone hides that.
        """
        return tuple(
            (_factor(self.columns, level.grid.columns), _factor(self.rows, level.grid.rows)) for level in self.levels
        )

    def best(self, region: Region, size: tuple[int, int]) -> int:
        """Position of the smallest level that has a pixel for each that is asked for."""
        columns, rows = size
        for at in range(len(self.levels) - 1, 0, -1):
            across, down = self.factors[at]
            if ceil(region[2] / across) >= columns and ceil(region[3] / down) >= rows:
                return at
        return 0

    def stored_place(self, region: Region, size: tuple[int, int]) -> tuple[PyramidLevel, int] | None:
        """Level and frame of the stored tile that a region at a size is; None when it is not one."""
        at = self.best(region, size)
        level = self.levels[at]
        grid, (across, down) = level.grid, self.factors[at]
        wide, high = grid.tile_columns, grid.tile_rows
        if size != (wide, high) or region[2] != wide * across or region[3] != high * down:
            return None
        (column, x), (row, y) = divmod(region[0] / across, wide), divmod(region[1] / down, high)
        frame = None if x or y else grid.frame_at(int(column), int(row))
        return None if frame is None else (level, frame)


class Pyramids:
    """Finds pyramids by name and keeps them; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    index : Index
    """

    def __init__(self, retriever: Retriever, index: Index) -> None:
        self._retrieve = retriever
        self._index = index
        self._pyramids: OrderedDict[tuple[object, ...], Pyramid] = OrderedDict()
        self._names: OrderedDict[str, tuple[int, Pyramid]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, name: str) -> Pyramid | None:
        """Pyramid that was found under this name, unless the index has changed since; does not wait."""
        found = self._names.get(name)
        return found[1] if found is not None and found[0] == self._index.revision() else None

    def find(self, name: str) -> Pyramid:
        """Find what a name stands for.

        Parameters
        ----------
        name : str
            SOP Instance UID: the whole tiled image, or the first frame of another; SOP Instance UID, ``:`` and a frame
            number from 1: that frame; Series Instance UID: the slide that its VOLUME images are levels of. Of tiled
            images ``;opticalpath=IDENTIFIER`` (0048,0106) and ``;focalplane=NUMBER``, from 1 next to the slide
            upwards, may follow; the first of each otherwise.

        Raises
        ------
        NotFound
            There is no such object, frame, optical path or focal plane, or the series is not a slide.
        UsageError
            The name has another form.
        DataError
            The object has no pixel data, or its tiles do not lie on one grid.
        """
        revision = self._index.revision()
        made = self._found(name)
        if len(name) > _MAX_NAME:
            return made
        with self._lock:
            self._names[name] = revision, made
            while len(self._names) > _MAX_NAMES:
                self._names.popitem(last=False)
        return made

    def _found(self, name: str) -> Pyramid:
        image, _, parameters = name.partition(";")
        uid, _, number = image.partition(":")
        if number and not (number.isascii() and number.isdigit() and len(number) < 10 and int(number)):
            raise UsageError("a frame is named by its number, from 1")
        plane = _plane_of(parameters) if parameters else (None, 0)
        if number and parameters:
            raise UsageError("a frame has one optical path and focal plane: name the image or them")
        record = self._index.lookup([uid])[0]
        if record is not None:
            return self._kept([record], plane, int(number) if number else 0)
        series = None if number else self._index.series(uid)
        if series is None:
            raise NotFound("there is no such instance, frame or series")
        return self._kept(self._index.instances(series.study_instance_uid, uid), plane, None)

    def _kept(self, records: Sequence[InstanceRecord], plane: tuple[str | None, int], number: int | None) -> Pyramid:
        """Pyramid of a frame (from 1), of an instance (0) or of a slide (None)."""
        key = (number, *plane, *(record.sha256 for record in records))
        with self._lock:
            found = self._pyramids.get(key)
            if found is not None:
                self._pyramids.move_to_end(key)
                return found
        levels = self._slide(records, plane) if number is None else [self._level(records[0], plane, number)]
        made = Pyramid(tuple(levels), hashlib.sha256(repr(key).encode()).hexdigest()[:24])
        with self._lock:
            self._pyramids[key] = made
            while len(self._pyramids) > _MAX_PYRAMIDS:
                self._pyramids.popitem(last=False)
        return made

    def _slide(self, records: Sequence[InstanceRecord], plane: tuple[str | None, int]) -> list[PyramidLevel]:
        """Levels of one optical path and focal plane, which instances may share or have for themselves."""
        images = []
        for record in records:
            document = self._document(record) if record.pixels is not None else {}
            kinds = document.get("00080008", {}).get("Value") or []
            if "VOLUME" in kinds[2:3] and grid_of(document) is not None:
                images.append((record, document))
        if not images:
            raise NotFound("the series is not a slide; name one of its instances")
        images.sort(key=lambda image: -int(image[1]["00480006"]["Value"][0]))
        channels = channels_of([document for _, document in images])
        paths = list(dict.fromkeys(path for names in channels for path in names))
        path, focal_plane = plane
        path = paths[0 if path is None else place_of_path(path, paths)]
        found = [
            self._of_grid(record, grid)
            for (record, document), names in zip(images, channels, strict=True)
            if path in names
            and (grid := grid_of(document, optical_path=names[path], focal_plane=focal_plane)) is not None
        ]
        base = found[0].grid
        # A level shows the same as the largest one, smaller: another shape or another colour is another image.
        return [
            level
            for level in found
            if abs(level.grid.rows * base.columns / (level.grid.columns * base.rows) - 1) <= _ASPECT_TOLERANCE
            and level.is_colour == found[0].is_colour
        ]

    def _level(self, record: InstanceRecord, plane: tuple[str | None, int], number: int) -> PyramidLevel:
        pixels = self._retrieve.require_pixels(record)
        if not number:
            document = self._document(record)
            grid = grid_of(document, optical_path=plane[0], focal_plane=plane[1])
            if grid is not None:
                return self._of_grid(record, grid)
            if plane != (None, 0):
                raise NotFound("the image is not tiled: it has no optical paths or focal planes")
        frame = max(1, number) - 1
        if frame >= self._retrieve.frame_count(record):
            raise NotFound(f"there is no frame {number}: the object has {self._retrieve.frame_count(record)}")
        plain = TileGrid(pixels.columns, pixels.rows, pixels.columns, pixels.rows, frame, None, (0, 0, 0))
        return self._of_grid(record, plain)

    def _of_grid(self, record: InstanceRecord, grid: TileGrid) -> PyramidLevel:
        pixels = self._retrieve.require_pixels(record)
        attributes = self._retrieve.rendering_attributes(record, grid.first)
        colour = pixels.samples_per_pixel > 1 or pixels.photometric_interpretation.startswith("PALETTE")
        halved = None
        if grid.across * grid.down == 1 and not colour:
            stored = self._retrieve.stored_frame(record, grid.first)
            halved = resolutions(stored, record.transfer_syntax_uid, pixels, attributes)
        return PyramidLevel(record, grid, pixels, attributes, colour, halved)

    def _document(self, record: InstanceRecord) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._retrieve.instance_json(record))
        return document


def _factor(whole: int, part: int) -> float:
    factor = whole / part
    near = round(factor)
    return float(near) if part in (whole // near, -(-whole // near)) else factor


def _plane_of(parameters: str) -> tuple[str | None, int]:
    """Optical path and focal plane (from 0) that the parameters of a name ask for."""
    path, focal_plane = None, 0
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key == "opticalpath" and value:
            path = value.strip()
        elif key == "focalplane" and value.isascii() and value.isdigit() and len(value) < 7 and int(value):
            focal_plane = int(value) - 1
        else:
            raise UsageError("parameters of a tiled image are opticalpath=IDENTIFIER and focalplane=NUMBER, from 1")
    return path, focal_plane
