"""Volumetric presentation states: what a planar MPR or a volume rendering shows (PS3.3 A.80.1, A.80.2, PS3.4 FF)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum.errors import HilumError, UsageError
from hilum.pixels.presentation_tables import palette_of, palette_table, voi_of
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of, numbers_of
from hilum.pixels.settings import Lut
from hilum.render.geometry import Camera, Plane, Vector, unit
from hilum.render.presets import Shading, TransferFunction

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Window
    from hilum.render.renderer import Mode

__all__ = ["VOLUMETRIC_STATES", "VolumetricState", "read_volumetric_state"]

Kind: TypeAlias = Literal["mpr", "3d"]
_ROOT: Final = "1.2.840.10008.5.1.4.1.1.11."
VOLUMETRIC_STATES: Final[dict[str, Kind]] = {_ROOT + "6": "mpr", _ROOT + "7": "mpr", _ROOT + "9": "3d"}
"""SOP classes that are rendered: Grayscale and Compositing Planar MPR, Volume Rendering."""
_METHODS: Final[dict[str, Mode]] = {"MAXIMUM_IP": "maximum", "MINIMUM_IP": "minimum", "AVERAGE_IP": "mean"}
_POINTS: Final = 256
"""Of a transfer function at most; longer tables are thinned out."""
_SHININESS: Final = 100.0
"""The power of a highlight that Shininess (0070,1706) of 1 stands for."""
_RAMP: Final = Lut((0, 65535))
_ONE: Final = Lut((65535,))
_PERSPECTIVE, _ORTHOGRAPHIC = "PERSPECTIVE", "ORTHOGRAPHIC"


@dataclass(frozen=True, slots=True)
class Crop:
    """One item of a Volume Cropping Sequence (0070,1301): what lies inside is shown."""

    corners: tuple[Vector, Vector] | None
    """Of a box along the axes of the volume: LPS, mm."""
    planes: tuple[tuple[float, float, float, float], ...]
    """Points with n . p >= offset are shown."""

    def clips(self, affine: npt.NDArray[np.float64]) -> list[tuple[float, float, float, float]]:
        """Clipping planes, for a volume with this affine."""
        found = list(self.planes)
        if self.corners is not None:
            inverse = np.linalg.inv(affine)
            ends = np.asarray(self.corners) @ inverse[:3, :3].T + inverse[:3, 3]
            for axis in range(3):
                normal, moved = inverse[axis, :3], float(inverse[axis, 3])
                found.append((*normal.tolist(), float(ends[:, axis].min()) - moved))
                found.append((*(-normal).tolist(), moved - float(ends[:, axis].max())))
        return found


@dataclass(frozen=True, slots=True)
class StateView:
    """Where the image lies, and how the volume is brought into it."""

    corner: Vector
    """Upper left corner of the image, on its edge; of perspective on the near plane."""
    row: Vector
    column: Vector
    size: tuple[float, float]
    """Height and width."""
    slab: float = 0.0
    mode: Mode = "mean"
    shaded: bool = False
    """Volume rendering rather than a projection by `mode`."""
    position: Vector | None = None
    """The viewpoint of a volume rendering."""
    perspective: bool = False
    near_far: tuple[float, float] = (0.0, 0.0)
    """Distances from the viewpoint between which the volume is seen."""
    step: float | None = None
    """Distance of samples along a ray."""


@dataclass(frozen=True, slots=True)
class VolumetricState:
    """What a volumetric presentation state says; lengths in mm, LPS."""

    kind: Kind
    frame_of_reference_uid: str
    references: tuple[str, ...]
    """SOP Instance UIDs of the images of the volume."""
    window: Window | None
    """None: identity."""
    inverse: bool
    """Of a grey image: the least value is white (Presentation LUT Shape INVERSE)."""
    view: StateView
    tables: tuple[Lut, Lut, Lut, Lut] | None
    """Red, green, blue and opacity of a value that has gone through the window; None: a grey image."""
    shading: Shading | None
    crops: tuple[Crop, ...]
    annotated: bool
    """Whether there are annotations, which are not drawn."""

    def plane(self, shape: tuple[int, int]) -> Plane:
        """Lay an image of so many rows and columns over the view."""
        view = self.view
        spacing = view.size[0] / shape[0], view.size[1] / shape[1]
        half = np.multiply(view.row, spacing[1] / 2) + np.multiply(view.column, spacing[0] / 2)
        x, y, z = (np.asarray(view.corner) + half).tolist()
        return Plane((x, y, z), view.row, view.column, spacing, shape)

    def camera(self, shape: tuple[int, int], finest: float) -> Camera:
        """Look at the volume; `finest`: distance of samples where the state gives none."""
        view = self.view
        return Camera(self.plane(shape), view.position if view.perspective else None, view.step or finest)

    def clips(self, affine: npt.NDArray[np.float64]) -> list[tuple[float, float, float, float]]:
        """Clipping planes of all cropping, and of the near and far ends of the view."""
        found = [plane for crop in self.crops for plane in crop.clips(affine)]
        if self.view.position is not None:
            x, y, z = np.cross(self.view.row, self.view.column).tolist()
            at = float(np.dot((x, y, z), self.view.position))
            near, far = self.view.near_far
            found += [(x, y, z, at + near), (-x, -y, -z, -(at + far))]
        return found

    def transfer(self) -> TransferFunction:
        """Make colour and opacity functions of modality values; opacities are those of one step along a ray."""
        if self.tables is None:
            raise UsageError("the presentation state has no colours")
        longest = max(self.tables, key=lambda table: len(table.entries))
        length = len(longest.entries)
        at = np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round())
        part = at / max(1, length - 1)
        red, green, blue, opacity = (_entries(table, part) for table in self.tables)
        values = self._values(part, longest).tolist()
        return TransferFunction(
            tuple(zip(values, red, green, blue, strict=True)),
            tuple(zip(values, opacity, strict=True)),
            self.view.step or 1.0,
        )

    def _values(self, part: npt.NDArray[np.float64], longest: Lut) -> npt.NDArray[np.float64]:
        """Modality values of parts of a table: through a window all of the table is used (PS3.3 C.11.27.1)."""
        if self.window is None:
            if longest in (_ONE, _RAMP):
                raise UsageError("a presentation state with neither a window nor a table is not rendered in colour")
            return longest.first + part * (len(longest.entries) - 1)
        center, width = self.window.center, self.window.width
        if self.window.function == "SIGMOID":
            raise UsageError("a presentation state with a sigmoid window is not rendered in colour")
        if self.window.function == "LINEAR":
            center, width = center - 0.5, max(width - 1, 1e-3)
        return center - width / 2 + part * width


def _entries(table: Lut, part: npt.NDArray[np.float64]) -> list[float]:
    """Entries at parts of a table's length, from 0 to 1."""
    entries = np.asarray(table.entries, np.float64) / (2**table.bits - 1)
    found: list[float] = np.interp(part * (len(entries) - 1), np.arange(len(entries)), entries).clip(0, 1).tolist()
    return found


