"""Volumetric presentation states over HTTP: PS3.18 B.35, and what a state says against what the archive computes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import highdicom as hd
import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from presentation_states import registration, renamed
from pydicom.uid import generate_uid
from scipy import ndimage
from segmentations import describe, object_attributes
from volumetric_states import colour, item, lay, look, volumetric_state

from hilum.render.fused import FusedVolume, MaskCrop, StreamWeights, render_fused
from hilum.render.geometry import Camera, Plane
from hilum.render.presets import Shading, TransferFunction
from hilum.render.renderer import Renderer
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from pydicom.dataset import Dataset
    from tests.interop.services.conftest import LiveServer

    import hilum

PALETTE = np.linspace((0, 0, 0, 0), (255, 200, 90, 128), 64).round().astype(np.uint8)


class Scene:
    """The largest CT of the sample studies, its grid, and a server that has it."""

    def __init__(self, server: LiveServer, series: hilum.Series) -> None:
        self.server, self.series = server, series
        self.volume = series.volume()
        self.affine = np.asarray(self.volume.affine)
        stored, fill = self.volume.to_numpy(), self.volume.stack.fill
        slope, intercept = self.volume.slope, self.volume.intercept
        self.renderer = Renderer(from_array(stored, affine=self.affine, slope=slope, intercept=intercept, fill=fill))
        self.spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        self.client = DICOMwebClient(server.dicomweb)

    def state(self, number: int) -> Dataset:
        images = [(str(one.sop_class_uid), str(one.sop_instance_uid)) for one in self.series.instances]
        frame_of_reference = self.volume.stack.frame_of_reference_uid
        return volumetric_state(number, images, self.series.study_instance_uid, frame_of_reference)

    def point(self, i: float, j: float, k: float) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (self.affine @ [i, j, k, 1])[:3]
        return found

    def get(self, state: Dataset, resource: str, accept: str = "image/png", **params: Any) -> httpx.Response:
        """Store a state by STOW-RS and ask for it."""
        self.client.store_instances([state])
        place = f"studies/{state.StudyInstanceUID}/series/{state.SeriesInstanceUID}/instances/{state.SOPInstanceUID}"
        url = f"{self.server.dicomweb}/{place}/{resource}"
        return httpx.get(url, params=params, headers={"Accept": accept}, timeout=60)

    def axial(self, number: int = 6) -> tuple[Dataset, int]:
        """State of the middle slice as it is stored."""
        k = self.volume.shape[0] // 2
        rows, columns = self.volume.shape[1:]
        across, down = self.affine[:3, 0] / self.spacing[0], self.affine[:3, 1] / self.spacing[1]
        width, height = float(columns * self.spacing[0]), float(rows * self.spacing[1])
        return lay(self.state(number), self.point(-0.5, -0.5, k), across, down, width, height), k

    def front(self, number: int = 9, **options: Any) -> tuple[Dataset, Camera]:
        """A volume rendering from the front, and its camera."""
        low, high = self.renderer.extent()
        middle, size = (low + high) / 2, high - low
        position = middle - [0, size[1], 0]
        field = [-size[0] / 2, size[0] / 2, size[2] / 2, -size[2] / 2, 0.0, 2 * float(size[1])]
        state = look(self.state(number), position, middle, (0, 0, 1), field, **options)
        state.SamplingStepSize = 1.0
        shape = (96, 128)
        spacing = float(size[2]) / shape[0], float(size[0]) / shape[1]
        x, y, z = np.add(position, [-size[0] / 2 + spacing[1] / 2, 0, size[2] / 2 - spacing[0] / 2]).tolist()
        return state, Camera(Plane((x, y, z), (1, 0, 0), (0, 0, -1), spacing, shape), None, 1.0)


@pytest.fixture(scope="module")
def scene(live_server: LiveServer, largest_ct: hilum.Series) -> Scene:
    return Scene(live_server, largest_ct)


def pixels(answer: httpx.Response) -> npt.NDArray[np.uint8]:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def linear(values: npt.NDArray[Any], center: float = 40, width: float = 400) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.2.1.2, from 0 to 255."""
    found: npt.NDArray[np.float64] = (((values - (center - 0.5)) / (width - 1) + 0.5) * 255).clip(0, 255)
    return found


