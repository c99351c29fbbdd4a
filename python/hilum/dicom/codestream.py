"""What the first bytes of a compressed frame say of it: its transfer syntax, and its Image Pixel attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, is_valid_uid
from hilum.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["bare", "pixel_attributes", "transfer_syntax"]

_JPEG: Final = "1.2.840.10008.1.2.4."
_BY_MEDIA_TYPE: Final = {
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": _JPEG + "80",
    "image/jpx": _JPEG + "92",
    "image/jphc": _JPEG + "201",
    "image/jxl": _JPEG + "110",
    "video/mp4": _JPEG + "102",
    "video/mpeg": _JPEG + "100",
}
_OF_FRAME: Final = {0xC0: "50", 0xC1: "51", 0xC3: "70"}
_NATIVE: Final = frozenset(
    {
        EXPLICIT_VR_LITTLE_ENDIAN,
        IMPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.1.99",  # octets of bulk data are neither deflated nor big endian (PS3.18 8.7.3)
        "1.2.840.10008.1.2.2",
    }
)


def transfer_syntax(media_type: str, named: str, data: Buffer) -> str:
    """Transfer syntax of an object with these pixel data, Explicit VR Little Endian if they are not compressed.

    Parameters
    ----------
    media_type : str
        Of the part; empty and ``application/octet-stream`` without `named` mean not compressed.
    named : str
        ``transfer-syntax`` parameter of the part, empty without.
    data : bytes-like
        The first frame.

    Raises
    ------
    DataError
        The media type is none of pixel data, or the codestream is none of its kind.
    """
    if named:
        if not is_valid_uid(named):
            raise DataError("the transfer-syntax of the pixel data is no UID")
        return EXPLICIT_VR_LITTLE_ENDIAN if named in _NATIVE else named
    if media_type in ("", "application/octet-stream"):
        return EXPLICIT_VR_LITTLE_ENDIAN
    if media_type == "image/jpeg":
        return _JPEG + _OF_FRAME[_start_of_frame(data)[0]]
    if media_type in ("image/jp2", "image/j2c"):
        return _JPEG + ("90" if _coding_style(bare(data))[1] else "91")
    if media_type not in _BY_MEDIA_TYPE:
        raise DataError("the media type of the pixel data is none that DICOM objects hold")
    return _BY_MEDIA_TYPE[media_type]


def bare(data: Buffer) -> memoryview:
    """Give a JPEG 2000 codestream without the boxes of a JP2 file (ISO/IEC 15444-1 I.4); anything else as it is."""
    view = memoryview(data).cast("B")
    if bytes(view[4:8]) != b"jP  ":
        return view
    at = 0
    while at + 8 <= len(view):
        size, head = int.from_bytes(view[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(view[at + 8 : at + 16], "big"), 16
        end = len(view) if size == 0 else at + size
        if (size not in (0, 1) and size < head) or end > len(view):
            break
        if bytes(view[at + 4 : at + 8]) == b"jp2c":
            return view[at + head : end]
        at = end
    raise DataError("the JP2 file has no codestream")


def pixel_attributes(syntax: str, frame: Buffer, frames: int) -> dict[str, Any]:
    """Image Pixel attributes (PS3.3 C.7.6.3) in the DICOM JSON Model, of a JPEG or JPEG 2000 codestream, else none."""
    found: dict[str, Any] = {"00280008": _element("IS", frames)} if frames > 1 else {}
    view = memoryview(frame).cast("B")
    if syntax in (_JPEG + "50", _JPEG + "51", _JPEG + "70"):
        _, depth, rows, columns, samples = _start_of_frame(view)
        colour = "MONOCHROME2" if samples == 1 else "RGB" if syntax.endswith("70") else "YBR_FULL_422"
        signed = 0
    elif syntax in (_JPEG + "90", _JPEG + "91"):
        transform, reversible = _coding_style(view)
        width, height, x, y = (int.from_bytes(view[at : at + 4], "big") for at in (8, 12, 16, 20))
        rows, columns = height - y, width - x
        samples, depth, signed = int.from_bytes(view[40:42], "big"), (view[42] & 0x7F) + 1, view[42] >> 7
        colour = "MONOCHROME2" if samples == 1 else "RGB"
        if samples > 1 and transform:
            colour = "YBR_RCT" if reversible else "YBR_ICT"
    else:
        return found
    found |= {
        "00280002": _element("US", samples),
        "00280004": _element("CS", colour),
        "00280010": _element("US", rows),
        "00280011": _element("US", columns),
        "00280100": _element("US", 8 if depth <= 8 else 16 if depth <= 16 else 32),
        "00280101": _element("US", depth),
        "00280102": _element("US", depth - 1),
        "00280103": _element("US", signed),
    }
    if samples > 1:
        found["00280006"] = _element("US", 0)
    if syntax in (_JPEG + "50", _JPEG + "51"):
        found["00282110"] = _element("CS", "01")
    return found


def _element(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _start_of_frame(data: Buffer) -> tuple[int, int, int, int, int]:
    """Process (second byte of SOFn), precision, rows, columns and components of a JPEG (ITU-T T.81 B.2.2)."""
    view = memoryview(data).cast("B")
    at = 2
    if bytes(view[:2]) == b"\xff\xd8":
        while at + 10 <= len(view) and view[at] == 0xFF:
            marker, length = view[at + 1], int.from_bytes(view[at + 2 : at + 4], "big")
            if marker == 0xFF:
                at += 1
                continue
            if marker in _OF_FRAME:
                rows, columns = (int.from_bytes(view[at + k : at + k + 2], "big") for k in (5, 7))
                return marker, view[at + 4], rows, columns, view[at + 9]
            if marker == 0xDA or length < 2:
                break
            at += 2 + length
    raise DataError("the JPEG codestream is damaged, or of a process that DICOM objects do not hold")


def _coding_style(data: Buffer) -> tuple[bool, bool]:
    """Whether a JPEG 2000 codestream transforms components, and whether it is reversible (ISO/IEC 15444-1 A.6.1)."""
    view = memoryview(data).cast("B")
    at = 2
    if bytes(view[:4]) == b"\xff\x4f\xff\x51" and len(view) > 43:
        while at + 14 <= len(view) and view[at] == 0xFF:
            marker, length = view[at + 1], int.from_bytes(view[at + 2 : at + 4], "big")
            if marker == 0x52:
                return view[at + 8] != 0, view[at + 13] == 1
            if marker == 0x90 or length < 2:
                break
            at += 2 + length
    raise DataError("the JPEG 2000 codestream is damaged")