def read_volumetric_state(dataset: pydicom.Dataset) -> VolumetricState:
    """Read and check a volumetric presentation state of one volume.

    Raises
    ------
    UsageError
        No volumetric presentation state, or one that is not rendered: of several volumes, with cropping by segments,
        a spatial registration, a VOI table, volume rendering of a slab.
    DataError
        An attribute is missing or cannot be; the message names it.
    """
    try:
        kind = VOLUMETRIC_STATES.get(str(dataset.get("SOPClassUID", "")))
        if kind is None:
            raise UsageError("volumetric presentation states that are rendered are planar MPR and volume rendering")
        return _read(dataset, kind)
    except HilumError:
        raise
    except Exception as error:  # pydicom converts values late, with errors of any class that may quote them
        raise bad_value(f"the presentation state cannot be read ({type(error).__name__})") from None


def _read(ds: pydicom.Dataset, kind: Kind) -> VolumetricState:
    inputs, sets = items_of(ds, "VolumetricPresentationStateInputSequence"), _sets(ds)
    if len(inputs) != 1 or len(sets) != 1:
        raise UsageError("presentation states of several volumes are not rendered")
    if items_of(sets[0], "ReferencedSpatialRegistrationSequence"):
        raise UsageError("presentation states with a spatial registration are not rendered")
    references = tuple(str(i.ReferencedSOPInstanceUID) for i in items_of(sets[0], "ReferencedImageSequence"))
    if not references:
        raise bad_value("ReferencedImageSequence (0008,1140) of the volume", MISSING)
    window = None
    if "WindowCenter" in inputs[0] or "VOILUTSequence" in inputs[0]:
        window = voi_of(inputs[0]).window
        if window is None:
            raise UsageError("presentation states with a table for a window are not rendered")
    view = _planar(ds) if kind == "mpr" else _rendered(ds)
    crops = _crops(ds, inputs[0])
    if view.slab and crops:
        raise UsageError("a slab of a cropped volume is not rendered")
    return VolumetricState(
        kind=kind,
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        references=references,
        window=window,
        inverse=str(ds.get("PresentationLUTShape", "")) == "INVERSE",
        tables=_tables(ds, kind),
        shading=_shading(ds) if kind == "3d" else None,
        crops=crops,
        annotated=any(items_of(ds, k) for k in ("GraphicAnnotationSequence", "VolumetricAnnotationSequence")),
        view=view,
    )