def viewport(scene: Scene) -> str:
    rows, columns = scene.volume.shape[1:]
    return f"{columns},{rows}"


def test_a_plane_through_a_slice_is_that_slice(scene: Scene) -> None:
    state, k = scene.axial()
    expected = linear(scene.volume.values()[k])
    shown = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    assert np.abs(shown - expected).max() <= 1
    state, _ = scene.axial()
    state.PresentationLUTShape = "INVERSE"
    inverse = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    assert np.array_equal(inverse, 255 - shown)


def test_a_slab_by_its_method(scene: Scene) -> None:
    state, k = scene.axial()
    state.MPRThicknessType, state.RenderingMethod = "SLAB", "MAXIMUM_IP"
    state.MPRSlabThickness = 2 * float(scene.spacing[2])
    shown = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    count = round(2 * scene.spacing[2] / scene.spacing.min()) + 1
    below, here, above = scene.volume.values()[k - 1 : k + 2].astype(np.float64)
    samples = [here + abs(t) * ((above if t > 0 else below) - here) for t in np.linspace(-1, 1, count)]
    assert np.abs(shown - linear(np.max(samples, axis=0))).max() <= 1.01


def test_a_cropped_plane(scene: Scene) -> None:
    """A box by two corners, and a plane that keeps what is not on the side of its normal."""
    state, k = scene.axial()
    rows, columns = scene.volume.shape[1:]
    low, high = scene.point(3, 4, k - 1), scene.point(columns / 2, rows / 2, k + 1)
    normal = scene.affine[:3, 0] / scene.spacing[0]
    state.VolumeCroppingSequence = [
        item(CroppingSpecificationNumber=1, VolumeCroppingMethod="BOUNDING_BOX", BoundingBoxCrop=[*high, *low]),
        item(
            CroppingSpecificationNumber=2, VolumeCroppingMethod="OBLIQUE_PLANES",
            ObliqueCroppingPlaneSequence=[
                item(Plane=[*(-normal), float(normal @ scene.point(10, 0, 0))], PlaneNormal=[*(-normal)])
            ],
        ),
    ]  # fmt: skip
    state.GlobalCrop, state.GlobalCroppingSpecificationIndex = "YES", 1
    one = state.VolumetricPresentationStateInputSequence[0]
    one.Crop, one.CroppingSpecificationIndex = "YES", 2
    shown = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    expected = linear(scene.volume.values()[k])
    kept = np.zeros((rows, columns), bool)
    kept[4 : rows // 2 + 1, 10 : columns // 2 + 1] = True
    assert np.abs(shown - np.where(kept, expected, 0)).max() <= 1


def test_a_plane_in_colour(scene: Scene) -> None:
    state, k = scene.axial(7)
    shown = pixels(scene.get(colour(state, PALETTE, streams=False), "renderedmpr", viewport=viewport(scene)))
    place = linear(scene.volume.values()[k]) / 255 * (len(PALETTE) - 1)
    expected = np.stack([np.interp(place, np.arange(len(PALETTE)), PALETTE[:, c]) for c in range(3)], -1)
    assert shown.shape == (*scene.volume.shape[1:], 3)
    assert np.abs(shown - expected).max() <= 1


ELSEWHERE = "1.2.826.0.1.3680043.10.1561.9.74"
AFFINE = np.array([[0, 1.2, 0, 40], [-0.9, 0.1, 0, -15], [0, 0, 1.1, 7], [0, 0, 0, 1]])


def registered(scene: Scene, state: Dataset, sop_class: str = "1.2.840.10008.5.1.4.1.1.66.1") -> Dataset:
    """The state in another frame of reference, to which an affine registration brings its volume."""
    own = scene.volume.stack.frame_of_reference_uid
    reg = renamed(registration([*AFFINE.ravel().tolist()], ELSEWHERE, own), sop_class)
    reg.StudyInstanceUID = state.StudyInstanceUID
    scene.client.store_instances([reg])
    state.FrameOfReferenceUID = ELSEWHERE
    for one in state.VolumetricPresentationInputSetSequence:
        one.ReferencedSpatialRegistrationSequence = [
            item(ReferencedSOPClassUID=reg.SOPClassUID, ReferencedSOPInstanceUID=reg.SOPInstanceUID)
        ]
    return state


def test_an_affine_registration_moves_the_volume(scene: Scene) -> None:
    """A plane of the registered frame of reference: the volume resampled where the matrix puts it (C.11.23.3)."""
    stored, fill = scene.volume.to_numpy(), scene.volume.stack.fill
    layout = {"slope": scene.volume.slope, "intercept": scene.volume.intercept, "fill": fill}
    there = Renderer(from_array(stored, affine=AFFINE @ scene.affine, **layout))
    middle = np.mean(there.extent(), axis=0)
    across, down, size = np.array([0.8, 0.6, 0.0]), np.array([-0.48, 0.64, -0.6]), 120.0
    corner = middle - across * size / 2 - down * size / 2
    state = registered(scene, lay(scene.state(6), corner, across, down, size, size))
    shown = pixels(scene.get(state, "renderedmpr", viewport="120,120"))
    x, y, z = (corner + (across + down) / 2).tolist()
    plane = Plane((x, y, z), tuple(across), tuple(down), (1.0, 1.0), (120, 120))
    points = np.stack([plane.origin + r * down + c * across for r in range(120) for c in range(120)])
    index = np.linalg.solve(AFFINE @ scene.affine, np.concatenate([points, np.ones((len(points), 1))], 1).T)[:3]
    values = ndimage.map_coordinates(stored.astype(float), index[::-1], order=1, mode="constant", cval=fill)
    expected = linear(values.reshape(120, 120) * scene.volume.slope + scene.volume.intercept)
    inside = ((index >= 0) & (index <= np.array(stored.shape)[::-1, None] - 1)).all(0).reshape(120, 120)
    assert inside.mean() > 0.15
    assert np.abs(shown - expected)[inside].max() <= 1.5
    deep, _ = scene.front(method="MAXIMUM_IP")
    far = registered(scene, colour(deep, PALETTE))
    assert pixels(scene.get(far, "rendered3d", viewport="64,48")).shape == (48, 64)


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.3", 400, "Deformable"),
        ("1.2.840.10008.5.1.4.1.1.88.11", 400, "0070,0404"),
        ("not here", 404, "registration"),
        ("another frame", 409, "does not relate"),
    ],
)
def test_registrations_that_cannot_be_applied(scene: Scene, change: str, status: int, text: str) -> None:
    state = scene.axial()[0]
    if change.startswith("1.2"):
        registered(scene, state, change)
    else:
        registered(scene, state)
    one = state.VolumetricPresentationInputSetSequence[0]
    if change == "not here":
        one.ReferencedSpatialRegistrationSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    elif change == "another frame":
        state.FrameOfReferenceUID = "1.2.3.4"
    answer = scene.get(state, "renderedmpr")
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


