"""Reads presentation states (PS3.3 A.33) with pydicom and checks every value; errors name attributes, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hilum.errors import HilumError
from hilum.pixels.advanced_blending import read_advanced_blending, registrations_of
from hilum.pixels.graphics_reader import annotations_of, layers_of
from hilum.pixels.mask_reader import read_masks, read_viewing
from hilum.pixels.presentation_state import (
    DisplayedArea,
    ImageReference,
    Kind,
    LayerOverlay,
    PresentationState,
    Superimposed,
    refuse_unsupported,
)
from hilum.pixels.presentation_tables import first_lut, palette_of, rescale_of, voi_of
from hilum.pixels.presentation_values import (
    MISSING,
    bad_value,
    colour_of,
    items_of,
    number_of,
    numbers_of,
    references_of,
)
from hilum.pixels.settings import OverlayPlane, Shutter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pydicom

    from hilum.pixels.settings import Lut, Rescale

__all__ = ["read_presentation_state"]

_MAX_PLANE: Final = 64 << 20
_VARIABLE_MODALITY: Final = "1.2.840.10008.5.1.4.1.1.11.12"


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
    try:
        return _read(dataset, refuse_unsupported(str(dataset.get("SOPClassUID", ""))))
    except HilumError:
        raise
    except Exception as error:  # pydicom converts values late, with errors of any class that may quote them
        raise bad_value(f"the presentation state cannot be read ({type(error).__name__})") from None


def _read(ds: pydicom.Dataset, kind: Kind) -> PresentationState:
    variable = "VariableModalityLUTSequence" in ds or str(ds.SOPClassUID) == _VARIABLE_MODALITY
    if variable and "RedPaletteColorLookupTableDescriptor" in ds:
        kind = "pseudo-color"
    source, superimposed = _sides(ds) if kind == "blending" else (ds, None)
    advanced = read_advanced_blending(ds) if kind == "advanced-blending" else None
    references = advanced.shown.references if advanced else tuple(_all_references(source))
    if not references and advanced is None:
        raise bad_value("the presentation state refers to no image: ReferencedSeriesSequence (0008,1115)", MISSING)
    grey = kind not in ("color", "advanced-blending")
    layers = tuple(sorted(layers_of(ds), key=lambda layer: layer.order))
    rotation, flip = _transformation(ds)
    overlays = tuple(_overlays(ds))
    return PresentationState(
        kind=kind,
        references=references,
        rescale=rescale_of(source),
        modality_lut=first_lut(source, "ModalityLUTSequence") if grey else None,
        voi=tuple(voi_of(item) for item in items_of(source, "SoftcopyVOILUTSequence")) if grey else (),
        inverse=kind == "grayscale" and str(ds.get("PresentationLUTShape", "IDENTITY")) == "INVERSE",
        presentation_lut=first_lut(ds, "PresentationLUTSequence") if kind == "grayscale" else None,
        palette=palette_of(ds) if kind == "pseudo-color" else None,
        rotation=rotation,
        flip=flip,
        areas=tuple(_area(item) for item in items_of(ds, "DisplayedAreaSelectionSequence")),
        annotations=tuple(annotations_of(ds)),
        layers=layers,
        overlays=overlays,
        shutters=tuple(_shutters(ds, overlays)),
        icc_profile=bytes(ds.get("ICCProfile", None) or b""),
        masks=read_masks(ds) if kind in ("grayscale", "pseudo-color") else (),
        viewing=read_viewing(ds),
        modalities=tuple(map(_modality, _variable_items(ds))) if variable else (),
        superimposed=superimposed,
        advanced=advanced,
    )


def _variable_items(ds: pydicom.Dataset) -> list[pydicom.Dataset]:
    items = items_of(ds, "VariableModalityLUTSequence")
    if not items:
        raise bad_value("the presentation state has no VariableModalityLUTSequence (0028,3001)", MISSING)
    return items


def _modality(item: pydicom.Dataset) -> tuple[tuple[ImageReference, ...], Rescale | Lut]:
    """Give the images and frames of an item, and their Modality LUT (PS3.3 C.11.35)."""
    images = references_of(item)
    if not images:
        raise bad_value("an item of VariableModalityLUTSequence (0028,3001) has no ReferencedImageSequence", MISSING)
    table = first_lut(item, "ModalityLUTSequence")
    if table is None and "RescaleSlope" not in item:
        raise bad_value("an item of VariableModalityLUTSequence (0028,3001) has no table or RescaleSlope", MISSING)
    return images, table or rescale_of(item)


def _sides(ds: pydicom.Dataset) -> tuple[pydicom.Dataset, Superimposed]:
    """Give the item of the underlying images, and what lies over them (PS3.3 C.11.14)."""
    sides = {str(item.get("BlendingPosition", "")): item for item in items_of(ds, "BlendingSequence")}
    if set(sides) != {"UNDERLYING", "SUPERIMPOSED"}:
        raise bad_value("BlendingSequence (0070,0402) has not one UNDERLYING and one SUPERIMPOSED item", MISSING)
    opacity = numbers_of(ds, "RelativeOpacity")
    if len(opacity) != 1 or not 0 <= opacity[0] <= 1:
        raise bad_value("RelativeOpacity (0070,0403) is missing, or not from 0 to 1", MISSING)
    over = sides["SUPERIMPOSED"]
    references = tuple(_all_references(over))
    if not references:
        raise bad_value("the superimposed item of BlendingSequence (0070,0402) refers to no image", MISSING)
    state = Superimposed(
        opacity[0],
        references,
        rescale_of(over),
        first_lut(over, "ModalityLUTSequence"),
        tuple(voi_of(item) for item in items_of(over, "SoftcopyVOILUTSequence")),
        palette_of(ds),
        registrations_of(ds),
    )
    return sides["UNDERLYING"], state


def _all_references(ds: pydicom.Dataset) -> Iterator[ImageReference]:
    for series in items_of(ds, "ReferencedSeriesSequence"):
        yield from references_of(series, str(series.get("SeriesInstanceUID", "")))


def _transformation(ds: pydicom.Dataset) -> tuple[int, bool]:
    rotation = number_of(ds, "ImageRotation", 0.0)
    if rotation % 90:
        raise bad_value("ImageRotation (0070,0042) is not a multiple of 90")
    return int(rotation) % 360, str(ds.get("ImageHorizontalFlip", "N")) == "Y"


def _area(item: pydicom.Dataset) -> DisplayedArea:
    corners = [numbers_of(item, f"DisplayedArea{side}HandCorner") for side in ("TopLeft", "BottomRight")]
    if any(len(corner) != 2 for corner in corners):
        raise bad_value("a displayed area (0070,005A) without its two corners", MISSING)
    columns, rows = zip(*corners, strict=True)
    if max(map(abs, (*columns, *rows))) > 1 << 20:
        raise bad_value("a corner of the displayed area (0070,005A) lies too far from the image")
    mode = str(item.get("PresentationSizeMode", "SCALE TO FIT"))
    if mode not in ("SCALE TO FIT", "TRUE SIZE", "MAGNIFY"):
        raise bad_value("PresentationSizeMode (0070,0100) is none of SCALE TO FIT, TRUE SIZE, MAGNIFY")
    magnification = number_of(item, "PresentationPixelMagnificationRatio", 0.0)
    if mode == "MAGNIFY" and not 1e-3 <= magnification <= 1e3:
        raise bad_value("PresentationPixelMagnificationRatio (0070,0103) is missing, or not from 0.001 to 1000")
    spacing = numbers_of(item, "PresentationPixelSpacing")
    if mode == "TRUE SIZE" and not spacing:
        raise bad_value("TRUE SIZE without PresentationPixelSpacing (0070,0101)", MISSING)
    return DisplayedArea(
        references_of(item),
        *(int(min(columns)), int(min(rows)), int(max(columns)), int(max(rows))),
        mode,  # type: ignore[arg-type]
        magnification,
        min(spacing, default=0.0),
        _aspect(item),
    )


def _aspect(item: pydicom.Dataset) -> float:
    pair = (
        numbers_of(item, "PresentationPixelSpacing") or numbers_of(item, "PresentationPixelAspectRatio") or (1.0, 1.0)
    )
    if len(pair) != 2 or min(pair) <= 0 or not 1e-3 <= pair[0] / pair[1] <= 1e3:
        raise bad_value("PresentationPixelSpacing (0070,0101) or PresentationPixelAspectRatio (0070,0102) cannot be")
    return pair[0] / pair[1]


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
        raise bad_value(f"{name} has no rows or columns", MISSING)
    rows, columns = int(get(0x0010)), int(get(0x0011))
    origin = get(0x0050) or (1, 1)
    if rows * columns > _MAX_PLANE * 8 or len(data) * 8 < rows * columns or not rows * columns:
        raise bad_value(f"{name} is shorter than its rows and columns say")
    return LayerOverlay(group, layer, OverlayPlane(rows, columns, data, (int(origin[0]), int(origin[1]))))


def _shutters(
    ds: pydicom.Dataset, overlays: tuple[LayerOverlay, ...]
) -> Iterator[tuple[tuple[ImageReference, ...], Shutter]]:
    """Give those of frames of an XA/XRF state (PS3.3 C.11.16), then that of the whole state."""
    for source in (*items_of(ds, "FrameDisplayShutterSequence"), ds):
        shutter = _shutter(source, overlays)
        if shutter is not None:
            yield references_of(source) if source is not ds else (), shutter


def _shutter(ds: pydicom.Dataset, overlays: tuple[LayerOverlay, ...]) -> Shutter | None:
    value = ds.get("ShutterShape")
    shapes = {str(value)} if isinstance(value, str) else {str(shape) for shape in value or ()}
    if not shapes:
        return None
    if not shapes <= {"RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP"}:
        raise bad_value("ShutterShape (0018,1600) is none of RECTANGULAR, CIRCULAR, POLYGONAL, BITMAP")

    def need(keyword: str, count: int) -> tuple[int, ...]:
        numbers = numbers_of(ds, keyword)
        if len(numbers) != count:
            raise bad_value(f"the shutter has no {keyword}", MISSING)
        return tuple(int(number) for number in numbers)

    rectangle = circle = None
    if "RECTANGULAR" in shapes:
        edges = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
        left, right, upper, lower = (need(f"Shutter{edge}Edge", 1)[0] for edge in edges)
        rectangle = (left, right, upper, lower)
    if "CIRCULAR" in shapes:
        row, column = need("CenterOfCircularShutter", 2)
        circle = (row, column, need("RadiusOfCircularShutter", 1)[0])
    vertices = numbers_of(ds, "VerticesOfThePolygonalShutter") if "POLYGONAL" in shapes else ()
    if "POLYGONAL" in shapes and (len(vertices) < 6 or len(vertices) % 2):
        raise bad_value("VerticesOfThePolygonalShutter (0018,1620) are fewer than three points")
    bitmap: OverlayPlane | int | None = None
    if "BITMAP" in shapes:
        group = need("ShutterOverlayGroup", 1)[0]
        bitmap = next((overlay.plane or group for overlay in overlays if overlay.group == group), group)
    return Shutter(
        rectangle,
        circle,
        tuple((int(r), int(c)) for r, c in zip(vertices[::2], vertices[1::2], strict=True)),
        bitmap,
        int(number_of(ds, "ShutterPresentationValue", 0.0)) & 0xFFFF,
        colour_of(ds, "ShutterPresentationColorCIELabValue"),
    )
