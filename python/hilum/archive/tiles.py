"""Parts of large images at any size: tiles of radiographs and whole slide images, from the level that fits best."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.caches import MemoryCache
from hilum.archive.partial import block_around, halvings, is_windowed, whole_halvings
from hilum.archive.pyramid import Pyramids
from hilum.errors import LimitExceeded, NotFound, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hilum.archive.partial import Box
    from hilum.archive.pyramid import Pyramid, PyramidLevel, Region
    from hilum.archive.retrieve import Retriever
    from hilum.index.base import Index, InstanceRecord
    from hilum.pixels.description import RenderingAttributes
    from hilum.pixels.settings import RenderSettings

__all__ = ["Tiler"]

_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_MAX_COMPOSED: Final = 1 << 24
"""Pixels that are put together for one answer; above it, each stored tile is made smaller first."""
_MAX_TILES: Final = 4096
_QUICK_PIXELS: Final = 1 << 17
_MAX_KEPT: Final = 16
"""Tiles of one answer above which none is kept for others."""
_STRIPES: Final = 16

_FramePart = tuple[int, int, int, int, int, int, int]
"""Frame, ``x, y, columns, rows`` in it, and ``x, y`` in the picture."""


class Tiler:
    """Makes parts of images; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    index : Index
    memory_bytes : int
        Three quarters for decoded frames and tiles that are kept, a quarter for pictures that were made.
    """

    def __init__(self, retriever: Retriever, index: Index, memory_bytes: int) -> None:
        self._retrieve = retriever
        self.pyramids = Pyramids(retriever, index)
        self.memory = MemoryCache(memory_bytes - memory_bytes // 4, largest=memory_bytes)
        """What is decoded, by keys that change with the objects."""
        self.pictures = MemoryCache(memory_bytes // 4, largest=memory_bytes // 8)
        """Files, by their entity tags. Many of them do not push out what others are made of."""
        self._plain: tuple[tuple[str, int], bytes] = ("", 0), b"\0"
        """Photometric interpretation and samples, and the head of the last stored tile that is a plain JPEG file."""
        self._decoding = [threading.Lock() for _ in range(_STRIPES)]

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

    def is_quick(self, pyramid: Pyramid, region: Region, size: tuple[int, int]) -> bool:
        """Whether a part is small, and all tiles that it is cut out of are kept."""
        if size[0] * size[1] > _QUICK_PIXELS:
            return False
        level, box = self._box(pyramid, region, size)
        wide, high = level.grid.tile_columns, level.grid.tile_rows
        columns, rows = range(box[0] // wide, -(-box[2] // wide)), range(box[1] // high, -(-box[3] // high))
        if len(columns) * len(rows) > _MAX_KEPT or whole_halvings((*box, wide, high), box, size, 1):
            return False
        frames = (level.grid.frame_at(column, row) for row, column in itertools.product(rows, columns))
        return all(frame is None or _rgb_key(level.record, frame) in self.memory for frame in frames)

    def encoded(self, pyramid: Pyramid, samples: npt.NDArray[np.uint8], quality: int) -> bytes:
        """Write a picture as JPEG: colours halved across where they are stored so, else as `encode_picture` does."""
        from hilum.codecs.encode import encode_frame
        from hilum.pixels.formats import encode_picture

        if samples.ndim == 2 or pyramid.levels[0].pixels.photometric_interpretation != "YBR_FULL_422":
            return encode_picture(samples, "jpeg", quality)
        rows, columns = samples.shape[:2]
        described = PixelDescription(rows, columns, 3, 0, 8, 8, 7, 0, "RGB", 1, "PixelData")
        return encode_frame(samples, _JPEG_BASELINE, described, quality=quality)

    def stored_tile(self, pyramid: Pyramid, region: Region, size: tuple[int, int]) -> bytes | None:
        """Return the JPEG file of a stored tile when it is all that is asked for; None when it has to be made."""
        place = pyramid.stored_place(region, size)
        if place is None or place[0].record.transfer_syntax_uid != _JPEG_BASELINE:
            return None
        level, frame = place
        data = self._retrieve.stored_frame(level.record, frame)
        described = level.pixels.photometric_interpretation, level.pixels.samples_per_pixel
        if self._plain[0] == described and data.startswith(self._plain[1]):  # tiles of a slide begin alike
            return data
        head = _plain_head(data, level.pixels)
        if head:
            self._plain = described, head
        return data if head else None

    def _part(
        self, pyramid: Pyramid, region: Region, size: tuple[int, int], settings: RenderSettings
    ) -> tuple[memoryview, str, PixelDescription, RenderingAttributes, RenderSettings]:
        """What one call of the pipeline needs to make a part."""
        level, box = self._box(pyramid, region, size)
        part = self._jpeg_parts(level, box, size)
        if part is None and is_windowed(settings):
            part = self._part_of_frame(level, box, size)
        samples, inside = part if part is not None else self._samples(level, box)
        settings = replace(settings, region=inside, width=size[0], height=size[1], square_pixels=False, exact_size=True)
        return samples.data, _EXPLICIT, _described(samples, level.pixels, level.is_colour), level.attributes, settings

    def _box(self, pyramid: Pyramid, region: Region, size: tuple[int, int]) -> tuple[PyramidLevel, Box]:
        """Level that a part is made of, and where it lies in it."""
        x, y, columns, rows = region
        if min(columns, rows, *size) < 1 or min(x, y) < 0:
            raise UsageError("the region and the size must be at least one pixel wide and high")
        if x + columns > pyramid.columns or y + rows > pyramid.rows:
            raise UsageError(f"the region is not inside of the image of {pyramid.columns} x {pyramid.rows}")
        best = pyramid.best(region, size)
        level, (across, down) = pyramid.levels[best], pyramid.factors[best]
        grid = level.grid
        left, top = min(grid.columns - 1, int(x / across)), min(grid.rows - 1, int(y / down))
        right = min(grid.columns, max(left + 1, ceil((x + columns) / across)))
        bottom = min(grid.rows, max(top + 1, ceil((y + rows) / down)))
        return level, (left, top, right, bottom)

    def _samples(self, level: PyramidLevel, box: Box) -> tuple[npt.NDArray[Any], Region]:
        """Decoded samples that hold a box (left, top, right, bottom) of a level, and where it lies in them."""
        import numpy as np

        grid = level.grid
        left, top, right, bottom = box
        if not level.is_tiled:
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

    def _jpeg_parts(
        self, level: PyramidLevel, box: Box, size: tuple[int, int]
    ) -> tuple[npt.NDArray[Any], Region] | None:
        """As `_samples`, no more decoded of JPEG tiles than is needed; None: they have to be decoded whole."""
        import numpy as np

        from hilum.codecs.jpeg import MAX_HALVINGS, are_rgb_parts, decode_rgb_parts

        record, grid = level.record, level.grid
        if not level.is_tiled or not are_rgb_parts(record.transfer_syntax_uid, level.pixels):
            return None
        halved = whole_halvings((*box, grid.tile_columns, grid.tile_rows), box, size, MAX_HALVINGS)
        left, top, right, bottom = (edge >> halved for edge in box)
        wide, high = grid.tile_columns >> halved, grid.tile_rows >> halved
        columns, rows = range(left // wide, -(-right // wide)), range(top // high, -(-bottom // high))
        if len(columns) * len(rows) > _MAX_TILES or (right - left) * (bottom - top) > _MAX_COMPOSED:
            return None
        canvas: npt.NDArray[np.uint8] = np.empty((bottom - top, right - left, 3), np.uint8)
        parts = []
        for row, column in itertools.product(rows, columns):
            x, y = max(left, column * wide), max(top, row * high)
            across, down = min(right, (column + 1) * wide) - x, min(bottom, (row + 1) * high) - y
            frame = grid.frame_at(column, row)
            if frame is None:
                canvas[y - top : y - top + down, x - left : x - left + across] = grid.absent
            else:
                parts.append((frame, x - column * wide, y - row * high, across, down, x - left, y - top))
        if not halved and self.memory.max_bytes and len(parts) <= _MAX_KEPT:
            self._copy_parts(level, parts, canvas)
        else:
            stored = [(self._retrieve.stored_frame(record, part[0]), *part[1:]) for part in parts]
            decode_rgb_parts(stored, level.pixels, canvas, halvings=halved)
        return canvas, (0, 0, right - left, bottom - top)

    def _copy_parts(self, level: PyramidLevel, parts: list[_FramePart], canvas: npt.NDArray[np.uint8]) -> None:
        """Fill a picture from tiles that are kept; those that are not yet are decoded whole, together."""
        import numpy as np

        from hilum.codecs.jpeg import decode_rgb_parts

        record, pixels = level.record, level.pixels
        rows, columns = pixels.rows, pixels.columns
        kept = {part[0]: self.memory.get(_rgb_key(record, part[0])) for part in parts}
        missing = [frame for frame, data in kept.items() if data is None]
        if missing:
            tiles = np.empty((len(missing) * rows, columns, 3), np.uint8)
            stored = [(self._retrieve.stored_frame(record, frame), 0, 0, columns, rows) for frame in missing]
            decode_rgb_parts([(*part, 0, at * rows) for at, part in enumerate(stored)], pixels, tiles)
            for at, frame in enumerate(missing):
                kept[frame] = data = tiles[at * rows : (at + 1) * rows].tobytes()
                self.memory.put(_rgb_key(record, frame), data)
        for frame, x, y, across, down, to_x, to_y in parts:
            tile = np.frombuffer(kept[frame] or b"", np.uint8).reshape(rows, columns, 3)
            canvas[to_y : to_y + down, to_x : to_x + across] = tile[y : y + down, x : x + across]

    def _part_of_frame(
        self, level: PyramidLevel, box: Box, size: tuple[int, int]
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

        record, frame, pixels = level.record, level.grid.first, level.pixels
        columns, rows = block[2] - block[0], block[3] - block[1]
        key = f"{record.sha256.hex()}/{frame}/{reduce}/{block}"
        with self._decoding[hash(key) % _STRIPES]:
            kept = self.memory.get(key)
            if kept is None:
                stored = self._retrieve.stored_frame(record, frame)
                part = decode_part(stored, pixels, reduce, (block[0], block[1], columns, rows))
                self.memory.put(key, part.tobytes())
                return part
        return np.frombuffer(kept, frame_dtype(pixels)).reshape(rows, columns)

    def _decode(self, level: PyramidLevel, frame: int) -> npt.NDArray[Any]:
        """A frame as stored values or RGB, from memory when it was asked for lately."""
        import numpy as np

        record, pixels = level.record, level.pixels
        key = f"{record.sha256.hex()}/{frame}"
        with self._decoding[hash(key) % _STRIPES]:  # many tiles of one frame are asked for at once: decode it once
            kept = self.memory.get(key)
            if kept is None:
                array = np.ascontiguousarray(self._retrieve.decoded_frame(record, frame, rgb=level.is_colour))
                self.memory.put(key, b"".join((_head(array), array.data.cast("B"))))
                return array
        dtype = np.dtype(kept[:8].rstrip(b"\0").decode())
        shape = (pixels.rows, pixels.columns, 3) if level.is_colour else (pixels.rows, pixels.columns)
        return np.frombuffer(kept, dtype, offset=8).reshape(shape)


def _rgb_key(record: InstanceRecord, frame: int) -> str:
    return f"{record.sha256.hex()}/{frame}/rgb"


def _head(array: npt.NDArray[Any]) -> bytes:
    return array.dtype.str.encode().ljust(8, b"\0")


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


def _plain_head(data: bytes, pixels: PixelDescription) -> bytes:
    """Head of a frame, up to its scan, which every JPEG reader shows in the colours that DICOM means; else nothing."""
    if pixels.samples_per_pixel != 3 or data[:2] != b"\xff\xd8":
        return b""
    at, adobe, names = 2, -1, b""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker == 0xC0:
            if len(body) < 15 or body[0] != 8 or body[5] != 3:
                return b""
            names = body[6:15:3]
        elif marker == 0xDA:
            break
        at += 2 + length
    reads_as_rgb = adobe == 0 if adobe >= 0 else names == b"RGB"
    means_rgb = pixels.photometric_interpretation == "RGB"
    return data[: at + 2] if names and reads_as_rgb == means_rgb else b""