COLD = np.linspace((0, 10, 60, 0), (20, 90, 255, 255), 256).round().astype(np.uint8)


def composited(scene: Scene, tables: Sequence[npt.NDArray[np.uint8]]) -> tuple[Dataset, int]:
    """The middle slice, of as many inputs as palettes: the same volume in different windows."""
    state, k = scene.axial(7)
    (source,), components, inputs = state.VolumetricPresentationInputSetSequence, [], []
    for number, palette in enumerate(tables, 1):
        component = colour(state, palette, streams=False).PresentationStateClassificationComponentSequence[0]
        component.ComponentInputSequence = [item(VolumetricPresentationInputIndex=number)]
        components.append(component)
        inputs.append(
            item(
                VolumetricPresentationInputNumber=number, Crop="NO", WindowCenter=40 * number, WindowWidth=400,
                VolumetricPresentationInputSetUID=source.VolumetricPresentationInputSetUID, VOILUTFunction="LINEAR",
            )
        )  # fmt: skip
    state.PresentationStateClassificationComponentSequence = components
    state.VolumetricPresentationStateInputSequence = inputs
    state.PresentationStateCompositorComponentSequence = [weighting(16) for _ in tables[1:]]
    return state, k


def weighting(levels: int) -> Dataset:
    """Weights of both opacities: the second input over the first one, as far as that is opaque."""
    first, second = np.mgrid[0:levels, 0:levels] / (levels - 1)
    weights = [first * (1 - second), second]
    return item(
        WeightingTransferFunctionSequence=[
            item(LUTDescriptor=[levels * levels, 0, 8], LUTData=np.rint(w * 255).astype(np.uint8).tobytes())
            for w in weights
        ]
    )


