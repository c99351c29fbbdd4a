"""Volumetric presentation states: what a planar MPR or a volume rendering shows (PS3.3 A.80.1, A.80.2, PS3.4 FF)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum.errors import HilumError, UsageError
from hilum.pixels.advanced_blending import registrations_of
from hilum.pixels.presentation_tables import voi_of
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of, numbers_of
from hilum.render.compositing import MAX_COMPONENTS, components_of, weights_of
from hilum.render.cropping import crops_of, length_of, triple_of
from hilum.render.geometry import Camera, Plane, Vector, unit
from hilum.render.presets import Shading

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Window
    from hilum.render.compositing import Component
    from hilum.render.cropping import Crop
    from hilum.render.fused import StreamWeights
    from hilum.render.renderer import Mode

__all__ = ["VOLUMETRIC_STATES", "VolumetricInput", "VolumetricState", "read_volumetric_state"]

Kind: TypeAlias = Literal["mpr", "3d"]
_ROOT: Final = "1.2.840.10008.5.1.4.1.1.11."
VOLUMETRIC_STATES: Final[dict[str, Kind]] = {
    _ROOT + "6": "mpr",
    _ROOT + "7": "mpr",
    _ROOT + "9": "3d",
    _ROOT + "10": "3d",
    _ROOT + "11": "3d",
}
"""SOP classes that are rendered: Grayscale and Compositing Planar MPR; Volume Rendering of one volume, of a segmented
one, of several."""
_METHODS: Final[dict[str, Mode]] = {"MAXIMUM_IP": "maximum", "MINIMUM_IP": "minimum", "AVERAGE_IP": "mean"}
_SHININESS: Final = 100.0
"""The power of a highlight that Shininess (0070,1706) of 1 stands for."""
_SETS: Final = "VolumetricPresentationInputSetSequence"
_PERSPECTIVE, _ORTHOGRAPHIC = "PERSPECTIVE", "ORTHOGRAPHIC"


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
    target: Vector | None = None
    """What it looks at."""
    perspective: bool = False
    near_far: tuple[float, float] = (0.0, 0.0)
    """Distances from the viewpoint between which the volume is seen."""
    step: float | None = None
    """Distance of samples along a ray."""

    @property
    def is_in_colour(self) -> bool:
        """Whether classified colours are shown: planes, volume rendering; projections are of values."""
        return self.shaded or self.position is None

    def turned(
        self, look: npt.ArrayLike, up: npt.ArrayLike, target: Vector | None, position: Vector | None
    ) -> StateView:
        """Look elsewhere at a rectangle of the same size, from the same distance; or at a point, from a viewpoint."""
        ahead = unit(look, "the look")
        right = unit(np.cross(ahead, np.asarray(up, np.float64)), "the upper edge of the view")
        pivot = np.asarray(self.target or self._middle)
        before = np.stack([self.row, self.column, np.cross(self.row, self.column)])
        turn = np.stack([right, np.cross(ahead, right), ahead], axis=1) @ before
        centre = pivot if target is None else np.asarray(target)

        def moved(point: Vector) -> npt.NDArray[np.float64]:
            found: npt.NDArray[np.float64] = centre + turn @ (np.asarray(point) - pivot)
            return found

        corner, eye = moved(self.corner), None if self.position is None else moved(self.position)
        if eye is not None and position is not None:
            corner, eye = corner + position - eye, np.asarray(position)
        return replace(
            self,
            corner=_vector(corner),
            row=_vector(right),
            column=_vector(np.cross(ahead, right)),
            position=None if eye is None else _vector(eye),
            target=_vector(centre),
        )

    @property
    def _middle(self) -> Vector:
        half = np.multiply(self.row, self.size[1] / 2) + np.multiply(self.column, self.size[0] / 2)
        return _vector(np.asarray(self.corner) + half)


@dataclass(frozen=True, slots=True)
class VolumetricInput:
    """One item of a Volumetric Presentation State Input Sequence (0070,1201), with its input set."""

    number: int
    references: tuple[str, ...]
    """SOP Instance UIDs of the images of the volume."""
    registrations: tuple[str, ...]
    """SOP Instance UIDs of the registration to the frame of reference of the state."""
    window: Window | None
    """None: identity."""
    crops: tuple[Crop, ...]


@dataclass(frozen=True, slots=True)
class VolumetricState:
    """What a volumetric presentation state says; lengths in mm, LPS."""

    kind: Kind
    frame_of_reference_uid: str
    inputs: tuple[VolumetricInput, ...]
    """Several only in colour."""
    inverse: bool
    """Of a grey image: the least value is white (Presentation LUT Shape INVERSE)."""
    view: StateView
    streams: tuple[tuple[Component, ...], ...]
    """Colours of inputs; none: a grey image. Components of one stream lie over each other, the last one on top; of
    planes each is a stream."""
    weights: tuple[StreamWeights, ...]
    """How streams are composited; one less."""
    shading: Shading | None
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

    def input(self, number: int) -> VolumetricInput:
        """Give an input by its number (0070,1207)."""
        return next(one for one in self.inputs if one.number == number)

    def clips(self, one: VolumetricInput, affine: npt.NDArray[np.float64]) -> list[tuple[float, float, float, float]]:
        """Clipping planes of all cropping of an input, and of the near and far ends of the view."""
        found = [plane for crop in one.crops for plane in crop.clips(affine)]
        if self.view.position is not None:
            x, y, z = np.cross(self.view.row, self.view.column).tolist()
            at = float(np.dot((x, y, z), self.view.position))
            near, far = self.view.near_far
            found += [(x, y, z, at + near), (-x, -y, -z, -(at + far))]
        return found


def _vector(array: npt.NDArray[np.float64]) -> Vector:
    x, y, z = array.tolist()
    return x, y, z


def read_volumetric_state(dataset: pydicom.Dataset) -> VolumetricState:
    """Read and check a volumetric presentation state.

    Raises
    ------
    UsageError
        No volumetric presentation state, or one that is not rendered: projections of several volumes, components of two
        inputs, a VOI table, a slab that is cropped.
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
    sets = {str(one.get("VolumetricPresentationInputSetUID", "")): one for one in items_of(ds, _SETS)}
    inputs = tuple(_input(ds, one, sets) for one in items_of(ds, "VolumetricPresentationStateInputSequence"))
    if not 1 <= len(inputs) <= MAX_COMPONENTS or len({one.number for one in inputs}) < len(inputs):
        raise bad_value(
            "VolumetricPresentationStateInputSequence (0070,1201) has no inputs, too many, or two of one number",
            MISSING,
        )
    view = _planar(ds) if kind == "mpr" else _rendered(ds)
    streams = _streams(ds, kind)
    if len(inputs) > 1 and not (streams and view.is_in_colour):
        raise UsageError("several volumes are shown in colour only, by Compositing Planar MPR or volume rendering")
    components = [component for stream in streams for component in stream]
    if len(components) > MAX_COMPONENTS:
        raise UsageError(f"presentation states of more than {MAX_COMPONENTS} components are not rendered")
    if any(one.input not in {known.number for known in inputs} for one in components):
        raise bad_value("VolumetricPresentationInputIndex (0070,1804) is the number of no input")
    if view.slab and any(one.crops for one in inputs):
        raise UsageError("a slab of a cropped volume is not rendered")
    return VolumetricState(
        kind=kind,
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        inputs=inputs,
        inverse=str(ds.get("PresentationLUTShape", "")) == "INVERSE",
        streams=streams,
        weights=weights_of(ds, len(streams)) if streams else (),
        shading=_shading(ds) if kind == "3d" else None,
        annotated=any(items_of(ds, k) for k in ("GraphicAnnotationSequence", "VolumetricAnnotationSequence")),
        view=view,
    )


