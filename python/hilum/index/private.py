"""Private attributes that are indexed by setting: found by their creator, kept under the tag of the setting.

A private block has no fixed number (PS3.5 7.8.1): the creator of ``(0009,1001:ACME 1.0)`` may own block 11 of one
object and block 12 of the next. Attribute lists name both ``00091001``, as the setting does.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hilum._core import merge_attributes
from hilum.dicom.scan import extract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from hilum.index.schema import PrivateKey

__all__ = ["with_private"]

_LEVELS = ("patient", "study", "series", "instance")
_HEAD = struct.Struct("<I2sH")
_LONGEST = 0xFFFF


def with_private(
    attributes: tuple[bytes, bytes, bytes, bytes], header: Buffer, keys: Sequence[PrivateKey]
) -> tuple[bytes, bytes, bytes, bytes]:
    """Add private attributes to the attribute lists of an object.

    Parameters
    ----------
    attributes : tuple of bytes
        Lists of patient, study, series and instance (``core/include/hilum/dicom/attributes.hpp``).
    header : bytes-like
        The object's first ``header_length`` bytes; of a deflated object all.
    keys : sequence of PrivateKey

    Notes
    -----
    In implicit VR an attribute has no VR of its own: only values of printable ASCII are taken as text there.
    """
    found: dict[str, list[bytes]] = {}
    for key, tag in _places(header, keys):
        attribute = extract(header, [tag]).get(tag)
        if attribute is None or attribute.items:
            continue
        value = attribute.value.encode()
        if len(value) <= _LONGEST:
            found.setdefault(key.level, []).append(_HEAD.pack(key.tag, key.vr.encode(), len(value)) + value)
    if not found:
        return attributes
    patient, study, series, instance = (
        merge_attributes([own, *found.get(level, [])]) for level, own in zip(_LEVELS, attributes, strict=True)
    )
    return patient, study, series, instance


def _places(header: Buffer, keys: Sequence[PrivateKey]) -> list[tuple[PrivateKey, str]]:
    """Tag that each key has in this object, without the keys whose creator it does not name."""
    creators: dict[int, dict[str, int]] = {}
    for group in {key.tag >> 16 for key in keys if key.creator}:
        blocks = extract(header, [f"{group:04X}{block:04X}" for block in range(0x10, 0x100)])
        creators[group] = {named.value.strip(): int(tag[4:], 16) for tag, named in reversed(blocks.items())}
    places = []
    for key in keys:
        block = creators[key.tag >> 16].get(key.creator) if key.creator else key.tag >> 8 & 0xFF
        if block is not None:
            places.append((key, f"{key.tag >> 16:04X}{block:02X}{key.tag & 0xFF:02X}"))
    return places