def test_several_inputs_are_composited(scene: Scene) -> None:
    """PS3.4 FF.2.3.3.2, pixel by pixel: half of the index from each opacity, one minus the next one after the first."""
    tables = [PALETTE, COLD, PALETTE[::-1].copy()]
    state, k = composited(scene, tables)
    shown = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    values = scene.volume.values()[k]
    layers = []
    for number, palette in enumerate(tables, 1):
        place = linear(values, 40 * number) / 255 * (len(palette) - 1)
        layers.append(np.stack([np.interp(place, np.arange(len(palette)), palette[:, c]) / 255 for c in range(4)], -1))
    expected = layers[0][..., :3]
    alpha = layers[0][..., 3]
    for number, layer in enumerate(layers[1:]):
        before = alpha if number == 0 else 1 - layer[..., 3]
        first, second = (np.floor(np.rint(a * 65535) / 4096) / 15 for a in (before, layer[..., 3]))
        weights = [np.rint(w * 255) / 255 for w in (first * (1 - second), second)]
        expected = np.clip(expected * weights[0][..., None] + layer[..., :3] * weights[1][..., None], 0, 1)
    off = np.abs(shown - expected * 255).max(-1)
    assert np.mean(off <= 1.5) > 0.995  # where an opacity lies between two steps of 16, either may be taken


def test_composites_that_cannot_be(scene: Scene) -> None:
    def answer_of(number: int = 7, **attributes: Any) -> httpx.Response:
        state = change(composited(scene, [PALETTE, COLD])[0], **attributes)
        state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.11.{number}"
        return scene.get(state, "renderedmpr")

    missing = answer_of(PresentationStateCompositorComponentSequence=[])
    assert (missing.status_code, "0070,1805" in missing.text) == (422, True), missing.text
    odd = answer_of(PresentationStateCompositorComponentSequence=[weighting(3)])
    assert (odd.status_code, "0070,1806" in odd.text) == (422, True), odd.text
    none = answer_of(VolumetricPresentationStateInputSequence=[])
    assert (none.status_code, "0070,1201" in none.text) == (422, True), none.text
    grey = answer_of(6, PixelPresentation="MONOCHROME")
    assert (grey.status_code, "several volumes" in grey.text) == (400, True), grey.text
    state = composited(scene, [PALETTE, COLD])[0]
    state.PresentationStateClassificationComponentSequence[0].ComponentType = "TWO_TO_RGBA"
    two = scene.get(state, "renderedmpr")
    assert (two.status_code, "TWO_TO_RGBA" in two.text) == (400, True), two.text
    state = composited(scene, [PALETTE, COLD])[0]
    state.PresentationStateClassificationComponentSequence[0].ComponentInputSequence = [
        item(VolumetricPresentationInputIndex=9)
    ]
    unknown = scene.get(state, "renderedmpr")
    assert (unknown.status_code, "0070,1804" in unknown.text) == (422, True), unknown.text


def test_b35_volume_rendering(scene: Scene) -> None:
    """PS3.18 B.35, which spells the resource with a capital D; the same pixels as by the archive's own renderer."""
    state, camera = scene.front()
    state = colour(state, PALETTE)
    state.ShadingStyle, state.AmbientReflectionIntensity, state.DiffuseReflectionIntensity = "DOUBLESIDED", 0.3, 0.6
    state.SpecularReflectionIntensity, state.Shininess, state.LightDirection = 0.1, 0.2, [0.0, 1.0, 0.0]
    answer = scene.get(state, "rendered3D", viewport="128,96")
    values = 39.5 + (np.linspace(0, 1, len(PALETTE)) - 0.5) * 399
    table = PALETTE / 255
    function = TransferFunction(
        tuple((v, *rgb) for v, rgb in zip(values.tolist(), table[:, :3].tolist(), strict=True)),
        tuple(zip(values.tolist(), table[:, 3].tolist(), strict=True)),
    )
    expected = scene.renderer.render(camera, function, shading=Shading(0.3, 0.6, 0.1, 20.0))
    shown = pixels(answer)
    assert shown.std() > 10
    assert np.mean(np.abs(shown.astype(int) - expected) <= 2) > 0.99
    still = scene.get(state, "rendered3D", "image/jpeg")
    assert still.status_code == 200
    assert still.headers["content-type"] == "image/jpeg"
    assert scene.get(state, "rendered3D", renderedvolumetricmetadata="yes").status_code == 400


