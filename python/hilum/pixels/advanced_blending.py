"""Advanced blending presentation states (PS3.3 A.33.7, C.11.33, C.11.34; PS3.4 N.2.6): inputs, steps and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum.errors import UsageError
from hilum.pixels.presentation_tables import first_lut, palette_of, rescale_of, voi_of
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, numbers_of, references_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pydicom

    from hilum.pixels.presentation_state import ImageReference, Voi
    from hilum.pixels.settings import Lut, Rescale

__all__ = [
    "AdvancedBlending",
    "BlendingInput",
    "BlendingStep",
    "Threshold",
    "Visible",
    "blend",
    "read_advanced_blending",
    "registrations_of",
]

Visible: TypeAlias = "tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]"
"""Red, green, blue ``(rows, columns, 3)``, 0 where nothing is seen; and what is seen, ``(rows, columns)``."""

_MOST: Final = 32
_VALUES: Final = {
    "RANGE_INCL": 2, "RANGE_EXCL": 2, "GREATER_OR_EQUAL": 1, "LESS_OR_EQUAL": 1, "GREATER_THAN": 1, "LESS_THAN": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """One item of a Threshold Sequence (0070,1B11): which modality values are seen."""

    type: str
    values: tuple[float, ...]

    def shows(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Where values are shown (PS3.3 C.11.33.1.2.1)."""
        low, high = min(self.values), max(self.values)
        shown: dict[str, npt.NDArray[np.bool_]] = {
            "RANGE_INCL": (values >= low) & (values <= high),
            "RANGE_EXCL": (values < low) | (values > high),
            "GREATER_OR_EQUAL": values >= low,
            "LESS_OR_EQUAL": values <= low,
            "GREATER_THAN": values > low,
            "LESS_THAN": values < low,
        }
        return shown[self.type]


@dataclass(frozen=True, slots=True)
class BlendingInput:
    """One item of an Advanced Blending Sequence (0070,1B01)."""

    number: int
    series_instance_uid: str
    references: tuple[ImageReference, ...]
    """Empty: all images of the series."""
    rescale: Rescale
    modality_lut: Lut | None
    voi: tuple[Voi, ...]
    palette: tuple[Lut, Lut, Lut] | None
    """None: grey, or the colours of the image."""
    thresholds: tuple[Threshold, ...]
    """What one of them shows is seen; without any everything is."""
    registrations: tuple[str, ...]
    """SOP Instance UIDs."""
    for_display: bool
    """Its geometry is that of the picture."""


@dataclass(frozen=True, slots=True)
class BlendingStep:
    """One item of a Blending Display Sequence (0070,1B04)."""

    inputs: tuple[int, ...]
    mode: Literal["EQUAL", "FOREGROUND"]
    opacity: float
    """Of the first of the two inputs of FOREGROUND."""
    result: int
    """Number of the result as input of other steps; 0: it is the picture."""


@dataclass(frozen=True, slots=True)
class AdvancedBlending:
    """What is blended, and in which steps."""

    frame_of_reference_uid: str
    inputs: tuple[BlendingInput, ...]
    steps: tuple[BlendingStep, ...]
    """Those whose result is used come before."""

    @property
    def shown(self) -> BlendingInput:
        """The input with the geometry of the picture: the one that says so, else the first (C.11.33.1.1)."""
        return next((one for one in self.inputs if one.for_display), self.inputs[0])


def read_advanced_blending(ds: pydicom.Dataset) -> AdvancedBlending:
    """Read inputs and steps.

    Raises
    ------
    DataError
        An attribute is missing or cannot be; the message names it.
    UsageError
        Time series and optical paths, which are not blended.
    """
    inputs = tuple(map(_input, items_of(ds, "AdvancedBlendingSequence")))
    if not 1 <= len(inputs) <= _MOST or [one.number for one in inputs] != list(range(1, len(inputs) + 1)):
        raise bad_value(f"AdvancedBlendingSequence (0070,1B01) has not 1 to {_MOST} inputs numbered from 1", MISSING)
    if sum(one.for_display for one in inputs) > 1:
        raise bad_value("several inputs have GeometryForDisplay (0070,1B08)")
    steps = tuple(map(_step, items_of(ds, "BlendingDisplaySequence")))
    ordered = _in_order(steps, {one.number for one in inputs})
    return AdvancedBlending(str(ds.get("FrameOfReferenceUID", "")), inputs, ordered)


def _input(item: pydicom.Dataset) -> BlendingInput:
    number, series = numbers_of(item, "BlendingInputNumber"), str(item.get("SeriesInstanceUID", ""))
    if len(number) != 1 or not series:
        raise bad_value("an input has no BlendingInputNumber (0070,1B02) or SeriesInstanceUID (0020,000E)", MISSING)
    if str(item.get("TimeSeriesBlending", "FALSE")) == "TRUE":
        raise UsageError("blending of time series (0070,1B07) is not rendered")
    if any("ReferencedOpticalPathIdentifier" in one for one in items_of(item, "ReferencedImageSequence")):
        raise UsageError("blending of optical paths (0048,0106) is not rendered")
    palettes = items_of(item, "PaletteColorLookupTableSequence")
    return BlendingInput(
        int(number[0]),
        series,
        references_of(item, series),
        rescale_of(item),
        first_lut(item, "ModalityLUTSequence"),
        tuple(voi_of(one) for one in items_of(item, "SoftcopyVOILUTSequence")),
        palette_of(palettes[0]) if palettes else None,
        tuple(map(_threshold, items_of(item, "ThresholdSequence"))),
        registrations_of(item),
        str(item.get("GeometryForDisplay", "FALSE")) == "TRUE",
    )


