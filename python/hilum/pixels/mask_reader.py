"""Reads the mask modules of presentation states (PS3.3 C.11.13, C.11.19, C.11.21); errors name attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.errors import UsageError
from hilum.pixels.mask_subtraction import Mask, Shift, Viewing
from hilum.pixels.presentation_tables import lut_of
from hilum.pixels.presentation_values import (
    FAR,
    MAX_OBJECTS,
    MISSING,
    bad_value,
    items_of,
    number_of,
    numbers_of,
    references_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydicom

    from hilum.pixels.mask_subtraction import FrameRanges
    from hilum.pixels.settings import Lut

__all__ = ["read_masks", "read_viewing"]

_MOST_FRAMES: Final = 64


def read_masks(ds: pydicom.Dataset) -> tuple[Mask, ...]:
    """Read the masks of a presentation state.

    Raises
    ------
    UsageError
        A table that does not lead to the logarithm of the intensity.
    DataError
        An attribute is missing or cannot be.
    """
    items = items_of(ds, "MaskSubtractionSequence")
    return () if str(ds.get("RecommendedViewingMode", "SUB")) == "NAT" else tuple(map(_mask, items))


def _mask(item: pydicom.Dataset) -> Mask:
    operation = str(item.get("MaskOperation", ""))
    if operation not in ("AVG_SUB", "TID", "REV_TID"):
        raise bad_value("MaskOperation (0028,6101) is none of AVG_SUB, TID, REV_TID", MISSING)
    ranges = _ranges(item, "ApplicableFrameRange", "ApplicableFrameRange (0028,6102)")
    if operation == "REV_TID" and not ranges:
        raise bad_value("REV_TID without ApplicableFrameRange (0028,6102)", MISSING)
    frames = tuple(int(number) for number in numbers_of(item, "MaskFrameNumbers"))
    if operation == "AVG_SUB" and not 1 <= len(frames) <= _MOST_FRAMES:
        raise bad_value(f"MaskFrameNumbers (0028,6110) are not 1 to {_MOST_FRAMES} frames", MISSING)
    averaged = number_of(item, "ContrastFrameAveraging", 1.0)
    if not 1 <= averaged <= _MOST_FRAMES:
        raise bad_value(f"ContrastFrameAveraging (0028,6112) is not from 1 to {_MOST_FRAMES}")
    return Mask(
        operation,  # type: ignore[arg-type]
        ranges,
        frames,
        int(averaged),
        int(number_of(item, "TIDOffset", 1.0)),
        references_of(item),
        tuple(_shifts(item)),
        tuple(map(_table, items_of(item, "PixelIntensityRelationshipLUTSequence"))),
    )


def _ranges(item: pydicom.Dataset, keyword: str, name: str) -> FrameRanges:
    ends = tuple(int(number) for number in numbers_of(item, keyword))
    ranges = tuple(zip(ends[::2], ends[1::2], strict=False))
    if len(ends) % 2 or any(first > last for first, last in ranges):
        raise bad_value(f"{name} is not pairs of a first and a last frame")
    return ranges


def _shifts(item: pydicom.Dataset) -> Iterator[Shift]:
    offset = _offset(item)
    if offset is not None:
        yield Shift((), *offset)
    for span in items_of(item, "PixelShiftSequence"):
        ranges = _ranges(span, "PixelShiftFrameRange", "PixelShiftFrameRange (0028,9506)")
        for part in items_of(span, "RegionPixelShiftSequence"):
            offset = _offset(part)
            if offset is None:
                raise bad_value("an item of RegionPixelShiftSequence (0028,9502) has no MaskSubPixelShift", MISSING)
            yield Shift(ranges, *offset, _region(part))


def _offset(item: pydicom.Dataset) -> tuple[float, float] | None:
    offset = numbers_of(item, "MaskSubPixelShift")
    if not offset:
        return None
    if len(offset) != 2 or max(map(abs, offset)) > FAR:
        raise bad_value("MaskSubPixelShift (0028,6114) is not a row and a column offset near the image")
    return offset[0], offset[1]


def _region(item: pydicom.Dataset) -> tuple[tuple[int, int], ...]:
    corners = tuple(int(number) for number in numbers_of(item, "VerticesOfTheRegion"))
    if corners and (len(corners) < 6 or len(corners) % 2 or len(corners) > MAX_OBJECTS):
        raise bad_value("VerticesOfTheRegion (0028,9503) are fewer than three points, or too many")
    return tuple(zip(corners[::2], corners[1::2], strict=True))


def _table(item: pydicom.Dataset) -> tuple[FrameRanges, Lut]:
    if str(item.get("LUTFunction") or "TO_LOG") != "TO_LOG":
        raise UsageError("subtraction by a LUTFunction (0028,9474) other than TO_LOG is not rendered")
    return _ranges(item, "LUTFrameRange", "LUTFrameRange (0028,9507)"), lut_of(item)


def read_viewing(ds: pydicom.Dataset) -> tuple[Viewing, ...]:
    """Read how frames of an XA/XRF presentation state are viewed (PS3.3 C.11.21).

    Raises
    ------
    DataError
        An attribute is missing or cannot be.
    """
    found = []
    for presentation in items_of(ds, "MultiFramePresentationSequence"):
        references = references_of(presentation)
        for item in items_of(presentation, "FrameDisplaySequence"):
            first, last = number_of(item, "StartTrim", 1.0), number_of(item, "StopTrim", float(1 << 31))
            percentage = number_of(item, "MaskVisibilityPercentage", 0.0)
            if first > last or not 0 <= percentage <= 100:
                raise bad_value(
                    "StartTrim (0008,2142) is after StopTrim (0008,2143), "
                    "or MaskVisibilityPercentage (0028,9478) is not from 0 to 100"
                )
            native = str(item.get("RecommendedViewingMode") or "SUB") == "NAT"
            found.append(Viewing(references, ((int(first), int(last)),), 1.0 if native else percentage / 100))
    return tuple(found)
