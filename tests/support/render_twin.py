"""A slow twin of the pixel pipeline in NumPy, from PS3.3 C.7.6.3.1.2, C.7.9, C.11.1 and C.11.2; reads pydicom."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pydicom

Array = npt.NDArray[Any]
XA_CLASSES = "1.2.840.10008.5.1.4.1.1.12."


def functional_group(dataset: pydicom.Dataset, frame: int, group: str) -> pydicom.Dataset | None:
    """The first item of a functional group of a frame, its own before the shared one (C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for item in [*per_frame[frame : frame + 1], *shared[:1]]:
        if item.get(group):
            return item[group].value[0]
    return None


def lut_of(item: pydicom.Dataset, signed: bool) -> tuple[int, int, Array]:
    """(first input, bits, entries) of a LUT sequence's item."""
    count, first, bits = (int(v) for v in item.LUTDescriptor)
    if signed and first > 32767:
        first -= 65536
    data = item.LUTData
    entries = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.array(data, "u2")
    return first, bits, entries[: count or 65536].astype(float)


def look_up(values: Array, lut: tuple[int, int, Array]) -> Array:
    """C.11.1.1: below the first and above the last input the end entries."""
    first, _, entries = lut
    index = np.clip(np.trunc(values - first), 0, len(entries) - 1).astype(int)
    return entries[index]


def window(values: Array, center: float, width: float, function: str) -> Array:
    """C.11.2.1.2 and C.11.2.1.3 with y from 0 to 255."""
    if function == "SIGMOID":
        return 255.0 / (1.0 + np.exp(np.minimum(-4.0 * (values - center) / width, 700.0)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    low, high = center - width / 2, center + width / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = ((values - center) / width + 0.5) * 255.0
    return np.where(values <= low, 0.0, np.where(values > high, 255.0, inside))


def modality(dataset: pydicom.Dataset, frame: int, stored: Array) -> Array:
    """C.11.1, and C.8.7.1.1.2 for X-ray angiography."""
    sequence = dataset.get("ModalityLUTSequence")
    for_measurement = str(dataset.get("SOPClassUID", "")).startswith(XA_CLASSES) and dataset.get(
        "PixelIntensityRelationship"
    ) in ("LOG", "DISP")
    if sequence and not for_measurement:
        return look_up(stored, lut_of(sequence[0], bool(dataset.PixelRepresentation)))
    source = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = source.get("RescaleSlope", 1), source.get("RescaleIntercept", 0)
    return stored * float(slope if slope else 1) + float(intercept or 0)


def as_list(value: Any) -> list[float]:
    """A multi-valued DS."""
    if value is None:
        return []
    return [float(v) for v in value] if hasattr(value, "__iter__") else [float(value)]


def grey(dataset: pydicom.Dataset, frame: int, stored: Array) -> Array:
    """0.0 to 255.0, not rounded."""
    stored = stored.astype(np.float64)
    values = modality(dataset, frame, stored)
    source = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    centers, widths = as_list(source.get("WindowCenter")), as_list(source.get("WindowWidth"))
    function = str(source.get("VOILUTFunction") or "LINEAR")
    if centers and widths and widths[0] >= 1:
        if "PixelData" not in dataset and function == "LINEAR":
            function = "LINEAR_EXACT"
        result = window(values, centers[0], widths[0], function)
    elif dataset.get("VOILUTSequence"):
        negative = values.min() < 0
        lut = lut_of(dataset.VOILUTSequence[0], negative)
        result = look_up(values, lut) / (2 ** lut[1] - 1) * 255.0
    else:
        result = without_voi(dataset, stored, values)
    return 255.0 - result if dataset.PhotometricInterpretation == "MONOCHROME1" else result


def without_voi(dataset: pydicom.Dataset, stored: Array, values: Array) -> Array:
    """Up to 8 bits as they are, more bits from the least to the greatest value that is not padding."""
    if dataset.BitsAllocated == 1:
        return stored * 255.0
    plain = values is stored or bool(np.all(values == stored))
    if "PixelData" in dataset and dataset.BitsStored <= 8 and plain and "SegmentationType" not in dataset:
        low = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
        return (stored - low) / (2**dataset.BitsStored - 1) * 255.0
    kept = values
    if "SegmentationType" in dataset:
        kept = np.append(values, 0.0)  # labels are seen against the background
    elif "PixelPaddingValue" in dataset:
        ends = [padding(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") if name in dataset]
        kept = values[(stored < min(ends)) | (stored > max(ends))]
    if kept.size == 0 or kept.min() == kept.max():
        edge = kept.min() if kept.size else 0.0
        return window(values, edge + 0.5, 1.0, "LINEAR_EXACT")
    low, high = kept.min(), kept.max()
    return np.clip((values - low) / (high - low), 0, 1) * 255.0


def padding(dataset: pydicom.Dataset, name: str) -> int:
    """As a stored value, whatever VR it was written with."""
    value = int(dataset[name].value)
    return value - 65536 if dataset.PixelRepresentation and value > 32767 else value


def segments(data: bytes, words: bool) -> list[int]:
    """Segmented palette data (C.7.9.2), without indirect segments."""
    units = struct.unpack(f"<{len(data) // 2}H", data) if words else tuple(data)
    out: list[int] = []
    at = 0
    while at + 1 < len(units):
        opcode, length = units[at], units[at + 1]
        if opcode == 0:
            out += units[at + 2 : at + 2 + length]
            at += 2 + length
        else:
            start, end = out[-1], units[at + 2]
            out += [int(start + (end - start) * i / length + 0.5) for i in range(1, length + 1)]
            at += 3
    return out


def palette(dataset: pydicom.Dataset, stored: Array) -> Array:
    """C.7.6.3.1.5: 8-bit RGB."""
    planes = []
    for colour in ("Red", "Green", "Blue"):
        count, first, bits = (int(v) for v in dataset[f"{colour}PaletteColorLookupTableDescriptor"].value)
        count = count or 65536
        segmented = dataset.get(f"Segmented{colour}PaletteColorLookupTableData")
        if segmented is not None:
            entries = np.array(segments(segmented, bits > 8))
        else:
            data = dataset[f"{colour}PaletteColorLookupTableData"].value
            entries = np.frombuffer(data, "<u2" if len(data) >= 2 * count else "u1")[:count]
        plane = entries[np.clip(stored.astype(int) - first, 0, count - 1)]
        planes.append(plane >> (8 if bits > 8 and entries.max() > 255 else 0))
    return np.stack(planes, axis=-1).astype(float)


def ybr_to_rgb(ybr: Array) -> Array:
    """The inverse of C.7.6.3.1.2's YBR_FULL."""
    y, cb, cr = (ybr[..., i].astype(float) for i in range(3))
    rgb = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], axis=-1
    )
    return np.clip(rgb, 0, 255)


def is_supplemental(dataset: pydicom.Dataset, frame: int) -> bool:
    """C.7.6.19: a palette for the upper stored values of a grey image."""
    terms = [dataset.get("PixelPresentation")]
    for group in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence"):
        item = functional_group(dataset, frame, group)
        terms += [item.get("PixelPresentation")] if item is not None else []
    return "RedPaletteColorLookupTableDescriptor" in dataset and terms[-1] in ("COLOR", "MIXED")


def overlay_planes(dataset: pydicom.Dataset, frame: int, raw: Array | None) -> dict[int, Array]:
    """C.9.2: group to booleans of the image's size; `raw` are the containers of the frame for embedded ones."""
    planes = {}
    size = (int(dataset.Rows), int(dataset.Columns))
    for group in range(0x6000, 0x6100, 2):
        if (group, 0x0010) not in dataset:
            continue
        rows, columns = int(dataset[group, 0x0010].value), int(dataset[group, 0x0011].value)
        origin = [int(v) for v in dataset[group, 0x0050].value] if (group, 0x0050) in dataset else [1, 1]
        if (group, 0x3000) in dataset:
            index = 0
            if (group, 0x0015) in dataset or (group, 0x0051) in dataset:
                first = int(dataset[group, 0x0051].value) if (group, 0x0051) in dataset else 1
                count = int(dataset[group, 0x0015].value) if (group, 0x0015) in dataset else 1
                index = frame + 1 - first
                if not 0 <= index < count:
                    continue
            bits = np.unpackbits(np.frombuffer(dataset[group, 0x3000].value, "u1"), bitorder="little")
            plane = bits[index * rows * columns :][: rows * columns].reshape(rows, columns).astype(bool)
        elif raw is not None and (group, 0x0102) in dataset and int(dataset[group, 0x0100].value) > 1:
            plane = (raw.astype(np.int64) >> int(dataset[group, 0x0102].value) & 1).astype(bool)
        else:
            continue
        planes[group] = place(plane, origin[0] - 1, origin[1] - 1, size)
    return planes


def place(plane: Array, top: int, left: int, size: tuple[int, int]) -> Array:
    """A plane of booleans at a place in an image of this size."""
    whole = np.zeros(size, bool)
    for y in range(plane.shape[0]):
        for x in np.flatnonzero(plane[y]):
            if 0 <= y + top < size[0] and 0 <= x + left < size[1]:
                whole[y + top, x + left] = True
    return whole


def render(dataset: pydicom.Dataset, frame: int, stored: Array, raw: Array | None = None) -> Array:
    """A frame as 8-bit grey or RGB, at its own size, with its overlays in white."""
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        result = palette(dataset, stored)
    elif stored.ndim == 3:
        result = (stored >> (int(dataset.BitsStored) - 8)).astype(float)
        if photometric.startswith("YBR_FULL"):
            result = ybr_to_rgb(result)
    else:
        result = grey(dataset, frame, stored)
        if is_supplemental(dataset, frame):
            first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
            upper = (stored >= first)[..., None]
            result = np.where(upper, palette(dataset, stored), result[..., None])
    for plane in overlay_planes(dataset, frame, raw).values():
        result[plane] = 255.0
    return np.floor(np.clip(np.nan_to_num(result), 0, 255) + 0.5).astype(np.uint8)