def _sets(ds: pydicom.Dataset) -> list[pydicom.Dataset]:
    return items_of(ds, "VolumetricPresentationInputSetSequence")


def _triple(ds: pydicom.Dataset, keyword: str) -> Vector:
    found = numbers_of(ds, keyword)
    if len(found) != 3 or not all(abs(number) < 1e6 for number in found):
        raise bad_value(f"{keyword} is missing or is not three numbers", MISSING)
    return found[0], found[1], found[2]


def _length(ds: pydicom.Dataset, keyword: str) -> float:
    found = number_of(ds, keyword, 0.0)
    if not 0 < found < 1e6:
        raise bad_value(f"{keyword} is missing or not above 0", MISSING)
    return found


def _planar(ds: pydicom.Dataset) -> StateView:
    """PS3.3 C.11.26."""
    if str(ds.get("MultiPlanarReconstructionStyle", "PLANAR")) != "PLANAR":
        raise UsageError("presentation states of curved planes are not rendered")
    slab = 0.0
    mode: Mode = "mean"
    if str(ds.get("MPRThicknessType", "THIN")) == "SLAB":
        slab = _length(ds, "MPRSlabThickness")
        method = str(ds.get("RenderingMethod", ""))
        if method not in _METHODS:
            raise UsageError("a slab is rendered by MAXIMUM_IP, MINIMUM_IP or AVERAGE_IP")
        mode = _METHODS[method]
    return StateView(
        corner=_triple(ds, "MPRTopLeftHandCorner"),
        row=_triple(ds, "MPRViewWidthDirection"),
        column=_triple(ds, "MPRViewHeightDirection"),
        size=(_length(ds, "MPRViewHeight"), _length(ds, "MPRViewWidth")),
        slab=slab,
        mode=mode,
    )


def _rendered(ds: pydicom.Dataset) -> StateView:
    """PS3.3 C.11.30: the field of view in the system of the viewpoint, x to the right, y up, along the look."""
    position, target = _triple(ds, "ViewpointPosition"), _triple(ds, "ViewpointLookAtPoint")
    look = unit(np.subtract(target, position), "the look of the presentation state")
    right = unit(np.cross(look, _triple(ds, "ViewpointUpDirection")), "the upper edge of the presentation state")
    up = np.cross(right, look)
    field = numbers_of(ds, "RenderFieldOfView")
    if len(field) != 6:
        raise bad_value("RenderFieldOfView (0070,1606) is missing or is not six numbers", MISSING)
    left, width = min(field[:2]), abs(field[1] - field[0])
    top, height = max(field[2:4]), abs(field[3] - field[2])
    near, far = min(field[4:]), max(field[4:])
    projection = str(ds.get("RenderProjection", ""))
    if projection not in (_PERSPECTIVE, _ORTHOGRAPHIC):
        raise bad_value("RenderProjection (0070,1602) is neither ORTHOGRAPHIC nor PERSPECTIVE", MISSING)
    if not (0 < width < 1e6 and 0 < height < 1e6 and near < far < 1e6) or (projection == _PERSPECTIVE and near <= 0):
        raise bad_value("RenderFieldOfView (0070,1606) has no extent, or begins behind the viewpoint")
    corner = np.asarray(position) + look * near + right * left + up * top
    method = str(ds.get("RenderingMethod", "VOLUME_RENDERED"))
    if method != "VOLUME_RENDERED" and method not in _METHODS:
        raise bad_value("RenderingMethod (0070,120D) is unknown")
    (x, y, z), (a, b, c), (d, e, f) = corner.tolist(), right.tolist(), (-up).tolist()
    return StateView(
        corner=(x, y, z),
        row=(a, b, c),
        column=(d, e, f),
        size=(height, width),
        mode=_METHODS.get(method, "maximum"),
        shaded=method == "VOLUME_RENDERED",
        position=position,
        perspective=projection == _PERSPECTIVE,
        near_far=(near, far),
        step=_length(ds, "SamplingStepSize") if "SamplingStepSize" in ds else None,
    )


