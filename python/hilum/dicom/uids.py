"""Tables of UIDs: transfer syntaxes (PS3.5 annex A, PS3.6 table A-1) and SOP classes (PS3.4 annex B)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

from hilum import _core

__all__ = [
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "MEDIA_STORAGE_DIRECTORY",
    "TRANSFER_SYNTAXES",
    "TransferSyntax",
    "is_valid_uid",
    "register_with_pydicom",
    "storage_sop_classes",
    "transfer_syntax",
]

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
IMPLEMENTATION_CLASS_UID = "2.25.107286502213740138012866199653303030951"
IMPLEMENTATION_VERSION_NAME = "HILUM"
"""Neither changes with the release: the same data set sent again must give the same bytes."""

_MAX_LENGTH = 64


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set and its pixel data are written."""

    uid: str
    name: str
    explicit_vr: bool
    big_endian: bool
    deflated: bool
    """The whole data set is deflated (PS3.5 section A.5)."""
    encapsulated: bool
    """Pixel data is in fragments (PS3.5 section A.4)."""
    codec: str
    """``native plain rle jpeg jpeg_ls jpeg_2000 jpeg_xl mpeg deflate jpip smpte``: what the fragments hold."""


TRANSFER_SYNTAXES: dict[str, TransferSyntax] = {row[0]: TransferSyntax(*row) for row in _core.transfer_syntaxes()}
"""Every transfer syntax of the standard by UID, the retired ones too; the table that the core itself uses."""


def transfer_syntax(uid: str) -> TransferSyntax:
    """Return the transfer syntax of a UID.

    One that the standard does not define is private: explicit VR little endian (PS3.5 section A.4), codec
    ``"unknown"``.
    """
    found = TRANSFER_SYNTAXES.get(uid)
    return found or TransferSyntax(uid, "Private transfer syntax", True, False, False, True, "unknown")


def is_valid_uid(uid: str) -> bool:
    """Digits and dots, no empty component, 1 to 64 characters (PS3.5 section 9.1; leading zeros are tolerated)."""
    parts = uid.split(".")
    return 0 < len(uid) <= _MAX_LENGTH and all(part.isascii() and part.isdigit() for part in parts)


@functools.cache
def storage_sop_classes() -> dict[str, str]:
    """Names of all Storage SOP Classes (PS3.4 table B.5-1), the retired ones too, by UID.

    Returns
    -------
    dict
        Not to be changed: it is made once.
    """
    return {
        uid: entry[0]
        for uid, entry in UID_dictionary.items()
        if entry[1] == "SOP Class" and "Storage" in entry[0] and not _NO_STORAGE.intersection(entry[0].split())
    }


_NO_STORAGE = {"Commitment", "Directory"}


@functools.cache
def register_with_pydicom() -> tuple[str, ...]:
    """Make pydicom know the transfer syntaxes that its tables lack (JPEG XL, Deflated Image Frame Compression).

    Returns
    -------
    tuple of str
        The UIDs that were added in this process.

    Notes
    -----
    ``pydicom.uid.register_transfer_syntax`` is for UIDs outside of the standard's root: of these ones
    ``UID.is_transfer_syntax`` would stay False and ``UID.is_encapsulated`` raise ValueError. So its dictionary of UIDs
    gets the entries.
    """
    missing = tuple(uid for uid in TRANSFER_SYNTAXES if uid not in UID_dictionary)
    for uid in missing:
        name = TRANSFER_SYNTAXES[uid].name
        UID_dictionary[uid] = (name, "Transfer Syntax", "", "", name.replace(" ", ""))
    return missing