def split(scene: Scene, state: Dataset, windows: Sequence[float], palettes: Sequence[npt.NDArray[np.uint8]]) -> Dataset:
    """As many inputs as windows, each an input set of its own with the same volume, in a stream of its own."""
    (source,), (template,) = state.VolumetricPresentationInputSetSequence, colour(state, PALETTE).VolumeStreamSequence
    sets, inputs, streams = [], [], []
    for number, (center, palette) in enumerate(zip(windows, palettes, strict=True), 1):
        uid = generate_uid()
        sets.append(
            item(
                VolumetricPresentationInputSetUID=uid, PresentationInputType="VOLUME",
                ReferencedImageSequence=source.ReferencedImageSequence,
            )
        )  # fmt: skip
        inputs.append(
            item(
                VolumetricPresentationInputNumber=number, VolumetricPresentationInputSetUID=uid, Crop="NO",
                WindowCenter=center, WindowWidth=400, VOILUTFunction="LINEAR_EXACT",
            )
        )  # fmt: skip
        component = colour(state, palette, streams=False).PresentationStateClassificationComponentSequence[0]
        component.ComponentInputSequence = [item(VolumetricPresentationInputIndex=number)]
        streams.append(
            item(
                VolumetricPresentationInputSetUID=uid,
                PresentationStateClassificationComponentSequence=[component],
            )
        )
    del state.PresentationStateClassificationComponentSequence, template
    state.VolumetricPresentationInputSetSequence, state.VolumetricPresentationStateInputSequence = sets, inputs
    state.VolumeStreamSequence = streams
    state.PresentationStateCompositorComponentSequence = [weighting(16) for _ in windows[1:]]
    return state


def classes(state: Dataset, number: int) -> Dataset:
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.11.{number}"
    return state


def function_of(center: float, palette: npt.NDArray[np.uint8]) -> TransferFunction:
    """Window of 400 and a palette as a transfer function, of one step."""
    values = (center + (np.linspace(0, 1, len(palette)) - 0.5) * 400).tolist()
    table = (palette / 255).tolist()
    return TransferFunction(
        tuple((v, *row[:3]) for v, row in zip(values, table, strict=True)),
        tuple((v, row[3]) for v, row in zip(values, table, strict=True)),
    )


def test_several_volumes_in_one_rendering(scene: Scene) -> None:
    """Multiple Volume Rendering (PS3.4 FF.2.1.2.1): two volumes, one of them where an affine registration puts it."""
    state, camera = scene.front()
    state = classes(split(scene, state, [40.0, -200.0], [PALETTE, COLD]), 11)
    registered(scene, state)
    own = scene.volume.stack.frame_of_reference_uid
    still = registration([*np.eye(4).ravel().tolist()], ELSEWHERE, own)
    still.StudyInstanceUID = state.StudyInstanceUID
    scene.client.store_instances([still])
    first = state.VolumetricPresentationInputSetSequence[0]
    first.ReferencedSpatialRegistrationSequence = [
        item(ReferencedSOPClassUID=still.SOPClassUID, ReferencedSOPInstanceUID=still.SOPInstanceUID)
    ]
    shown = pixels(scene.get(state, "rendered3d", viewport="128,96"))
    layout = {"slope": scene.volume.slope, "intercept": scene.volume.intercept, "fill": scene.volume.stack.fill}
    moved = Renderer(from_array(scene.volume.to_numpy(), affine=AFFINE @ scene.affine, **layout))
    first_opacity, second_opacity = np.mgrid[0:16, 0:16] / 15
    tables = [np.rint(w * 255).ravel() / 255 for w in (first_opacity * (1 - second_opacity), second_opacity)]
    volumes = [
        FusedVolume(scene.renderer, function_of(40.0, PALETTE)),
        FusedVolume(moved, function_of(-200.0, COLD), stream=1),
    ]
    near, far = float(camera.plane.origin[1]), float(scene.renderer.extent()[1][1])
    clip = [(0.0, 1.0, 0.0, near), (0.0, -1.0, 0.0, -(near + 2 * (far - float(scene.renderer.extent()[0][1]))))]
    volumes = [replace(one, clip=clip) for one in volumes]
    expected = render_fused(volumes, camera, weights=[StreamWeights(*tables)])
    assert shown.std() > 10
    assert np.mean(np.abs(shown.astype(int) - expected) <= 2) > 0.99
    alone = render_fused(volumes[:1], camera)
    assert np.abs(alone.astype(int) - expected).max() > 30


