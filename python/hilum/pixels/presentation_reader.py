"""Reads presentation states (PS3.3 A.33) with pydicom and checks every value; errors name attributes, never values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, HilumError, LimitExceeded, UsageError
from hilum.pixels.cielab import rgb_of_cielab
from hilum.pixels.presentation_state import (
    DisplayedArea,
    Graphic,
    GraphicAnnotation,
    GraphicLayer,
    ImageReference,
    Kind,
    LayerOverlay,
    Point,
    PresentationState,
    Style,
    Text,
    Voi,
    refuse_unsupported,
)
from hilum.pixels.segmented import expand_segments
from hilum.pixels.settings import Lut, OverlayPlane, Rescale, Shutter, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Rgb

__all__ = ["read_presentation_state"]

_MISSING: Final = 7
_BAD_VALUE: Final = 8
_MAX_OBJECTS: Final = 1 << 14
_MAX_POINTS: Final = 1 << 20
_MAX_TEXT: Final = 1 << 16
_MAX_PLANE: Final = 64 << 20
_FAR: Final = 1e7
_GRAPHIC_POINTS: Final = {
    "POINT": (1, 1),
    "POLYLINE": (1, _MAX_POINTS),
    "INTERPOLATED": (1, _MAX_POINTS),
    "CIRCLE": (2, 2),
    "ELLIPSE": (4, 4),
}


def read_presentation_state(dataset: pydicom.Dataset) -> PresentationState:
    """Read and check a presentation state.

    Parameters
    ----------
    dataset : pydicom.Dataset

    Returns
    -------
    PresentationState

    Raises
    ------
    UsageError
        No presentation state, or one of a kind that is not rendered.
    DataError
        An attribute is missing or cannot be; the message names it.
    LimitExceeded
        More than 16384 objects, 2^20 points or 65536 characters.
    """
    kind = refuse_unsupported(str(dataset.get("SOPClassUID", "")))
    try:
        return _read(dataset, kind)
    except HilumError:
        raise
    except Exception as error:  # pydicom converts values late, with errors of any class that may quote them
        raise _bad(f"the presentation state cannot be read ({type(error).__name__})") from None


def _bad(message: str, code: int = _BAD_VALUE) -> DataError:
    return DataError(message, code=code)


def _read(ds: pydicom.Dataset, kind: Kind) -> PresentationState:
    if _items(ds, "MaskSubtractionSequence"):
        raise UsageError("presentation states that subtract a mask (0028,6100) are not rendered")
    references = tuple(_all_references(ds))
    if not references:
        raise _bad("the presentation state refers to no image: ReferencedSeriesSequence (0008,1115)", _MISSING)
    grey = kind != "color"
    layers = tuple(sorted(_layers(ds), key=lambda layer: layer.order))
    rotation, flip = _transformation(ds)
    overlays = tuple(_overlays(ds))
    return PresentationState(
        kind,
        references,
        _rescale(ds),
        _first_lut(ds, "ModalityLUTSequence") if grey else None,
        tuple(_voi(item) for item in _items(ds, "SoftcopyVOILUTSequence")) if grey else (),
        kind == "grayscale" and str(ds.get("PresentationLUTShape", "IDENTITY")) == "INVERSE",
        _first_lut(ds, "PresentationLUTSequence") if kind == "grayscale" else None,
        _palette(ds) if kind == "pseudo-color" else None,
        rotation,
        flip,
        tuple(_area(item) for item in _items(ds, "DisplayedAreaSelectionSequence")),
        tuple(_annotations(ds)),
        layers,
        overlays,
        tuple(_shutters(ds, overlays)),
        bytes(ds.get("ICCProfile", None) or b""),
    )


def _items(ds: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    items = ds.get(keyword) or []
    if len(items) > _MAX_OBJECTS:
        raise LimitExceeded(f"{keyword} has more than {_MAX_OBJECTS} items")
    return list(items)


def _numbers(ds: pydicom.Dataset, keyword: str) -> tuple[float, ...]:
    value = ds.get(keyword)
    if value is None or value == "":
        return ()
    values = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    found = tuple(float(number) for number in values)
    if not all(math.isfinite(number) and abs(number) < 1e30 for number in found):
        raise _bad(f"{keyword} is no number")
    return found


def _number(ds: pydicom.Dataset, keyword: str, default: float) -> float:
    found = _numbers(ds, keyword)
    return found[0] if found else default


def _point(ds: pydicom.Dataset, keyword: str) -> Point | None:
    found = _numbers(ds, keyword)
    if not found:
        return None
    if len(found) != 2 or max(map(abs, found)) > _FAR:
        raise _bad(f"{keyword} is not one point near the image")
    return found[0], found[1]


def _references(ds: pydicom.Dataset, series: str = "") -> tuple[ImageReference, ...]:
    found = []
    for item in _items(ds, "ReferencedImageSequence"):
        uid = str(item.get("ReferencedSOPInstanceUID", ""))
        if not uid:
            raise _bad("a Referenced Image Sequence names no ReferencedSOPInstanceUID (0008,1155)", _MISSING)
        found.append(ImageReference(uid, tuple(int(n) for n in _numbers(item, "ReferencedFrameNumber")), series))
    return tuple(found)


def _all_references(ds: pydicom.Dataset) -> Iterator[ImageReference]:
    for series in _items(ds, "ReferencedSeriesSequence"):
        yield from _references(series, str(series.get("SeriesInstanceUID", "")))


def _table_bytes(value: object) -> npt.NDArray[np.uint16]:
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], "<u2")
    return np.atleast_1d(np.asarray(value, np.int64)).astype(np.uint16)


def _lut(ds: pydicom.Dataset, descriptor: str = "LUTDescriptor", data: str = "LUTData") -> Lut:
    described = _numbers(ds, descriptor)
    value = ds.get(data)
    if len(described) != 3 or value is None:
        raise _bad(f"a look-up table without {descriptor} or {data}", _MISSING)
    count, first, bits = int(described[0]) or 65536, int(described[1]), int(described[2])
    if not (1 <= count <= 65536 and 8 <= bits <= 16):
        raise _bad(f"{descriptor} cannot be")
    if isinstance(value, bytes) and count <= len(value) < 2 * count:
        entries = np.frombuffer(value, np.uint8)[:count].astype(np.uint16)
    else:
        entries = _table_bytes(value)
    if len(entries) < count:
        raise _bad(f"{data} is shorter than {descriptor} says")
    return Lut(tuple(entries[:count].tolist()), first, bits)


def _first_lut(ds: pydicom.Dataset, keyword: str) -> Lut | None:
    items = _items(ds, keyword)
    return _lut(items[0]) if items else None


def _rescale(ds: pydicom.Dataset) -> Rescale:
    slope = _number(ds, "RescaleSlope", 1.0)
    if slope == 0:
        raise _bad("RescaleSlope (0028,1053) is 0")
    return Rescale(slope, _number(ds, "RescaleIntercept", 0.0))


def _voi(item: pydicom.Dataset) -> Voi:
    center, width = _numbers(item, "WindowCenter"), _numbers(item, "WindowWidth")
    lut = _first_lut(item, "VOILUTSequence")
    window = None
    if center and width:
        function = str(item.get("VOILUTFunction") or "LINEAR")
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            raise _bad("VOILUTFunction (0028,1056) is none of LINEAR, LINEAR_EXACT, SIGMOID")
        if width[0] < (1 if function == "LINEAR" else 1e-9):
            raise _bad("WindowWidth (0028,1051) is below 1, or not above 0")
        window = Window(center[0], width[0], function)  # type: ignore[arg-type]
    elif lut is None:
        raise _bad("an item of SoftcopyVOILUTSequence (0028,3110) has neither a window nor a table", _MISSING)
    return Voi(_references(item), window, lut)


def _palette(ds: pydicom.Dataset) -> tuple[Lut, Lut, Lut]:
    red, green, blue = (_palette_lut(ds, f"{colour}PaletteColorLookupTable") for colour in ("Red", "Green", "Blue"))
    return red, green, blue


def _palette_lut(ds: pydicom.Dataset, name: str) -> Lut:
    segments = ds.get(f"Segmented{name}Data")
    if segments is None:
        return _lut(ds, f"{name}Descriptor", f"{name}Data")
    described = _numbers(ds, f"{name}Descriptor")
    if len(described) != 3 or described[2] != 16:
        raise _bad(f"{name}Descriptor is missing, or not of the 16 bits of presentation states", _MISSING)
    count = int(described[0]) or 65536
    return Lut(expand_segments(_table_bytes(segments).tolist(), count), int(described[1]), 16)


def _transformation(ds: pydicom.Dataset) -> tuple[int, bool]:
    rotation = _number(ds, "ImageRotation", 0.0)
    if rotation % 90:
        raise _bad("ImageRotation (0070,0042) is not a multiple of 90")
    return int(rotation) % 360, str(ds.get("ImageHorizontalFlip", "N")) == "Y"


def _area(item: pydicom.Dataset) -> DisplayedArea:
    corners = [_numbers(item, f"DisplayedArea{side}HandCorner") for side in ("TopLeft", "BottomRight")]
    if any(len(corner) != 2 for corner in corners):
        raise _bad("a displayed area (0070,005A) without its two corners", _MISSING)
    columns, rows = zip(*corners, strict=True)
    if max(map(abs, (*columns, *rows))) > 1 << 20:
        raise _bad("a corner of the displayed area (0070,005A) lies too far from the image")
    mode = str(item.get("PresentationSizeMode", "SCALE TO FIT"))
    if mode not in ("SCALE TO FIT", "TRUE SIZE", "MAGNIFY"):
        raise _bad("PresentationSizeMode (0070,0100) is none of SCALE TO FIT, TRUE SIZE, MAGNIFY")
    magnification = _number(item, "PresentationPixelMagnificationRatio", 0.0)
    if mode == "MAGNIFY" and not 1e-3 <= magnification <= 1e3:
        raise _bad("PresentationPixelMagnificationRatio (0070,0103) is missing, or not from 0.001 to 1000")
    return DisplayedArea(
        _references(item),
        *(int(min(columns)), int(min(rows)), int(max(columns)), int(max(rows))),
        mode,  # type: ignore[arg-type]
        magnification,
        _aspect(item),
    )


def _aspect(item: pydicom.Dataset) -> float:
    pair = _numbers(item, "PresentationPixelSpacing") or _numbers(item, "PresentationPixelAspectRatio") or (1.0, 1.0)
    if len(pair) != 2 or min(pair) <= 0 or not 1e-3 <= pair[0] / pair[1] <= 1e3:
        raise _bad("PresentationPixelSpacing (0070,0101) or PresentationPixelAspectRatio (0070,0102) cannot be")
    return pair[0] / pair[1]


def _lab(ds: pydicom.Dataset, keyword: str) -> Rgb | None:
    found = _numbers(ds, keyword)
    if not found:
        return None
    if len(found) != 3 or not all(0 <= number <= 65535 for number in found):
        raise _bad(f"{keyword} is not a colour")
    return rgb_of_cielab(found[0], found[1], found[2])


def _layers(ds: pydicom.Dataset) -> Iterator[GraphicLayer]:
    """Give the layers in the order of the file; of several with one name, the first."""
    seen: set[str] = set()
    for item in _items(ds, "GraphicLayerSequence"):
        grey = int(_number(item, "GraphicLayerRecommendedDisplayGrayscaleValue", 65535.0)) >> 8 & 255
        old = _numbers(item, "GraphicLayerRecommendedDisplayRGBValue")
        colour = _lab(item, "GraphicLayerRecommendedDisplayCIELabValue")
        if colour is None and len(old) == 3:
            colour = (int(old[0]) >> 8 & 255, int(old[1]) >> 8 & 255, int(old[2]) >> 8 & 255)
        name, order = str(item.get("GraphicLayer", "")), int(_number(item, "GraphicLayerOrder", 0.0))
        if name not in seen:
            seen.add(name)
            yield GraphicLayer(name, order, colour or (grey, grey, grey))


def _annotations(ds: pydicom.Dataset) -> Iterator[GraphicAnnotation]:
    budget = [_MAX_POINTS, _MAX_OBJECTS, _MAX_TEXT]
    for item in _items(ds, "GraphicAnnotationSequence"):
        yield GraphicAnnotation(
            _references(item),
            str(item.get("GraphicLayer", "")),
            tuple(_graphic(one, budget) for one in _items(item, "GraphicObjectSequence")),
            tuple(_text(one, budget) for one in _items(item, "TextObjectSequence")),
        )


def _spend(budget: list[int], which: int, cost: int) -> None:
    budget[which] -= cost
    if budget[which] < 0:
        raise LimitExceeded("the presentation state has more graphics than are drawn")


def _units(item: pydicom.Dataset, keyword: str) -> str:
    units = str(item.get(keyword, "PIXEL"))
    if units == "MATRIX":
        raise UsageError("presentation states with graphics in the total pixel matrix are not rendered")
    if units not in ("PIXEL", "DISPLAY"):
        raise _bad(f"{keyword} is neither PIXEL nor DISPLAY")
    return units


def _graphic(item: pydicom.Dataset, budget: list[int]) -> Graphic:
    kind = str(item.get("GraphicType", ""))
    if kind not in _GRAPHIC_POINTS:
        raise _bad("GraphicType (0070,0023) is none of POINT, POLYLINE, INTERPOLATED, CIRCLE, ELLIPSE")
    numbers = _numbers(item, "GraphicData")
    count = len(numbers) // 2
    least, most = _GRAPHIC_POINTS[kind]
    if len(numbers) % 2 or not least <= count <= most or int(_number(item, "NumberOfGraphicPoints", count)) != count:
        raise _bad("GraphicData (0070,0022) does not hold as many points as its type and NumberOfGraphicPoints say")
    if max(map(abs, numbers)) > _FAR:
        raise _bad("GraphicData (0070,0022) lies too far from the image")
    _spend(budget, 0, count)
    _spend(budget, 1, 1)
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    filled = str(item.get("GraphicFilled", "N")) == "Y"
    return Graphic(kind, points, _units(item, "GraphicAnnotationUnits"), filled, _style(item))


def _style(item: pydicom.Dataset) -> Style:
    line = next(iter(_items(item, "LineStyleSequence")), None)
    fill = next(iter(_items(item, "FillStyleSequence")), None)
    text = next(iter(_items(item, "TextStyleSequence")), None)
    colour = _lab(line, "PatternOnColorCIELabValue") if line is not None else None
    if text is not None:
        colour = _lab(text, "TextColorCIELabValue")
    thickness = min(max(_number(line, "LineThickness", 0.0), 0.0), 64.0) if line is not None else 0.0
    return Style(colour, thickness, _lab(fill, "PatternOnColorCIELabValue") if fill is not None else None)


def _text(item: pydicom.Dataset, budget: list[int]) -> Text:
    text = str(item.get("UnformattedTextValue") or "")
    _spend(budget, 1, 1)
    _spend(budget, 2, len(text))
    corners = [_point(item, f"BoundingBox{side}HandCorner") for side in ("TopLeft", "BottomRight")]
    box = (corners[0], corners[1]) if corners[0] is not None and corners[1] is not None else None
    anchor = _point(item, "AnchorPoint")
    if box is None and anchor is None:
        raise _bad("a text (0070,0008) has neither a bounding box nor an anchor point", _MISSING)
    return Text(
        "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c == "\n" or c.isprintable()),
        box,
        _units(item, "BoundingBoxAnnotationUnits"),
        str(item.get("BoundingBoxTextHorizontalJustification", "LEFT")),
        anchor,
        _units(item, "AnchorPointAnnotationUnits"),
        str(item.get("AnchorPointVisibility", "N")) == "Y",
        _style(item),
    )


def _overlays(ds: pydicom.Dataset) -> Iterator[LayerOverlay]:
    for group in range(0x6000, 0x6020, 2):

        def get(element: int, group: int = group) -> Any:
            tag = (group, element)
            return ds[tag].value if tag in ds else None

        layer = str(get(0x1001) or "")
        if layer:
            yield _overlay(group, layer, get)
        elif get(0x3000) is not None:  # of the bitmap shutter
            yield _overlay(group, "", get)


def _overlay(group: int, layer: str, get: Callable[[int], Any]) -> LayerOverlay:
    data = get(0x3000)
    if data is None:
        return LayerOverlay(group, layer, None)
    name = f"the overlay ({group:04x},3000)"
    if not isinstance(data, bytes) or get(0x0010) is None or get(0x0011) is None:
        raise _bad(f"{name} has no rows or columns", _MISSING)
    rows, columns = int(get(0x0010)), int(get(0x0011))
    origin = get(0x0050) or (1, 1)
    if rows * columns > _MAX_PLANE * 8 or len(data) * 8 < rows * columns or not rows * columns:
        raise _bad(f"{name} is shorter than its rows and columns say")
    return LayerOverlay(group, layer, OverlayPlane(rows, columns, data, (int(origin[0]), int(origin[1]))))


def _shutters(
    ds: pydicom.Dataset, overlays: tuple[LayerOverlay, ...]
) -> Iterator[tuple[tuple[ImageReference, ...], Shutter]]:
    """Give those of frames of an XA/XRF state (PS3.3 C.11.16), then that of the whole state."""
    for source in (*_items(ds, "FrameDisplayShutterSequence"), ds):
        shutter = _shutter(source, overlays)
        if shutter is not None:
            yield _references(source) if source is not ds else (), shutter


def _shutter(ds: pydicom.Dataset, overlays: tuple[LayerOverlay, ...]) -> Shutter | None:
    value = ds.get("ShutterShape")
    shapes = {str(value)} if isinstance(value, str) else {str(shape) for shape in value or ()}
    if not shapes:
        return None
    if not shapes <= {"RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP"}:
        raise _bad("ShutterShape (0018,1600) is none of RECTANGULAR, CIRCULAR, POLYGONAL, BITMAP")

    def need(keyword: str, count: int) -> tuple[int, ...]:
        numbers = _numbers(ds, keyword)
        if len(numbers) != count:
            raise _bad(f"the shutter has no {keyword}", _MISSING)
        return tuple(int(number) for number in numbers)

    rectangle = circle = None
    if "RECTANGULAR" in shapes:
        edges = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
        left, right, upper, lower = (need(f"Shutter{edge}Edge", 1)[0] for edge in edges)
        rectangle = (left, right, upper, lower)
    if "CIRCULAR" in shapes:
        row, column = need("CenterOfCircularShutter", 2)
        circle = (row, column, need("RadiusOfCircularShutter", 1)[0])
    vertices = _numbers(ds, "VerticesOfThePolygonalShutter") if "POLYGONAL" in shapes else ()
    if "POLYGONAL" in shapes and (len(vertices) < 6 or len(vertices) % 2):
        raise _bad("VerticesOfThePolygonalShutter (0018,1620) are fewer than three points")
    bitmap: OverlayPlane | int | None = None
    if "BITMAP" in shapes:
        group = need("ShutterOverlayGroup", 1)[0]
        bitmap = next((overlay.plane or group for overlay in overlays if overlay.group == group), group)
    return Shutter(
        rectangle,
        circle,
        tuple((int(r), int(c)) for r, c in zip(vertices[::2], vertices[1::2], strict=True)),
        bitmap,
        int(_number(ds, "ShutterPresentationValue", 0.0)) & 0xFFFF,
        _lab(ds, "ShutterPresentationColorCIELabValue"),
    )
