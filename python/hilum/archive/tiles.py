"""Parts of large images at any size: tiles of radiographs and whole slide images, from the level that fits best."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.caches import MemoryCache
from hilum.archive.partial import block_around, halvings, is_windowed, resolutions
from hilum.archive.slide import TileGrid, grid_of
from hilum.errors import LimitExceeded, NotFound, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import Index, InstanceRecord
    from hilum.pixels.description import RenderingAttributes
    from hilum.pixels.settings import RenderSettings

__all__ = ["PLAIN_TILE", "Pyramid", "PyramidLevel", "Region", "Tiler"]

Region = tuple[int, int, int, int]
"""``(x, y, columns, rows)`` in pixels of the largest level, from the upper left corner."""

PLAIN_TILE: Final = 512
"""Columns and rows of a tile of an image that is not stored in tiles."""
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_MAX_COMPOSED: Final = 1 << 24
"""Pixels that are put together for one answer; above it, each stored tile is made smaller first."""
_MAX_TILES: Final = 4096
_MAX_PYRAMIDS: Final = 256
_STRIPES: Final = 16
_ASPECT_TOLERANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """One stored resolution."""

    record: InstanceRecord
    grid: TileGrid
    attributes: RenderingAttributes
    """Of the first frame; they hold for all tiles."""
    is_colour: bool
    resolutions: int | None = None
    """How often a plain frame can be halved by decoding less of it; None: it is decoded whole."""


@dataclass(frozen=True, slots=True)
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
        grid = self.levels[0].grid
        if grid.across * grid.down == 1:
            return PLAIN_TILE, PLAIN_TILE
        return grid.tile_columns, grid.tile_rows


class Tiler:
    """Makes parts of images; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    index : Index
    memory_bytes : int
        Decoded frames and tiles that are kept.
    """

    def __init__(self, retriever: Retriever, index: Index, memory_bytes: int) -> None:
        self._retrieve = retriever
        self._index = index
        self._decoded = MemoryCache(memory_bytes, largest=memory_bytes)
        self._pyramids: OrderedDict[tuple[bytes, ...], Pyramid] = OrderedDict()
        self._lock = threading.Lock()
        self._decoding = [threading.Lock() for _ in range(_STRIPES)]

    def pyramid(self, name: str) -> Pyramid:
        """Find what a name stands for.

        Parameters
        ----------
        name : str
            SOP Instance UID: the whole tiled image, or the first frame of another; SOP Instance UID, ``:`` and a frame
            number from 1: that frame; Series Instance UID: the slide that its VOLUME images are levels of.

        Raises
        ------
        NotFound
            There is no such object or frame, or the series is not a slide.
        DataError
            The object has no pixel data, or its tiles do not lie on one grid.
        """
        uid, _, number = name.partition(":")
        if number and not (number.isascii() and number.isdigit() and len(number) < 10 and int(number)):
            raise UsageError("a frame is named by its number, from 1")
        record = self._index.lookup([uid])[0]
        if record is not None:
            return self._kept([record], int(number) if number else 0)
        series = None if number else self._index.series(uid)
        if series is None:
            raise NotFound("there is no such instance, frame or series")
        return self._kept(self._index.instances(series.study_instance_uid, uid), 0, slide=True)

    def _kept(self, records: Sequence[InstanceRecord], number: int, *, slide: bool = False) -> Pyramid:
        key = (str(number).encode(), *(record.sha256 for record in records))
        with self._lock:
            found = self._pyramids.get(key)
            if found is not None:
                self._pyramids.move_to_end(key)
                return found
        levels = self._slide_levels(records) if slide else [self._level(records[0], number)]
        tag = hashlib.sha256(b"/".join(key)).hexdigest()[:24]
        made = Pyramid(tuple(levels), tag)
        with self._lock:
            self._pyramids[key] = made
            while len(self._pyramids) > _MAX_PYRAMIDS:
                self._pyramids.popitem(last=False)
        return made

    def _slide_levels(self, records: Sequence[InstanceRecord]) -> list[PyramidLevel]:
        found = []
        for record in records:
            if record.pixels is None:
                continue
            document = self._document(record)
            kinds = document.get("00080008", {}).get("Value") or []
            grid = grid_of(document) if "VOLUME" in kinds[2:3] else None
            if grid is not None:
                found.append(self._of_grid(record, grid))
        if not found:
            raise NotFound("the series is not a slide; name one of its instances")
        found.sort(key=lambda level: -level.grid.columns)
        base = found[0].grid
        # A level shows the same as the largest one, smaller: another shape or another colour is another image.
        return [
            level
            for level in found
            if abs(level.grid.rows * base.columns / (level.grid.columns * base.rows) - 1) <= _ASPECT_TOLERANCE
            and level.is_colour == found[0].is_colour
        ]

    def _level(self, record: InstanceRecord, number: int) -> PyramidLevel:
        pixels = self._retrieve.require_pixels(record)
        if not number:
            grid = grid_of(self._document(record))
            if grid is not None:
                return self._of_grid(record, grid)
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
        return PyramidLevel(record, grid, attributes, colour, halved)

    def _document(self, record: InstanceRecord) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._retrieve.instance_json(record))
        return document

    # Parts

    def pixels(
        self, pyramid: Pyramid, region: Region, size: tuple[int, int], settings: RenderSettings
    ) -> npt.NDArray[np.uint8]:
        """Render a part of the image.

        Parameters
        ----------
        pyramid : Pyramid
        region : (x, y, columns, rows)
            Inside of the image.
        size : (columns, rows)
            Of the answer, exactly.
        settings : RenderSettings
            Window and the like; its region and size are not looked at.

        Returns
        -------
        ndarray
            ``(rows, columns)`` or ``(rows, columns, 3)``, uint8.

        Raises
        ------
        UsageError
            The region is not inside of the image.
        LimitExceeded
            The stored levels are too large for so small a picture of so much.
        DataError
            A frame cannot be decoded.
        """
        from hilum.pixels.pipeline import render_pixels

        return render_pixels(*self._part(pyramid, region, size, settings))

    def stored_tile(self, pyramid: Pyramid, region: Region, size: tuple[int, int]) -> bytes | None:
        """Return the JPEG file of a stored tile when it is all that is asked for; None when it has to be made."""
        level = _best_level(pyramid, region, size)
        grid, record = level.grid, level.record
        if record.transfer_syntax_uid != _JPEG_BASELINE or size != (grid.tile_columns, grid.tile_rows):
            return None
        across, down = _factors(pyramid, level)
        left, top = region[0] / across, region[1] / down
        wide, high = region[2] / across, region[3] / down
        if wide != size[0] or high != size[1] or left % grid.tile_columns or top % grid.tile_rows:
            return None
        column, row = int(left) // grid.tile_columns, int(top) // grid.tile_rows
        frame = grid.frame_at(column, row)
        if frame is None:
            return None
        data = self._retrieve.stored_frame(record, frame)
        return data if _is_plain_jpeg(data, self._retrieve.require_pixels(record)) else None

    def _part(
        self, pyramid: Pyramid, region: Region, size: tuple[int, int], settings: RenderSettings
    ) -> tuple[memoryview, str, PixelDescription, RenderingAttributes, RenderSettings]:
        """What one call of the pipeline needs to make a part."""
        x, y, columns, rows = region
        if min(columns, rows, *size) < 1 or min(x, y) < 0:
            raise UsageError("the region and the size must be at least one pixel wide and high")
        if x + columns > pyramid.columns or y + rows > pyramid.rows:
            raise UsageError(f"the region is not inside of the image of {pyramid.columns} x {pyramid.rows}")
        level = _best_level(pyramid, region, size)
        grid = level.grid
        across, down = _factors(pyramid, level)
        left, top = min(grid.columns - 1, int(x / across)), min(grid.rows - 1, int(y / down))
        right = min(grid.columns, max(left + 1, ceil((x + columns) / across)))
        bottom = min(grid.rows, max(top + 1, ceil((y + rows) / down)))
        box = (left, top, right, bottom)
        part = self._part_of_frame(level, box, size) if is_windowed(settings) else None
        samples, inside = part if part is not None else self._samples(level, box)
        settings = replace(settings, region=inside, width=size[0], height=size[1], square_pixels=False, exact_size=True)
        pixels = self._retrieve.require_pixels(level.record)
        return samples.data, _EXPLICIT, _described(samples, pixels, level.is_colour), level.attributes, settings

    def _samples(self, level: PyramidLevel, box: tuple[int, int, int, int]) -> tuple[npt.NDArray[Any], Region]:
        """Decoded samples that hold a box (left, top, right, bottom) of a level, and where it lies in them."""
        import numpy as np

        grid = level.grid
        left, top, right, bottom = box
        if grid.across * grid.down == 1:
            frame = grid.frame_at(0, 0)
            if frame is None:
                raise NotFound("the image has no frame at this place")
            return self._decode(level, frame), (left, top, right - left, bottom - top)
        columns = range(left // grid.tile_columns, -(-right // grid.tile_columns))
        rows = range(top // grid.tile_rows, -(-bottom // grid.tile_rows))
        if len(columns) * len(rows) > _MAX_TILES:
            raise LimitExceeded("so much of the slide needs a smaller level than is stored")
        shrink = 1
        while len(columns) * len(rows) * grid.tile_columns * grid.tile_rows // shrink**2 > _MAX_COMPOSED:
            shrink *= 2
        high, wide = -(-grid.tile_rows // shrink), -(-grid.tile_columns // shrink)
        canvas: npt.NDArray[Any] | None = None
        absent = []
        for j, row in enumerate(rows):
            for i, column in enumerate(columns):
                frame = grid.frame_at(column, row)
                at = np.s_[j * high : (j + 1) * high, i * wide : (i + 1) * wide]
                if frame is None:
                    absent.append(at)
                    continue
                tile = _shrunk(self._decode(level, frame), shrink)
                if canvas is None:
                    canvas = np.zeros((len(rows) * high, len(columns) * wide, *tile.shape[2:]), tile.dtype)
                canvas[at] = tile
        if canvas is None:
            shape = (len(rows) * high, len(columns) * wide)
            canvas = np.zeros((*shape, 3) if level.is_colour else shape, np.uint8)
        if level.is_colour:
            for at in absent:
                canvas[at] = grid.absent
        x, y = (left - columns[0] * grid.tile_columns) // shrink, (top - rows[0] * grid.tile_rows) // shrink
        return canvas, (x, y, max(1, (right - left) // shrink), max(1, (bottom - top) // shrink))

    def _part_of_frame(
        self, level: PyramidLevel, box: tuple[int, int, int, int], size: tuple[int, int]
    ) -> tuple[npt.NDArray[Any], Region] | None:
        """As `_samples`, out of a lower resolution or of blocks of one frame; None: it is better decoded whole."""
        if level.resolutions is None:
            return None
        grid = level.grid
        reduce = halvings(box, size, (grid.rows, grid.columns), level.resolutions)
        left, top, right, bottom = (-(-edge // 2**reduce) for edge in box)
        shape = -(-grid.rows // 2**reduce), -(-grid.columns // 2**reduce)
        block = block_around((left, top, right, bottom), shape)
        if block is None:
            if not reduce:
                return None
            block = (0, 0, shape[1], shape[0])
        samples = self._decode_part(level, reduce, block)
        return samples, (left - block[0], top - block[1], right - left, bottom - top)

    def _decode_part(self, level: PyramidLevel, reduce: int, block: tuple[int, int, int, int]) -> npt.NDArray[Any]:
        import numpy as np

        from hilum.codecs.decode import frame_dtype
        from hilum.codecs.jpeg2000 import decode_part

        record, frame = level.record, level.grid.first
        pixels = self._retrieve.require_pixels(record)
        columns, rows = block[2] - block[0], block[3] - block[1]
        key = f"{record.sha256.hex()}/{frame}/{reduce}/{block}"
        with self._decoding[hash(key) % _STRIPES]:
            kept = self._decoded.get(key)
            if kept is None:
                stored = self._retrieve.stored_frame(record, frame)
                part = decode_part(stored, pixels, reduce, (block[0], block[1], columns, rows))
                self._decoded.put(key, part.tobytes())
                return part
        return np.frombuffer(kept, frame_dtype(pixels)).reshape(rows, columns)

    def _decode(self, level: PyramidLevel, frame: int) -> npt.NDArray[Any]:
        """A frame as stored values or RGB, from memory when it was asked for lately."""
        import numpy as np

        record = level.record
        key = f"{record.sha256.hex()}/{frame}"
        pixels = self._retrieve.require_pixels(record)
        with self._decoding[hash(key) % _STRIPES]:  # many tiles of one frame are asked for at once: decode it once
            kept = self._decoded.get(key)
            if kept is None:
                array = np.ascontiguousarray(self._retrieve.decoded_frame(record, frame, rgb=level.is_colour))
                self._decoded.put(key, b"".join((_head(array), array.data.cast("B"))))
                return array
        dtype = np.dtype(kept[:8].rstrip(b"\0").decode())
        shape = (pixels.rows, pixels.columns, 3) if level.is_colour else (pixels.rows, pixels.columns)
        return np.frombuffer(kept, dtype, offset=8).reshape(shape)


def _head(array: npt.NDArray[Any]) -> bytes:
    return array.dtype.str.encode().ljust(8, b"\0")


def _factors(pyramid: Pyramid, level: PyramidLevel) -> tuple[float, float]:
    """Pixels of the largest level for one of a level, across and down: whole where rounding alone hides that."""
    factors = []
    for whole, part in ((pyramid.columns, level.grid.columns), (pyramid.rows, level.grid.rows)):
        factor = whole / part
        near = round(factor)
        factors.append(float(near) if part in (whole // near, -(-whole // near)) else factor)
    return factors[0], factors[1]


def _best_level(pyramid: Pyramid, region: Region, size: tuple[int, int]) -> PyramidLevel:
    """Smallest level that has a pixel for each that is asked for."""
    fitting = [
        level
        for level in pyramid.levels
        if all(ceil(region[2 + i] / factor) >= size[i] for i, factor in enumerate(_factors(pyramid, level)))
    ]
    return fitting[-1] if fitting else pyramid.levels[0]


def _shrunk(tile: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Mean of blocks of `factor` x `factor`, the last ones over what there is."""
    import numpy as np

    if factor == 1:
        return tile
    rows, columns = -(-tile.shape[0] // factor), -(-tile.shape[1] // factor)
    widths = ((0, rows * factor - tile.shape[0]), (0, columns * factor - tile.shape[1]), (0, 0))[: tile.ndim]
    blocks = np.pad(tile, widths, mode="edge").reshape(rows, factor, columns, factor, *tile.shape[2:])
    mean: npt.NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64)
    return mean.astype(tile.dtype) if tile.dtype.kind == "f" else np.rint(mean).astype(tile.dtype)


