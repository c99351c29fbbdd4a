"""Values that pass between the layers: frozen, without behaviour, importable by everyone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["LEVELS", "Level", "Location", "OnConflict", "PixelDescription"]

Level: TypeAlias = Literal["patient", "study", "series", "instance"]
"""A level of the Patient Root information model (PS3.4 C.6.1)."""

LEVELS: tuple[Level, ...] = ("patient", "study", "series", "instance")
"""All levels, from the widest to the narrowest."""

OnConflict: TypeAlias = Literal["never", "always", "if-changed"]
"""Whether an object of a stored SOP Instance UID but with other bytes becomes the current one."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the payload of a record lies."""

    pack: int
    """Number of the pack: ``ROOT/packs/<pack:012d>.pack``."""
    offset: int
    """First byte of the payload in that file."""
    length: int
    """Bytes of the payload."""


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """How the stored pixel values are laid out (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples_per_pixel: int
    planar_configuration: int
    bits_allocated: int
    """Bits of one sample as stored: 1, 8, 12 (packed), 16, 32 or 64."""
    bits_stored: int
    high_bit: int
    pixel_representation: int
    """0 unsigned, 1 two's complement."""
    photometric_interpretation: str
    number_of_frames: int
    keyword: str
    """``"PixelData"``, ``"FloatPixelData"`` or ``"DoubleFloatPixelData"``."""
