"""Look-up tables and windows of presentation states (PS3.3 C.7.9, C.11.1, C.11.2), checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hilum.pixels.presentation_state import Voi
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of, numbers_of, references_of
from hilum.pixels.segmented import expand_segments
from hilum.pixels.settings import Lut, Rescale, Window

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

__all__ = ["first_lut", "lut_of", "palette_of", "palette_table", "rescale_of", "voi_of"]


def _table_bytes(value: object) -> npt.NDArray[np.uint16]:
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], "<u2")
    return np.atleast_1d(np.asarray(value, np.int64)).astype(np.uint16)


def lut_of(ds: pydicom.Dataset, descriptor: str = "LUTDescriptor", data: str = "LUTData") -> Lut:
    """Read a table (PS3.3 C.11.1.1); DataError where it is missing or shorter than its descriptor says."""
    described = numbers_of(ds, descriptor)
    value = ds.get(data)
    if len(described) != 3 or value is None:
        raise bad_value(f"a look-up table without {descriptor} or {data}", MISSING)
    count, first, bits = int(described[0]) or 65536, int(described[1]), int(described[2])
    if not (1 <= count <= 65536 and 8 <= bits <= 16):
        raise bad_value(f"{descriptor} cannot be")
    if isinstance(value, bytes) and count <= len(value) < 2 * count:
        entries = np.frombuffer(value, np.uint8)[:count].astype(np.uint16)
    else:
        entries = _table_bytes(value)
    if len(entries) < count:
        raise bad_value(f"{data} is shorter than {descriptor} says")
    return Lut(tuple(entries[:count].tolist()), first, bits)


def first_lut(ds: pydicom.Dataset, keyword: str) -> Lut | None:
    """Read the table of the first item of a sequence, None without items."""
    items = items_of(ds, keyword)
    return lut_of(items[0]) if items else None


def rescale_of(ds: pydicom.Dataset) -> Rescale:
    """Read Rescale Slope and Intercept (PS3.3 C.11.1b), 1 and 0 without them."""
    slope = number_of(ds, "RescaleSlope", 1.0)
    if slope == 0:
        raise bad_value("RescaleSlope (0028,1053) is 0")
    return Rescale(slope, number_of(ds, "RescaleIntercept", 0.0))


def voi_of(item: pydicom.Dataset) -> Voi:
    """Read the window or table of an item with the VOI LUT Macro (PS3.3 C.11.2b); DataError without one."""
    center, width = numbers_of(item, "WindowCenter"), numbers_of(item, "WindowWidth")
    lut = first_lut(item, "VOILUTSequence")
    window = None
    if center and width:
        function = str(item.get("VOILUTFunction") or "LINEAR")
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            raise bad_value("VOILUTFunction (0028,1056) is none of LINEAR, LINEAR_EXACT, SIGMOID")
        if width[0] < (1 if function == "LINEAR" else 1e-9):
            raise bad_value("WindowWidth (0028,1051) is below 1, or not above 0")
        window = Window(center[0], width[0], function)  # type: ignore[arg-type]
    elif lut is None:
        raise bad_value("an item of SoftcopyVOILUTSequence (0028,3110) has neither a window nor a table", MISSING)
    return Voi(references_of(item), window, lut)


def palette_of(ds: pydicom.Dataset) -> tuple[Lut, Lut, Lut]:
    """Read red, green and blue tables, plain or segmented (PS3.3 C.7.9)."""
    red, green, blue = (palette_table(ds, f"{colour}PaletteColorLookupTable") for colour in ("Red", "Green", "Blue"))
    return red, green, blue


def palette_table(ds: pydicom.Dataset, name: str) -> Lut:
    """Read one of them; `name`: ``RedPaletteColorLookupTable`` and the like."""
    segments = ds.get(f"Segmented{name}Data")
    if segments is None:
        return lut_of(ds, f"{name}Descriptor", f"{name}Data")
    described = numbers_of(ds, f"{name}Descriptor")
    if len(described) != 3 or described[2] != 16:
        raise bad_value(f"{name}Descriptor is missing, or not of the 16 bits of presentation states", MISSING)
    count = int(described[0]) or 65536
    return Lut(expand_segments(_table_bytes(segments).tolist(), count), int(described[1]), 16)