def _input(ds: pydicom.Dataset, item: pydicom.Dataset, sets: dict[str, pydicom.Dataset]) -> VolumetricInput:
    """PS3.3 C.11.23."""
    source = sets.get(str(item.get("VolumetricPresentationInputSetUID", "")))
    if source is None:
        raise bad_value("VolumetricPresentationInputSetUID (0070,1209) names no input set", MISSING)
    references = tuple(str(one.ReferencedSOPInstanceUID) for one in items_of(source, "ReferencedImageSequence"))
    if not references:
        raise bad_value("ReferencedImageSequence (0008,1140) of the volume", MISSING)
    window = None
    if "WindowCenter" in item or "VOILUTSequence" in item:
        window = voi_of(item).window
        if window is None:
            raise UsageError("presentation states with a table for a window are not rendered")
    number = int(number_of(item, "VolumetricPresentationInputNumber", 1.0))
    return VolumetricInput(number, references, registrations_of(source), window, crops_of(ds, item))


def _streams(ds: pydicom.Dataset, kind: Kind) -> tuple[tuple[Component, ...], ...]:
    """Colours of planes (PS3.3 C.11.27), or of the streams of a volume rendering (C.11.32)."""
    if kind == "mpr":
        in_colour = str(ds.get("PixelPresentation", "MONOCHROME")) == "TRUE_COLOR"
        return tuple((component,) for component in components_of(ds)) if in_colour else ()
    streams = items_of(ds, "VolumeStreamSequence")
    if not streams:
        raise bad_value("VolumeStreamSequence (0070,1A08) of the volume rendering", MISSING)
    return tuple(components_of(stream) for stream in streams)


def _planar(ds: pydicom.Dataset) -> StateView:
    """PS3.3 C.11.26."""
    if str(ds.get("MultiPlanarReconstructionStyle", "PLANAR")) != "PLANAR":
        raise UsageError("presentation states of curved planes are not rendered")
    slab = 0.0
    mode: Mode = "mean"
    if str(ds.get("MPRThicknessType", "THIN")) == "SLAB":
        slab = length_of(ds, "MPRSlabThickness")
        method = str(ds.get("RenderingMethod", ""))
        if method not in _METHODS:
            raise UsageError("a slab is rendered by MAXIMUM_IP, MINIMUM_IP or AVERAGE_IP")
        mode = _METHODS[method]
    return StateView(
        corner=triple_of(ds, "MPRTopLeftHandCorner"),
        row=triple_of(ds, "MPRViewWidthDirection"),
        column=triple_of(ds, "MPRViewHeightDirection"),
        size=(length_of(ds, "MPRViewHeight"), length_of(ds, "MPRViewWidth")),
        slab=slab,
        mode=mode,
    )


def _rendered(ds: pydicom.Dataset) -> StateView:
    """PS3.3 C.11.30: the field of view in the system of the viewpoint, x to the right, y up, along the look."""
    position, target = triple_of(ds, "ViewpointPosition"), triple_of(ds, "ViewpointLookAtPoint")
    look = unit(np.subtract(target, position), "the look of the presentation state")
    right = unit(np.cross(look, triple_of(ds, "ViewpointUpDirection")), "the upper edge of the presentation state")
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
    return StateView(
        corner=_vector(corner),
        row=_vector(right),
        column=_vector(-up),
        size=(height, width),
        mode=_METHODS.get(method, "maximum"),
        shaded=method == "VOLUME_RENDERED",
        position=position,
        target=target,
        perspective=projection == _PERSPECTIVE,
        near_far=(near, far),
        step=length_of(ds, "SamplingStepSize") if "SamplingStepSize" in ds else None,
    )


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
