"""CIELab values as DICOM encodes them (PS3.3 C.10.7.1.1) to 8-bit sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import _core

if TYPE_CHECKING:
    from hilum.pixels.settings import Rgb

__all__ = ["rgb_of_cielab"]


def rgb_of_cielab(lightness: float, a: float, b: float) -> Rgb:
    """Convert a PCS value of 16 bits; what sRGB does not hold is cut.

    Parameters
    ----------
    lightness : float
        L*: 0 to 65535 for 0 to 100. Rounded, and cut to that range, as the others are.
    a, b : float
        0 to 65535 for -128 to 127.

    Returns
    -------
    tuple of int
        Red, green, blue: 0 to 255.
    """
    encoded = [min(max(round(value), 0), 65535) for value in (lightness, a, b)]
    return _core.cielab_to_rgb(encoded[0], encoded[1], encoded[2])