def _described(samples: npt.NDArray[Any], stored: PixelDescription, is_colour: bool) -> PixelDescription:
    """Description of decoded samples."""
    rows, columns = samples.shape[:2]
    if is_colour:
        return PixelDescription(rows, columns, 3, 0, 8, 8, 7, 0, "RGB", 1, "PixelData")
    bits = 8 * samples.dtype.itemsize
    used = min(bits, stored.bits_stored)
    if samples.dtype.kind == "f":
        return replace(stored, rows=rows, columns=columns, number_of_frames=1, planar_configuration=0)
    return replace(
        stored,
        rows=rows,
        columns=columns,
        planar_configuration=0,
        bits_allocated=bits,
        bits_stored=used,
        high_bit=used - 1,
        number_of_frames=1,
    )


def _is_plain_jpeg(data: bytes, pixels: PixelDescription) -> bool:
    """Whether every JPEG reader shows a frame in the colours that DICOM means."""
    if pixels.samples_per_pixel != 3 or data[:2] != b"\xff\xd8":
        return False
    at, adobe, names = 2, -1, b""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker == 0xC0:
            if len(body) < 15 or body[0] != 8 or body[5] != 3:
                return False
            names = body[6:15:3]
        elif marker == 0xDA:
            break
        at += 2 + length
    if not names:
        return False
    reads_as_rgb = adobe == 0 if adobe >= 0 else names == b"RGB"
    means_rgb = pixels.photometric_interpretation == "RGB"
    return reads_as_rgb == means_rgb