def segmented(scene: Scene, frame_of_reference: str = "") -> tuple[Dataset, npt.NDArray[np.bool_]]:
    """A segmentation of the volume: a box of it; and where it is."""
    frames = scene.volume.frames
    slices = [frames.records[frames.objects[at]].sop_instance_uid for at in scene.volume.stack.frames[0]]
    by_uid = {one.sop_instance_uid: one for one in scene.series.instances}
    datasets = [by_uid[uid].dataset() for uid in slices]
    for one in datasets:
        one.FrameOfReferenceUID = frame_of_reference or scene.volume.stack.frame_of_reference_uid
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID", "StudyDate"):
            setattr(one, keyword, one.get(keyword) or "")
        one.ReferringPhysicianName = ""
    inside = np.zeros(scene.volume.shape, bool)
    rows, columns = inside.shape[1:]
    inside[:, rows // 3 : 2 * rows // 3, columns // 4 : columns // 2] = True
    made = hd.seg.Segmentation(
        source_images=datasets, pixel_array=inside.astype(np.uint8), segmentation_type="BINARY",
        segment_descriptions=[describe(1)], **object_attributes(),
    )  # fmt: skip
    scene.client.store_instances([made])
    return made, inside


def cropped_by(segmentation: Dataset, method: str) -> Dataset:
    return item(
        CroppingSpecificationNumber=1, VolumeCroppingMethod=method,
        ReferencedImageSequence=[
            item(
                ReferencedSOPClassUID=segmentation.SOPClassUID, ReferencedSOPInstanceUID=segmentation.SOPInstanceUID,
                ReferencedSegmentNumber=1,
            )
        ],
    )  # fmt: skip


def test_planes_and_volumes_are_cropped_by_segments(scene: Scene) -> None:
    """PS3.3 C.11.24.1 INCLUDE_SEG and EXCLUDE_SEG; Segmented Volume Rendering: a segment in colours of its own."""
    segmentation, inside = segmented(scene)
    for method in ("INCLUDE_SEG", "EXCLUDE_SEG"):
        state, k = scene.axial()
        state.VolumeCroppingSequence = [cropped_by(segmentation, method)]
        state.GlobalCrop, state.GlobalCroppingSpecificationIndex = "YES", 1
        shown = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
        kept = inside[k] == (method == "INCLUDE_SEG")
        assert np.abs(shown - np.where(kept, linear(scene.volume.values()[k]), 0)).max() <= 1
    state, camera = scene.front()
    state = classes(split(scene, state, [40.0, -200.0], [PALETTE, COLD]), 10)
    one, two = state.VolumeStreamSequence
    one.PresentationStateClassificationComponentSequence += two.PresentationStateClassificationComponentSequence
    state.VolumeStreamSequence, state.PresentationStateCompositorComponentSequence = [one], []
    state.VolumeCroppingSequence = [cropped_by(segmentation, "INCLUDE_SEG")]
    second = state.VolumetricPresentationStateInputSequence[1]
    second.Crop, second.CroppingSpecificationIndex = "YES", 1
    shown = pixels(scene.get(state, "rendered3d", viewport="128,96"))
    mask = Renderer(from_array(inside.astype(np.uint8), affine=scene.affine))
    volumes = [
        FusedVolume(scene.renderer, function_of(40.0, PALETTE)),
        FusedVolume(scene.renderer, function_of(-200.0, COLD), crops=[MaskCrop(mask)]),
    ]
    expected = render_fused(volumes, camera)
    assert np.mean(np.abs(shown.astype(int) - expected) <= 2) > 0.99
    assert np.abs(render_fused(volumes[:1], camera).astype(int) - expected).max() > 30
    elsewhere, _ = segmented(scene, "1.2.3.4.5")
    state.VolumeCroppingSequence = [cropped_by(elsewhere, "INCLUDE_SEG")]
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.75"
    refused = scene.get(state, "rendered3d")
    assert (refused.status_code, "another frame of reference" in refused.text) == (409, True), refused.text


def test_several_volumes_that_cannot_be(scene: Scene) -> None:
    def answer_of(change: str) -> httpx.Response:
        state = classes(split(scene, scene.front()[0], [40.0, -200.0], [PALETTE, COLD]), 11)
        if change == "weights":
            state.PresentationStateCompositorComponentSequence = []
        elif change == "projection":
            state.RenderingMethod = "MAXIMUM_IP"
        else:
            state.VolumeCroppingSequence = [cropped_by(state, "EXCLUDE_SEG")]
            state.VolumeCroppingSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
            state.GlobalCrop, state.GlobalCroppingSpecificationIndex = "YES", 1
        return scene.get(state, "rendered3d")

    missing, flat, absent = (answer_of(change) for change in ("weights", "projection", "segments"))
    assert (missing.status_code, "0070,1805" in missing.text) == (422, True), missing.text
    assert (flat.status_code, "several volumes" in flat.text) == (400, True), flat.text
    assert (absent.status_code, "segmentation" in absent.text) == (404, True), absent.text


def test_a_state_is_seen_from_elsewhere(scene: Scene) -> None:
    """PS3.18 Table 8.3.5-3: orientation and viewpoints go with volumetric presentation states."""
    state, _ = scene.axial()
    plain = pixels(scene.get(state, "renderedmpr", viewport=viewport(scene)))
    where = f"{scene.server.dicomweb}/studies/{state.StudyInstanceUID}/series/{state.SeriesInstanceUID}"
    where += f"/instances/{state.SOPInstanceUID}/renderedmpr"

    def get(**params: str) -> npt.NDArray[np.uint8]:
        return pixels(httpx.get(where, params=params, headers={"Accept": "image/png"}, timeout=60))

    if np.allclose(scene.affine[:3, 0] / scene.spacing[0], (1, 0, 0)):
        np.testing.assert_array_equal(get(orientation="f", viewport=viewport(scene)), plain)
    rows, columns = scene.volume.shape[1:]
    middle = scene.point((columns - 1) / 2, (rows - 1) / 2, scene.volume.shape[0] // 2)
    target = np.add(middle, (5.0, -8.0, 0.0))
    size = state.MPRViewHeight, state.MPRViewWidth
    shown = get(
        viewpointposition=",".join(map(str, target - [0, 100, 0])), viewpointlookat=",".join(map(str, target)),
        viewpointup="0,0,1", viewport="80,60",
    )  # fmt: skip
    spacing = size[0] / 60, size[1] / 80
    x, y, z = np.add(target, (-size[1] / 2 + spacing[1] / 2, 0, size[0] / 2 - spacing[0] / 2)).tolist()
    expected = scene.renderer.mpr(Plane((x, y, z), (1, 0, 0), (0, 0, -1), spacing, (60, 80))).window(40, 400)
    assert np.mean(np.abs(shown.astype(int) - expected) <= 1) > 0.99
    assert expected.std() > 5
    solid, camera = scene.front()
    solid = colour(solid, PALETTE)
    front = pixels(scene.get(solid, "rendered3d", viewport="128,96"))
    place = where.replace(str(state.SeriesInstanceUID), str(solid.SeriesInstanceUID)).replace(
        f"{state.SOPInstanceUID}/renderedmpr", f"{solid.SOPInstanceUID}/rendered3d"
    )
    for params in (
        {"orientation": "a"},
        {
            "viewpointposition": ",".join(map(str, solid.ViewpointPosition)),
            "viewpointlookat": ",".join(map(str, solid.ViewpointLookAtPoint)),
        },
    ):
        same = pixels(httpx.get(place, params={**params, "viewport": "128,96"}, headers={"Accept": "image/png"}))
        assert np.mean(np.abs(same.astype(int) - front) <= 2) > 0.99
    behind = httpx.get(place, params={"orientation": "p", "viewport": "128,96"}, headers={"Accept": "image/png"})
    assert np.abs(pixels(behind).astype(int) - front).max() > 30
    assert camera.eye is None


def test_a_projection_with_near_and_far_ends(scene: Scene) -> None:
    state, camera = scene.front(method="MAXIMUM_IP")
    low, high = scene.renderer.extent()
    depth = float(high[1] - low[1])
    state.RenderFieldOfView = [*state.RenderFieldOfView[:4], 0.5 * depth, 1.0 * depth]
    shown = pixels(scene.get(colour(state, PALETTE), "rendered3d", viewport="128,96"))
    front = [(0.0, -1.0, 0.0, -(float(low[1]) + depth / 2))]
    expected = scene.renderer.project(camera, clip=front).window(40, 400)
    assert np.mean(np.abs(shown.astype(int) - expected) <= 2) > 0.99
    assert shown.std() > 10


def test_a_perspective_is_larger_in_front(scene: Scene) -> None:
    flat, _ = scene.front(method="MAXIMUM_IP")
    deep, _ = scene.front(method="MAXIMUM_IP", projection="PERSPECTIVE")
    low, high = scene.renderer.extent()
    near = float(high[1] - low[1]) / 2
    deep.RenderFieldOfView = [*deep.RenderFieldOfView[:4], near, 4 * near]
    images = [pixels(scene.get(colour(s, PALETTE), "rendered3d", viewport="128,96")) for s in (flat, deep)]
    covered = [float(np.mean(image > 0)) for image in images]
    assert 0.2 < covered[1] / covered[0] < 0.95  # what lies behind the near plane is smaller than there


def change(state: Dataset, **attributes: Any) -> Dataset:
    for keyword, value in attributes.items():
        if value is None:
            delattr(state, keyword)
        else:
            setattr(state, keyword, value)
    return state


@pytest.mark.parametrize(
    ("attributes", "resource", "params", "status", "text"),
    [
        ({}, "rendered3d", {}, 400, "answered by renderedmpr"),
        ({}, "renderedmpr", {"window": "40,400,linear"}, 400, "viewport, quality, orientation"),
        ({}, "renderedmpr", {"mprslab": "4"}, 400, "viewport, quality, orientation"),
        ({"MPRViewWidth": 0.0}, "renderedmpr", {}, 422, "MPRViewWidth"),
        ({"MPRTopLeftHandCorner": None}, "renderedmpr", {}, 422, "MPRTopLeftHandCorner"),
        ({"MPRViewHeightDirection": [1.0, 0.0, 0.0]}, "renderedmpr", {}, 400, "right angles"),
        ({"MultiPlanarReconstructionStyle": "CURVED"}, "renderedmpr", {}, 400, "curved"),
        ({"MPRThicknessType": "SLAB", "MPRSlabThickness": 3.0}, "renderedmpr", {}, 400, "MAXIMUM_IP"),
        ({"FrameOfReferenceUID": "1.2.3.4"}, "renderedmpr", {}, 409, "frame of reference"),
        ({"GlobalCrop": "YES", "GlobalCroppingSpecificationIndex": 3}, "renderedmpr", {}, 422, "cropping"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.10"}, "rendered3d", {}, 422, "Viewpoint"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.9"}, "rendered3d", {}, 422, "Viewpoint"),
    ],
)
def test_states_that_cannot_be_shown(
    scene: Scene, attributes: dict[str, Any], resource: str, params: dict[str, str], status: int, text: str
) -> None:
    state = change(scene.axial()[0], **attributes)
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    answer = scene.get(state, resource, **params)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_a_state_whose_images_are_not_here(scene: Scene) -> None:
    state, _ = scene.axial()
    state.VolumetricPresentationInputSetSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    answer = scene.get(state, "renderedmpr")
    assert (answer.status_code, "1 images of the presentation state" in answer.text) == (404, True)


def test_annotations_that_are_not_drawn_are_told(scene: Scene) -> None:
    state, _ = scene.axial()
    state.GraphicAnnotationSequence = [item(GraphicLayer="LAYER")]
    answer = scene.get(state, "renderedmpr")
    assert "annotations" in answer.headers["warning"]
    again = httpx.get(answer.url, headers={"Accept": "image/png", "If-None-Match": answer.headers["etag"]}, timeout=60)
    assert again.status_code == 304
