"""Segmentations and structure sets of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.errors import LimitExceeded, UsageError
from hilum.volumes.contours import STRUCTURE_SETS, StructureSet
from hilum.volumes.segments import HEADER_KEYWORDS, SEGMENTATIONS, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.index.base import InstanceRecord

__all__ = ["read_segmentation"]

_MAX_BYTES = 512 << 20


def read_segmentation(archive: Archive, record: InstanceRecord) -> Segmentation | StructureSet:
    """Read a segmentation or structure set; see `Instance.segmentation`."""
    retrieve = archive.retrieve
    if record.sop_class_uid in STRUCTURE_SETS:
        if record.location.length > _MAX_BYTES:
            raise LimitExceeded(f"a structure set of more than {_MAX_BYTES} bytes")
        return StructureSet(retrieve.dataset(record))
    if record.sop_class_uid not in SEGMENTATIONS:
        raise UsageError("the object is no segmentation and no structure set")

    def decode(frames: Sequence[int]) -> npt.NDArray[Any]:
        return retrieve.decode_frames([(record, frame) for frame in frames])

    return Segmentation(retrieve.header_dataset(record, HEADER_KEYWORDS), archive.volumes.frames([record]), decode)
