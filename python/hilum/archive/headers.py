"""Headers of objects whose pixel data is written again: only what must differ does (PS3.5 8.2, A.4; PS3.3 C.7.6.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from hilum.archive.icons import decode_icons
from hilum.codecs.layout import Layout, read_layout, rewrite
from hilum.dicom.uids import IMPLEMENTATION_CLASS_UID, TRANSFER_SYNTAXES
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.archive.stored_object import StoredObject
    from hilum.types import PixelDescription

__all__ = ["Lossy", "encoding_of", "new_uid", "pixel_element_end", "trailer", "write_element", "write_header"]

_EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
_EXTENDED_OFFSET_LENGTHS: Final = 0x7FE00002
_ICON_IMAGES: Final = 0x00880200
_ENCAPSULATED: Final = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
_ITEM: Final = b"\xfe\xff\x00\xe0"
_META: Final = (True, False)


@dataclass(frozen=True, slots=True)
class Lossy:
    """What a lossy compression has to say of itself."""

    method: str
    ratio: float
    sop_instance_uid: str
    """Of the new object."""


def encoding_of(transfer_syntax_uid: str) -> tuple[bool, bool]:
    """(explicit VR, big endian) of a transfer syntax."""
    known = TRANSFER_SYNTAXES[transfer_syntax_uid]
    return known.explicit_vr, known.big_endian


def write_element(tag: int, vr: str, value: Any, target: tuple[bool, bool]) -> bytes:
    """Give a whole element."""
    dataset = Dataset()
    dataset.add_new(tag, vr, value)
    return _written(dataset, target)


def _written(dataset: Dataset, target: tuple[bool, bool]) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = not target[0], not target[1]
    write_dataset(out, dataset)
    return bytes(out.getvalue())


def write_header(
    stored: StoredObject,
    transfer_syntax_uid: str,
    *,
    pixels: PixelDescription | None = None,
    extended_offsets: tuple[Sequence[int], Sequence[int]] | None = None,
    lossy: Lossy | None = None,
) -> tuple[bytes, bytes]:
    """Write what comes before the pixel data.

    Parameters
    ----------
    stored : StoredObject
    transfer_syntax_uid : str
        Of the new object.
    pixels : PixelDescription, optional
        Of the new pixel data.
    extended_offsets : (offsets, lengths), optional
        The extended offset table (PS3.3 C.7.6.3.1.8).
    lossy : Lossy, optional
        The new object is another one, derived with loss.

    Returns
    -------
    tuple of bytes
        Preamble and file meta information; the data set up to the tag of the pixel data.
    """
    data = stored.read(0, stored.header_length)
    layout = read_layout(data)
    target = encoding_of(transfer_syntax_uid)
    changes: dict[int, bytes] = {_EXTENDED_OFFSET_TABLE: b"", _EXTENDED_OFFSET_LENGTHS: b""}
    if extended_offsets is not None:
        for tag, numbers in zip((_EXTENDED_OFFSET_TABLE, _EXTENDED_OFFSET_LENGTHS), extended_offsets, strict=True):
            changes[tag] = write_element(tag, "OV", struct.pack(f"<{len(numbers)}Q", *numbers), target)
    if stored.transfer_syntax_uid != transfer_syntax_uid and _ENCAPSULATED in data:
        changes[_ICON_IMAGES] = _icons(data, stored.transfer_syntax_uid, target)
    before = stored.pixels
    if pixels is not None and before is not None:
        if pixels.photometric_interpretation != before.photometric_interpretation:
            changes[0x00280004] = write_element(0x00280004, "CS", pixels.photometric_interpretation, target)
        if pixels.planar_configuration != before.planar_configuration and pixels.samples_per_pixel > 1:
            changes[0x00280006] = write_element(0x00280006, "US", pixels.planar_configuration, target)
    if lossy is not None:
        changes.update(_lossy_elements(data, lossy, target))
    signed = before is not None and before.pixel_representation == 1
    dataset = rewrite(
        data,
        layout.dataset_offset,
        layout.encoding,
        target,
        pixels_signed=signed,
        replacements=sorted(changes.items()),
    )
    return _meta(data, layout, transfer_syntax_uid, lossy), dataset


def _icons(data: bytes, transfer_syntax_uid: str, target: tuple[bool, bool]) -> bytes:
    """Icon Image Sequence, of which some are compressed in the old syntax; empty where one cannot be decoded."""
    icons = list(_parse(data, ["IconImageSequence", "SpecificCharacterSet"]).get("IconImageSequence") or [])
    if not icons or not decode_icons(icons, transfer_syntax_uid, big_endian=target[1]):
        return b""
    return write_element(_ICON_IMAGES, "SQ", icons, target)


def _meta(data: bytes, layout: Layout, transfer_syntax_uid: str, lossy: Lossy | None) -> bytes:
    """Preamble and file meta: the one there was, with what has changed, or a new one (PS3.10 7.1)."""
    changes = {0x00020000: b"", 0x00020010: write_element(0x00020010, "UI", transfer_syntax_uid, _META)}
    if lossy is not None:
        changes[0x00020003] = write_element(0x00020003, "UI", lossy.sop_instance_uid, _META)
    preamble = b"\0" * 128 + b"DICM"
    if layout.has_meta:
        preamble = data[: layout.meta_offset] or preamble
        body = rewrite(
            data[layout.meta_offset : layout.dataset_offset], 0, _META, _META, replacements=sorted(changes.items())
        )
    else:
        known = _parse(data, ["SOPClassUID", "SOPInstanceUID"])
        meta = Dataset()
        meta.FileMetaInformationVersion = b"\0\1"
        meta.MediaStorageSOPClassUID = str(known.get("SOPClassUID", ""))
        meta.MediaStorageSOPInstanceUID = (
            lossy.sop_instance_uid if lossy is not None else str(known.get("SOPInstanceUID", ""))
        )
        meta.TransferSyntaxUID = transfer_syntax_uid
        meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        body = _written_meta(meta)
    return preamble + write_element(0x00020000, "UL", len(body), _META) + body


def _written_meta(meta: Dataset) -> bytes:
    return b"".join(write_element(int(element.tag), element.VR, element.value, _META) for element in meta)


def _parse(data: bytes, keywords: list[str]) -> Dataset:
    try:
        return dcmread(BytesIO(data), force=True, stop_before_pixels=True, specific_tags=keywords)
    except Exception as error:
        raise DataError(f"the header cannot be read ({type(error).__name__})") from None


def _values(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return [str(one) for one in value] if not isinstance(value, str) and hasattr(value, "__iter__") else [str(value)]


def _lossy_elements(data: bytes, lossy: Lossy, target: tuple[bool, bool]) -> dict[int, bytes]:
    """What PS3.3 C.7.6.1.1.2 and C.7.6.1.1.5 and PS3.4 ask of an image that was compressed with loss."""
    known = _parse(
        data,
        [
            "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "DerivationDescription",
            "SourceImageSequence", "DerivationCodeSequence", "LossyImageCompressionRatio",
            "LossyImageCompressionMethod",
        ],
    )  # fmt: skip
    image_type = _values(known, "ImageType") or ["DERIVED", "PRIMARY"]
    image_type[0] = "DERIVED"
    said = f"Lossy compression {lossy.method}, ratio {lossy.ratio:.2f}"
    before = str(known.get("DerivationDescription") or "")
    elements = {
        0x00080008: ("CS", image_type),
        0x00080018: ("UI", lossy.sop_instance_uid),
        0x00082111: ("ST", f"{before}; {said}"[:1024] if before else said),
        0x00282110: ("CS", "01"),
        0x00282112: ("DS", [*_values(known, "LossyImageCompressionRatio"), f"{lossy.ratio:.4g}"]),
        0x00282114: ("CS", [*_values(known, "LossyImageCompressionMethod"), lossy.method]),
    }
    written = {tag: write_element(tag, vr, value, target) for tag, (vr, value) in elements.items()}
    source = Dataset()
    source.ReferencedSOPClassUID = str(known.get("SOPClassUID", ""))
    source.ReferencedSOPInstanceUID = str(known.get("SOPInstanceUID", ""))
    source.PurposeOfReferenceCodeSequence = [_code("121320", "Uncompressed predecessor")]
    for tag, keyword, item in (
        (0x00082112, "SourceImageSequence", source),
        (0x00089215, "DerivationCodeSequence", _code("113040", "Lossy Compression")),
    ):
        written[tag] = write_element(tag, "SQ", [*(known.get(keyword) or []), item], target)
    return written


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def new_uid() -> str:
    """Give a UID that nobody has (PS3.5 B.2: from a UUID)."""
    return str(generate_uid(prefix=None))


def pixel_element_end(stored: StoredObject, layout: Layout) -> tuple[int, int]:
    """Where the value of the pixel data begins, and where its element ends."""
    head = stored.read(stored.header_length, 12)
    order = ">" if layout.big_endian else "<"
    at = stored.header_length + (12 if layout.explicit_vr else 8)
    (length,) = struct.unpack_from(f"{order}I", head, 8 if layout.explicit_vr else 4)
    if length != 0xFFFFFFFF:
        return at, min(at + length, stored.size)
    position = at
    if stored.frames is not None and stored.frames.kind != "native":
        for index in range(stored.frame_count):
            for offset, size in stored.frames[index].fragments:
                position = max(position, offset + size)
    position += position & 1 if position != at else 0
    while position + 8 <= stored.size:
        item = stored.read(position, 8)
        if item[:4] != _ITEM:
            return at, position + 8
        position += 8 + struct.unpack_from("<I", item, 4)[0]
    return at, stored.size


def trailer(stored: StoredObject, end: int, layout: Layout, target: tuple[bool, bool]) -> bytes:
    """Elements after the pixel data; what cannot be read as elements goes with them only where nothing changes."""
    data = stored.read(end, stored.size - end)
    if layout.encoding == target or not data:
        return data
    try:
        return rewrite(data, 0, layout.encoding, target)
    except DataError:
        return b""
