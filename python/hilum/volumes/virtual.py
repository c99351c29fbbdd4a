"""A series as virtual Zarr v3 arrays: chunk n is frame n, nothing is converted or kept (``docs/formats/zarr.md``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.codecs.decode import frame_dtype, frame_shape
from hilum.codecs.zarr_codec import codec_metadata
from hilum.dicom.scan import FrameTable
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.index.base import InstanceRecord

__all__ = ["VirtualArray", "bytes_codec", "virtual_arrays"]

_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_LITTLE: Final = frozenset({"1.2.840.10008.1.2", _EXPLICIT, _DEFLATED})


@dataclass(frozen=True, slots=True)
class VirtualArray:
    """Frames of one shape, type and transfer syntax, in display order."""

    frames: tuple[tuple[InstanceRecord, int], ...]
    """Chunk n is frame n of these: object, frame from 0."""
    pixels: PixelDescription
    transfer_syntax_uid: str
    """Of the stored chunks; empty where they differ."""

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """``(1, rows, columns[, samples])``."""
        return (1, *frame_shape(self.pixels))

    def metadata(self, *, stored: bool) -> dict[str, Any]:
        """``zarr.json`` of the array.

        Parameters
        ----------
        stored : bool
            Chunks as they are stored; False: decoded, which every reader of Zarr understands.
        """
        dtype = frame_dtype(self.pixels)
        codec = bytes_codec(dtype.itemsize)
        if stored and not self.is_plain:
            codec = codec_metadata(self.transfer_syntax_uid, self.pixels)
        names = ["frame", "y", "x", "sample"][: len(self.chunk_shape)]
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [len(self.frames), *self.chunk_shape[1:]],
            "data_type": str(dtype),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunk_shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if dtype.kind == "f" else 0,
            "codecs": [codec],
            "attributes": {"hilum": {"photometric_interpretation": self.pixels.photometric_interpretation}},
            "dimension_names": names,
        }

    @property
    def is_plain(self) -> bool:
        """Whether the stored bytes of a frame are its values, little endian, nothing else beside them."""
        pixels = self.pixels
        whole = pixels.keyword != "PixelData" or (
            pixels.bits_allocated in (8, 16, 32) and pixels.bits_stored == pixels.bits_allocated
        )
        interleaved = pixels.samples_per_pixel == 1 or pixels.planar_configuration == 0
        subsampled = pixels.photometric_interpretation.startswith("YBR_FULL_422")
        return self.transfer_syntax_uid in _LITTLE and whole and interleaved and not subsampled

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return int(np.prod(self.chunk_shape)) * frame_dtype(self.pixels).itemsize


def bytes_codec(itemsize: int) -> dict[str, Any]:
    """Zarr v3's own codec: values as they are, little endian."""
    return {"name": "bytes", "configuration": {"endian": "little"}} if itemsize > 1 else {"name": "bytes"}


def virtual_arrays(records: Sequence[InstanceRecord]) -> list[VirtualArray]:
    """Frames of a series as arrays, one for each shape and type of frame, in the order of their first frames.

    Parameters
    ----------
    records : sequence of InstanceRecord
        In display order; those without pixel data are left out.
    """
    groups: dict[tuple[int | str, ...], list[InstanceRecord]] = {}
    for record in records:
        if record.pixels is not None:
            groups.setdefault((*record.pixels[:9], 1, *record.pixels[10:]), []).append(record)
    arrays = []
    for fields, members in groups.items():
        syntaxes = {_EXPLICIT if r.transfer_syntax_uid == _DEFLATED else r.transfer_syntax_uid for r in members}
        frames = tuple((r, n) for r in members for n in range(len(FrameTable(r.frame_table))))
        pixels = PixelDescription(*fields)  # type: ignore[arg-type]
        if frames:
            arrays.append(VirtualArray(frames, pixels, syntaxes.pop() if len(syntaxes) == 1 else ""))
    return arrays
