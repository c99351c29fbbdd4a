"""Icons of Icon Image Sequence (0088,0200) for an object in another transfer syntax than theirs.

A compressed icon is in the syntax of its object (PS3.3 C.7.6.1.1.6); a native one may be in any object (PS3.5 A.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydicom.encaps import generate_frames

from hilum.archive.stored_object import StoredObject, decoded_photometric
from hilum.codecs.decode import decode_frame
from hilum.codecs.encode import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, encode_frame
from hilum.errors import DataError, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["decode_icons"]

_PIXEL_DATA: Final = 0x7FE00010


def decode_icons(items: list[Dataset], transfer_syntax_uid: str, *, big_endian: bool) -> bool:
    """Decode the compressed ones of some icons in place; native ones stay as they are.

    Parameters
    ----------
    items : list of Dataset
        Of Icon Image Sequence.
    transfer_syntax_uid : str
        Of the object that they come from.
    big_endian : bool
        Byte order of the object that they go to.

    Returns
    -------
    bool
        False when one of them cannot be decoded.
    """
    try:
        for item in items:
            if _PIXEL_DATA in item and item[_PIXEL_DATA].is_undefined_length:
                _decode(item, transfer_syntax_uid, big_endian=big_endian)
    except (DataError, UsageError, ValueError, TypeError, AttributeError):  # attributes that are missing or no numbers
        return False
    return True


def _decode(icon: Dataset, uid: str, *, big_endian: bool) -> None:
    frame = next(generate_frames(icon.PixelData, number_of_frames=1))
    bits = int(icon.BitsAllocated)
    pixels = PixelDescription(
        int(icon.Rows),
        int(icon.Columns),
        int(icon.get("SamplesPerPixel", 1)),
        0,
        bits,
        int(icon.get("BitsStored", bits)),
        int(icon.get("HighBit", int(icon.get("BitsStored", bits)) - 1)),
        int(icon.get("PixelRepresentation", 0)),
        str(icon.PhotometricInterpretation),
        1,
        "PixelData",
    )
    array: Any = decode_frame(frame, uid, pixels)
    data = encode_frame(array, EXPLICIT_BIG_ENDIAN if big_endian else EXPLICIT_LITTLE_ENDIAN, pixels)
    term = decoded_photometric(StoredObject(uid, 0, 0, pixels, None, lambda _start, _length: b""), frame)
    icon.PhotometricInterpretation = term
    if pixels.samples_per_pixel > 1:
        icon.PlanarConfiguration = 0
    icon.add_new(_PIXEL_DATA, "OB" if bits <= 8 else "OW", data + b"\0" * (len(data) & 1))