def _tables(ds: pydicom.Dataset, kind: Kind) -> tuple[Lut, Lut, Lut, Lut] | None:
    """Colour and opacity of the one classification component (PS3.3 C.11.27, C.11.32)."""
    streams = items_of(ds, "VolumeStreamSequence") if kind == "3d" else [ds]
    if len(streams) != 1:
        raise UsageError("presentation states of several volume streams are not rendered")
    if kind == "mpr" and str(ds.get("PixelPresentation", "MONOCHROME")) != "TRUE_COLOR":
        return None
    components = items_of(streams[0], "PresentationStateClassificationComponentSequence")
    if len(components) != 1 or str(components[0].get("ComponentType", "")) != "ONE_TO_RGBA":
        raise UsageError("presentation states of several classification components are not rendered")
    component = components[0]
    colours = str(component.get("RGBLUTTransferFunction", "TABLE"))
    opacity = str(component.get("AlphaLUTTransferFunction", "NONE"))
    if colours not in ("EQUAL_RGB", "TABLE") or opacity not in ("NONE", "IDENTITY", "TABLE"):
        raise bad_value("RGBLUTTransferFunction (0028,140F) or AlphaLUTTransferFunction (0028,1410) is unknown")
    alpha = _RAMP if opacity == "IDENTITY" else _ONE
    if opacity == "TABLE":
        # Its descriptor is that of the colours, when it has none of its own (PS3.3 C.7.9).
        if "AlphaPaletteColorLookupTableDescriptor" not in component:
            component.AlphaPaletteColorLookupTableDescriptor = component.RedPaletteColorLookupTableDescriptor
        alpha = palette_table(component, "AlphaPaletteColorLookupTable")
    red, green, blue = palette_of(component) if colours == "TABLE" else (_RAMP, _RAMP, _RAMP)
    return red, green, blue, alpha


def _shading(ds: pydicom.Dataset) -> Shading | None:
    """PS3.3 C.11.31; light comes from the viewer."""
    if "ShadingStyle" not in ds:
        return None
    ambient, diffuse, specular = (
        number_of(ds, f"{part}ReflectionIntensity", 0.0) for part in ("Ambient", "Diffuse", "Specular")
    )
    shininess = number_of(ds, "Shininess", 0.2)
    if not all(0 <= part <= 1 for part in (ambient, diffuse, specular, shininess)):
        raise bad_value("a reflection intensity or Shininess (0070,1706) is not from 0 to 1")
    return Shading(ambient, diffuse, specular, shininess * _SHININESS)


def _crops(ds: pydicom.Dataset, one: pydicom.Dataset) -> tuple[Crop, ...]:
    """Cropping of the whole state and of its input (PS3.3 C.11.23.5, C.11.24)."""
    wanted: list[int] = []
    for item, flag, keyword in (
        (ds, "GlobalCrop", "GlobalCroppingSpecificationIndex"),
        (one, "Crop", "CroppingSpecificationIndex"),
    ):
        if str(item.get(flag, "NO")) == "YES":
            wanted += [int(number) for number in numbers_of(item, keyword)]
    known = {int(item.CroppingSpecificationNumber): item for item in items_of(ds, "VolumeCroppingSequence")}
    if any(number not in known for number in wanted):
        raise bad_value("a cropping specification that is referred to is missing", MISSING)
    return tuple(_crop(known[number]) for number in dict.fromkeys(wanted))


def _crop(item: pydicom.Dataset) -> Crop:
    method = str(item.get("VolumeCroppingMethod", ""))
    if method == "BOUNDING_BOX":
        box = numbers_of(item, "BoundingBoxCrop")
        if len(box) != 6:
            raise bad_value("BoundingBoxCrop (0070,1303) is missing or is not six numbers", MISSING)
        return Crop(((box[0], box[1], box[2]), (box[3], box[4], box[5])), ())
    if method != "OBLIQUE_PLANES":
        raise UsageError("presentation states that are cropped by segments are not rendered")
    planes = []
    for one in items_of(item, "ObliqueCroppingPlaneSequence"):
        equation = numbers_of(one, "Plane")
        outside = unit(_triple(one, "PlaneNormal"), "PlaneNormal (0070,1306)")
        if len(equation) != 4 or not any(equation[:3]):
            raise bad_value("Plane (0070,1305) is missing or is no plane", MISSING)
        normal = np.asarray(equation[:3])
        distance = -equation[3] / float(np.linalg.norm(normal))
        if float(normal @ outside) < 0:
            distance = -distance
        x, y, z = (-outside).tolist()
        planes.append((x, y, z, -distance))
    return Crop(None, tuple(planes))
