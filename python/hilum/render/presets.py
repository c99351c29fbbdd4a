"""Transfer functions: what colour and opacity a value has in volume rendering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hilum.errors import UsageError

__all__ = ["PRESETS", "Preset", "Shading", "TransferFunction", "preset"]


@dataclass(frozen=True, slots=True)
class TransferFunction:
    """Linear between its points, constant before the first and after the last."""

    colours: tuple[tuple[float, float, float, float], ...]
    """Modality value (HU, ...), red, green, blue from 0 to 1; values ascending."""
    opacities: tuple[tuple[float, float], ...]
    """Modality value, opacity from 0 to 1 of a thickness of `unit`; values ascending."""
    unit: float = 1.0
    """mm."""

    def scaled(self, low: float, high: float) -> TransferFunction:
        """Stretch a function that is given from 0 to 1 to values from `low` to `high`."""
        width = high - low
        return TransferFunction(
            tuple((low + v * width, r, g, b) for v, r, g, b in self.colours),
            tuple((low + v * width, a) for v, a in self.opacities),
            self.unit,
        )


@dataclass(frozen=True, slots=True)
class Shading:
    """Light from the viewer on surfaces, where values change."""

    ambient: float = 0.2
    diffuse: float = 0.8
    specular: float = 0.2
    power: float = 20.0
    """Of the highlight, 0 to 1000."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to show a kind of image."""

    transfer: TransferFunction
    shading: Shading | None
    relative: bool = False
    """Values are from 0 (darkest) to 1 (brightest) of the volume, for images without absolute values."""


PRESETS: Final[dict[str, Preset]] = {
    "ct-bone": Preset(
        TransferFunction(
            ((-1024, 0, 0, 0), (150, 0.55, 0.3, 0.2), (300, 0.9, 0.75, 0.55), (700, 1, 0.97, 0.92), (3071, 1, 1, 1)),
            ((-1024, 0), (180, 0), (320, 0.25), (700, 0.8), (3071, 1)),
        ),
        Shading(),
    ),
    "ct-soft-tissue": Preset(
        TransferFunction(
            ((-1024, 0, 0, 0), (-300, 0.8, 0.5, 0.4), (40, 0.9, 0.65, 0.55), (200, 0.95, 0.35, 0.25), (500, 1, 1, 0.9)),
            ((-1024, 0), (-500, 0), (-200, 0.015), (60, 0.05), (200, 0.15), (500, 0.5), (3071, 0.8)),
        ),
        Shading(),
    ),
    "ct-lung": Preset(
        TransferFunction(
            ((-1024, 0, 0, 0), (-900, 0.25, 0.35, 0.5), (-600, 0.85, 0.75, 0.7), (-300, 1, 0.85, 0.8), (3071, 1, 1, 1)),
            ((-1024, 0), (-960, 0), (-850, 0.01), (-650, 0.05), (-450, 0.06), (-300, 0.02), (-100, 0), (3071, 0)),
        ),
        Shading(specular=0.1),
    ),
    "ct-angio": Preset(
        TransferFunction(
            (
                (-1024, 0, 0, 0),
                (120, 0.55, 0.12, 0.08),
                (250, 0.85, 0.25, 0.15),
                (450, 0.95, 0.8, 0.6),
                (900, 1, 1, 0.9),
            ),
            ((-1024, 0), (130, 0), (220, 0.12), (400, 0.45), (900, 0.9), (3071, 1)),
        ),
        Shading(),
    ),
    "mr": Preset(
        TransferFunction(
            ((0, 0, 0, 0), (0.2, 0.4, 0.3, 0.25), (0.6, 0.85, 0.75, 0.65), (1, 1, 1, 1)),
            ((0, 0), (0.12, 0), (0.3, 0.04), (0.7, 0.15), (1, 0.4)),
        ),
        Shading(),
        relative=True,
    ),
    "pet-hot": Preset(
        TransferFunction(
            ((0, 0, 0, 0), (0.35, 0.9, 0, 0), (0.7, 1, 0.8, 0), (1, 1, 1, 1)),
            ((0, 0), (0.05, 0), (0.3, 0.05), (0.7, 0.2), (1, 0.6)),
        ),
        None,
        relative=True,
    ),
}
"""Named presets."""


def preset(name: str) -> Preset:
    """Find a preset.

    Raises
    ------
    UsageError
        Unknown; the message lists those that are.
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset; known are {', '.join(PRESETS)}")
    return PRESETS[name]
