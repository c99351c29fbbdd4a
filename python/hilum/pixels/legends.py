"""Patient and technique texts that are burned into a picture (PS3.18 8.3.5.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydicom.multival import MultiValue

from hilum.pixels.drawing import Sheet

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    import pydicom

__all__ = ["KEYWORDS", "LEGENDS", "Legend", "draw_legends"]

Legend: TypeAlias = Literal["patient", "technique"]
LEGENDS: Final[tuple[Legend, ...]] = ("patient", "technique")

_WHITE: Final = (255, 255, 255)
_LONGEST: Final = 64
# Attribute, text before it and behind it; those that an object lacks are left out.
_TECHNIQUE: Final = (
    ("Modality", "", ""),
    ("SeriesDescription", "", ""),
    ("BodyPartExamined", "", ""),
    ("ViewPosition", "", ""),
    ("KVP", "", " kV"),
    ("XRayTubeCurrent", "", " mA"),
    ("Exposure", "", " mAs"),
    ("SliceThickness", "", " mm"),
    ("SliceLocation", "at ", " mm"),
    ("ConvolutionKernel", "", ""),
    ("RepetitionTime", "TR ", " ms"),
    ("EchoTime", "TE ", " ms"),
    ("FlipAngle", "FA ", "°"),
    ("MagneticFieldStrength", "", " T"),
)

KEYWORDS: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"),
    *(keyword for keyword, _, _ in _TECHNIQUE),
    "SharedFunctionalGroupsSequence",
)
"""Attributes that the texts are made of."""


def _value(dataset: pydicom.Dataset, keyword: str) -> str:
    """First value as text that can be drawn; empty when there is none or it cannot be read."""
    try:
        value = dataset.get(keyword)
        first = value[0] if isinstance(value, MultiValue) and value else value
        text = f"{float(first):g}" if isinstance(first, float) else str("" if first is None else first)
    except Exception:  # pydicom converts values late, with errors of any class
        return ""
    if keyword.endswith("Name"):
        groups = [group for group in text.replace("\u3000", " ").split("=") if group.strip("^ ")]
        parts = [part.strip() for part in (groups or [""])[0].split("^")]
        text = ", ".join(" ".join(part.split()) for part in parts[:2] if part)
    return "".join(c for c in text if c.isprintable()).strip()[:_LONGEST]


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def patient_lines(dataset: pydicom.Dataset) -> list[str]:
    """Name, ID, birth date and sex of the patient; date of the study.

    Parameters
    ----------
    dataset : pydicom.Dataset

    Returns
    -------
    list of str
    """
    born = _day(_value(dataset, "PatientBirthDate"))
    lines = [
        _value(dataset, "PatientName"),
        _value(dataset, "PatientID"),
        "  ".join(part for part in (f"*{born}" if born else "", _value(dataset, "PatientSex")) if part),
        _day(_value(dataset, "StudyDate")),
    ]
    return [line for line in lines if line]


def _shared(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    """First items of the shared functional groups of an enhanced image (PS3.3 C.7.6.16)."""
    try:
        groups = dataset.get("SharedFunctionalGroupsSequence") or ()
        return [element.value[0] for group in groups for element in group if element.VR == "SQ" and element.value]
    except Exception:  # as above
        return []


def technique_lines(dataset: pydicom.Dataset) -> list[str]:
    """How the image was made, as far as its top level and its shared functional groups say.

    Parameters
    ----------
    dataset : pydicom.Dataset

    Returns
    -------
    list of str
    """
    places = (dataset, *_shared(dataset))
    lines = []
    for keyword, before, after in _TECHNIQUE:
        value = next((value for place in places if (value := _value(place, keyword))), "")
        if value:
            lines.append(before + value + after)
    return lines


def draw_legends(image: npt.NDArray[Any], dataset: pydicom.Dataset, legends: Collection[Legend]) -> npt.NDArray[Any]:
    """Burn texts into a picture: the patient at the upper left, the technique at the lower left.

    Parameters
    ----------
    image : ndarray
        ``uint8`` or ``uint16``, grey or RGB; not changed.
    dataset : pydicom.Dataset
        Header of the object.
    legends : collection of {"patient", "technique"}

    Returns
    -------
    ndarray
    """
    sheet = Sheet(image)
    margin = sheet.text_size / 2
    for name, lines in (("patient", patient_lines), ("technique", technique_lines)):
        text = "\n".join(lines(dataset)) if name in legends else ""
        if not text:
            continue
        room = sheet.rows / 2 - margin if len(legends) > 1 else sheet.rows - 2 * margin
        size = sheet.fitting_size(text, sheet.columns - 2 * margin, room)
        top = margin if name == "patient" else max(margin, sheet.rows - margin - sheet.measure(text, size)[1])
        sheet.text((margin, top), text, size, _WHITE)
    return sheet.image
