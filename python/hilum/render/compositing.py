"""Colours of volumetric presentation states: classified and composited (PS3.3 C.11.27, C.11.32, PS3.4 FF.2.3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import UsageError
from hilum.pixels.presentation_tables import lut_of, palette_of, palette_table
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of
from hilum.pixels.settings import Lut
from hilum.render.fused import StreamWeights
from hilum.render.presets import TransferFunction

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Window

__all__ = ["MAX_COMPONENTS", "Component", "components_of", "composite", "rgba", "weights_of"]

MAX_COMPONENTS: Final = 16
_POINTS: Final = 256
"""Of a transfer function at most; longer tables are thinned out."""
_RAMP: Final = Lut((0, 65535))
_ONE: Final = Lut((65535,))


@dataclass(frozen=True, slots=True)
class Component:
    """One item of a Presentation State Classification Component Sequence (0070,1801)."""

    input: int
    """Volumetric Presentation Input Number (0070,1207)."""
    tables: tuple[Lut, Lut, Lut, Lut]
    """Red, green, blue and opacity of a value that has gone through the window."""

    def transfer(self, window: Window | None, step: float | None = None) -> TransferFunction:
        """Make colour and opacity functions of modality values; opacities are those of one step along a ray."""
        longest = max(self.tables, key=lambda table: len(table.entries))
        length = len(longest.entries)
        at = np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round())
        part = at / max(1, length - 1)
        red, green, blue, opacity = (_entries(table, part) for table in self.tables)
        values = _values(window, part, longest).tolist()
        return TransferFunction(
            tuple(zip(values, red, green, blue, strict=True)),
            tuple(zip(values, opacity, strict=True)),
            step or 1.0,
        )


def _values(window: Window | None, part: npt.NDArray[np.float64], longest: Lut) -> npt.NDArray[np.float64]:
    """Modality values of parts of a table: through a window all of the table is used (PS3.3 C.11.27.1)."""
    if window is None:
        if longest in (_ONE, _RAMP):
            raise UsageError("a presentation state with neither a window nor a table is not rendered in colour")
        return longest.first + part * (len(longest.entries) - 1)
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        raise UsageError("a presentation state with a sigmoid window is not rendered in colour")
    if window.function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-3)
    return center - width / 2 + part * width


def _entries(table: Lut, part: npt.NDArray[np.float64]) -> list[float]:
    """Entries at parts of a table's length, from 0 to 1."""
    entries = np.asarray(table.entries, np.float64) / (2**table.bits - 1)
    found: list[float] = np.interp(part * (len(entries) - 1), np.arange(len(entries)), entries).clip(0, 1).tolist()
    return found


def components_of(ds: pydicom.Dataset) -> tuple[Component, ...]:
    """Read classification components of a state of planes, or of one volume stream.

    Raises
    ------
    UsageError
        A component of two inputs.
    DataError
        An attribute is missing or cannot be.
    """
    items = items_of(ds, "PresentationStateClassificationComponentSequence")
    if not 1 <= len(items) <= MAX_COMPONENTS:
        raise bad_value(
            f"PresentationStateClassificationComponentSequence (0070,1801) has not 1 to {MAX_COMPONENTS} items", MISSING
        )
    return tuple(map(_component, items))


def _component(item: pydicom.Dataset) -> Component:
    if str(item.get("ComponentType", "")) != "ONE_TO_RGBA":
        raise UsageError("classification components of two inputs (TWO_TO_RGBA) are not rendered")
    inputs = items_of(item, "ComponentInputSequence")
    colours = str(item.get("RGBLUTTransferFunction", "TABLE"))
    opacity = str(item.get("AlphaLUTTransferFunction", "NONE"))
    if colours not in ("EQUAL_RGB", "TABLE") or opacity not in ("NONE", "IDENTITY", "TABLE"):
        raise bad_value("RGBLUTTransferFunction (0028,140F) or AlphaLUTTransferFunction (0028,1410) is unknown")
    alpha = _RAMP if opacity == "IDENTITY" else _ONE
    if opacity == "TABLE":
        # Its descriptor is that of the colours, when it has none of its own (PS3.3 C.7.9).
        if "AlphaPaletteColorLookupTableDescriptor" not in item:
            item.AlphaPaletteColorLookupTableDescriptor = item.RedPaletteColorLookupTableDescriptor
        alpha = palette_table(item, "AlphaPaletteColorLookupTable")
    red, green, blue = palette_of(item) if colours == "TABLE" else (_RAMP, _RAMP, _RAMP)
    number = number_of(inputs[0], "VolumetricPresentationInputIndex", 1.0) if inputs else 1.0
    return Component(int(number), (red, green, blue, alpha))


def weights_of(ds: pydicom.Dataset, streams: int) -> tuple[StreamWeights, ...]:
    """Read the compositor components of so many streams: one less. Of planes each component is a stream.

    Raises
    ------
    DataError
        There are others, or a table that is none.
    """
    items = items_of(ds, "PresentationStateCompositorComponentSequence")
    if len(items) != streams - 1:
        raise bad_value(
            "PresentationStateCompositorComponentSequence (0070,1805) has not one item less than there are streams",
            MISSING,
        )
    return tuple(map(_weights, items))


def _weights(item: pydicom.Dataset) -> StreamWeights:
    tables = [lut_of(one) for one in items_of(item, "WeightingTransferFunctionSequence")]
    bits = {len(table.entries).bit_length() - 1 for table in tables}
    if len(tables) != 2 or any(len(table.entries) != 1 << max(bits) or max(bits) % 2 for table in tables):
        raise bad_value(
            "WeightingTransferFunctionSequence (0070,1806) is not two tables with an even power of two of entries"
        )
    first, second = (np.asarray(table.entries, np.float64) / (2**table.bits - 1) for table in tables)
    return StreamWeights(first.clip(0, 1), second.clip(0, 1))


def rgba(transfer: TransferFunction, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Colours and opacity, from 0 to 1, of modality values: ``(rows, columns, 4)``."""
    colours, opacities = np.asarray(transfer.colours), np.asarray(transfer.opacities)
    parts = [np.interp(values, colours[:, 0], colours[:, part]) for part in (1, 2, 3)]
    parts.append(np.interp(values, opacities[:, 0], opacities[:, 1]))
    return np.stack(parts, -1).astype(np.float32)


def composite(layers: Sequence[npt.NDArray[np.float32]], weights: Sequence[StreamWeights]) -> npt.NDArray[np.float32]:
    """Composite classified images one after the other (PS3.3 C.11.27.3, PS3.4 FF.2.3.3.2).

    Parameters
    ----------
    layers : sequence of ndarray
        As from `rgba`, of one shape.
    weights : sequence of StreamWeights
        One less.

    Returns
    -------
    ndarray
        ``(rows, columns, 3)`` from 0 to 1.
    """
    colour, alpha = layers[0][..., :3], layers[0][..., 3]
    for number, (layer, one) in enumerate(zip(layers[1:], weights, strict=True)):
        following = layer[..., 3]
        before = 1 - following if number else alpha
        parts = [_looked_up(table, before, following)[..., None] for table in (one.first, one.second)]
        colour = np.clip(colour * parts[0] + layer[..., :3] * parts[1], 0, 1)
    return colour


def _looked_up(
    table: npt.NDArray[np.float64], first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Weights of two opacities: the upper bits of each are half of the index."""
    half = (len(table).bit_length() - 1) // 2
    high, low = (np.rint(alpha * 65535).astype(np.intp) >> (16 - half) for alpha in (first, second))
    found: npt.NDArray[np.float32] = table[(high << half) | low].astype(np.float32)
    return found