def registrations_of(item: pydicom.Dataset) -> tuple[str, ...]:
    """Read which objects a Referenced Spatial Registration Sequence (0070,0404) names; DataError for none."""
    studies = items_of(item, "ReferencedSpatialRegistrationSequence")
    found = [
        str(one.get("ReferencedSOPInstanceUID", ""))
        for study in studies
        for series in items_of(study, "ReferencedSeriesSequence")
        for one in items_of(series, "ReferencedSOPSequence")
    ]
    found += [str(one.ReferencedSOPInstanceUID) for one in studies if "ReferencedSOPInstanceUID" in one]
    if "" in found or (not found and studies):
        raise bad_value("ReferencedSpatialRegistrationSequence (0070,0404) names no object", MISSING)
    return tuple(found)


def _threshold(item: pydicom.Dataset) -> Threshold:
    kind = str(item.get("ThresholdType", ""))
    values = tuple(n for one in items_of(item, "ThresholdValueSequence") for n in numbers_of(one, "ThresholdValue"))
    if kind not in _VALUES:
        raise bad_value(f"ThresholdType (0070,1B13) is none of {', '.join(_VALUES)}", MISSING)
    if len(values) != _VALUES[kind]:
        raise bad_value(f"ThresholdValueSequence (0070,1B12) of {kind} has not {_VALUES[kind]} values", MISSING)
    return Threshold(kind, values)


def _step(item: pydicom.Dataset) -> BlendingStep:
    mode = str(item.get("BlendingMode", ""))
    if mode not in ("EQUAL", "FOREGROUND"):
        raise bad_value("BlendingMode (0070,1B06) is neither EQUAL nor FOREGROUND", MISSING)
    inputs = tuple(
        int(n) for one in items_of(item, "BlendingDisplayInputSequence") for n in numbers_of(one, "BlendingInputNumber")
    )
    if not 1 <= len(inputs) <= _MOST or (mode == "FOREGROUND" and len(inputs) != 2):
        raise bad_value("BlendingDisplayInputSequence (0070,1B03) has no inputs, or not two of FOREGROUND", MISSING)
    opacity = numbers_of(item, "RelativeOpacity")
    if mode == "FOREGROUND" and (len(opacity) != 1 or not 0 <= opacity[0] <= 1):
        raise bad_value("RelativeOpacity (0070,0403) of FOREGROUND is missing, or not from 0 to 1", MISSING)
    result = numbers_of(item, "BlendingInputNumber")
    return BlendingStep(inputs, mode, opacity[0] if opacity else 1.0, int(result[0]) if result else 0)  # type: ignore[arg-type]


def _in_order(steps: tuple[BlendingStep, ...], known: set[int]) -> tuple[BlendingStep, ...]:
    """Sort steps so that every result is there before it is used; the picture comes last."""
    if len(steps) > _MOST or [step.result for step in steps].count(0) != 1:
        raise bad_value("BlendingDisplaySequence (0070,1B04) has not one item that is the picture", MISSING)
    if len({step.result for step in steps}) < len(steps) or any(step.result in known for step in steps):
        raise bad_value("a BlendingInputNumber (0070,1B02) is given twice")
    waiting, ordered = list(steps), []
    while waiting:
        ready = [step for step in waiting if known.issuperset(step.inputs)]
        if not ready:
            raise bad_value("a step of BlendingDisplaySequence (0070,1B04) needs an input that there is not, or itself")
        ordered += ready
        known = known | {step.result for step in ready} - {0}
        waiting = [step for step in waiting if step not in ready]
    return tuple(sorted(ordered, key=lambda step: step.result == 0))


def blend(steps: tuple[BlendingStep, ...], inputs: Mapping[int, Visible]) -> npt.NDArray[np.float32]:
    """Blend inputs of one grid; where none is seen the picture is black (PS3.4 N.2.6).

    Parameters
    ----------
    steps : tuple of BlendingStep
        In the order of `AdvancedBlending.steps`.
    inputs : mapping
        By number; all of one shape.

    Returns
    -------
    ndarray
        ``(rows, columns, 3)``.
    """
    known = dict(inputs)
    for step in steps:
        parts = [known[number] for number in step.inputs]
        if step.mode == "EQUAL":
            shares = [seen.astype(np.float32) for _, seen in parts]
        else:
            (_, first), (_, second) = parts
            share = np.where(first & second, np.float32(step.opacity), first.astype(np.float32))
            shares = [share, np.where(first | second, 1 - share, np.float32(0))]
        whole = np.maximum(np.sum(shares, axis=0), 1)
        colour = sum(part * (share / whole)[..., None] for (part, _), share in zip(parts, shares, strict=True))
        known[step.result] = np.asarray(colour, np.float32), np.logical_or.reduce([seen for _, seen in parts])
    return known[0][0]
