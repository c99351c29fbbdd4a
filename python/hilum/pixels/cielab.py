"""CIELab values as DICOM encodes them (PS3.3 C.10.7.1.1) to 8-bit sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hilum.pixels.settings import Rgb

__all__ = ["rgb_of_cielab"]

_D50: Final = (0.9642, 1.0, 0.8249)
_XYZ_TO_SRGB: Final = (  # from XYZ under D50, Bradford-adapted to the D65 of sRGB
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


def _uncube(value: float) -> float:
    return value**3 if value > 6 / 29 else 3 * (6 / 29) ** 2 * (value - 4 / 29)


def _companded(value: float) -> int:
    value = min(max(value, 0.0), 1.0)
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


def rgb_of_cielab(lightness: float, a: float, b: float) -> Rgb:
    """Convert a PCS value of 16 bits; what sRGB does not hold is cut.

    Parameters
    ----------
    lightness : float
        L*: 0 to 65535 for 0 to 100.
    a, b : float
        0 to 65535 for -128 to 127.

    Returns
    -------
    tuple of int
        Red, green, blue: 0 to 255.
    """
    whiteness = (lightness / 65535 * 100 + 16) / 116
    x = whiteness + (a / 257 - 128) / 500
    z = whiteness - (b / 257 - 128) / 200
    xyz = tuple(_uncube(value) * white for value, white in zip((x, whiteness, z), _D50, strict=True))
    red, green, blue = (_companded(sum(m * v for m, v in zip(row, xyz, strict=True))) for row in _XYZ_TO_SRGB)
    return red, green, blue
