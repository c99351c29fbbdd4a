"""Masks of overlays as the renderer takes them: segments of segmentations, regions of structure sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.errors import LimitExceeded
from hilum.render.labels import label_maps
from hilum.render.renderer import Renderer
from hilum.volumes.masks import MAX_VOXELS
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.render.labels import LabelMap
    from hilum.volumes.contours import StructureSet
    from hilum.volumes.masks import Mask, Segment
    from hilum.volumes.segments import Segmentation

__all__ = ["Labels", "Regions", "by_frame_of_reference", "read_labels"]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Segments of a segmentation."""

    maps: tuple[LabelMap, ...]
    fractions: tuple[tuple[Segment, Renderer, int], ...]
    """Of fractional segments, what shows each and what is wholly inside."""
    frame_of_reference_uid: str

    @property
    def nbytes(self) -> int:
        """In memory."""
        return _bytes_of(self.maps) + sum(_voxels(renderer) for _, renderer, _ in self.fractions)


class Regions:
    """A structure set and the masks of its regions, made when a plane cuts across their contours."""

    def __init__(self, structure: StructureSet) -> None:
        self.structure = structure
        self._maps: dict[int, tuple[LabelMap, ...]] = {}

    @property
    def nbytes(self) -> int:
        """In memory."""
        return sum(_bytes_of(maps) for maps in list(self._maps.values()))

    def maps(self, number: int) -> tuple[LabelMap, ...]:
        """Masks of a region; LimitExceeded where all regions together are too large."""
        if number not in self._maps:
            made = tuple(label_maps([self.structure.mask(number)]))
            if self.nbytes + _bytes_of(made) > MAX_VOXELS:
                raise LimitExceeded(f"regions of more than {MAX_VOXELS} voxels together: name fewer of them")
            self._maps[number] = made
        return self._maps[number]


def _voxels(renderer: Renderer) -> int:
    z, y, x = renderer.view.layout[0]
    return z * y * x


def _bytes_of(maps: Sequence[LabelMap]) -> int:
    """Bytes of label maps: their voxels have one each."""
    return sum(_voxels(one.renderer) for one in maps)


def by_frame_of_reference(structure: StructureSet, numbers: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Numbers of the regions to show, by frame of reference."""
    chosen = numbers or tuple(segment.number for segment in structure.segments)
    found: dict[str, tuple[int, ...]] = {}
    for number in chosen:
        structure.segment(number)
        uid = structure.frames_of_reference[number]
        found[uid] = (*found.get(uid, ()), number)
    return found


def read_labels(segmentation: Segmentation, numbers: tuple[int, ...], time: int | None) -> Labels:
    """Decode segments of a time point, from 0 (None: they do not vary); errors: those of `Segmentation.mask`."""
    chosen = numbers or tuple(segment.number for segment in segmentation.segments if not segment.background)
    uid = segmentation.frame_of_reference_uid
    if segmentation.kind != "FRACTIONAL":
        return Labels(tuple(label_maps(segmentation.each(chosen, time))), (), uid)
    masks: list[Mask] = []
    for mask in segmentation.each(chosen, time):
        if mask.voxels.size:
            masks.append(mask)
        if sum(one.voxels.size for one in masks) > MAX_VOXELS:
            raise LimitExceeded(f"segments of more than {MAX_VOXELS} voxels together: name fewer of them")
    fractions = tuple(
        (mask.segment, Renderer(from_array(mask.voxels, affine=mask.affine)), mask.maximum) for mask in masks
    )
    return Labels(tuple(label_maps(masks)), fractions, uid)
