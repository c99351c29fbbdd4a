"""Volumetric presentation states of a series, written attribute by attribute (PS3.3 A.80)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

ROOT = "1.2.840.10008.5.1.4.1.1.11."


def item(**attributes: Any) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def volumetric_state(number: int, images: Sequence[tuple[str, str]], study: str, frame_of_reference: str) -> Dataset:
    """State of class ``ROOT + number`` of one volume: `images` are (SOP class, SOP instance)."""
    inputs = generate_uid()
    referenced = [item(ReferencedSOPClassUID=one, ReferencedSOPInstanceUID=uid) for one, uid in images]
    state = item(
        SOPClassUID=f"{ROOT}{number}", SOPInstanceUID=generate_uid(), StudyInstanceUID=study,
        SeriesInstanceUID=generate_uid(), Modality="PR", PatientID="VPS", FrameOfReferenceUID=frame_of_reference,
        PixelPresentation="MONOCHROME" if number == 6 else "TRUE_COLOR", GlobalCrop="NO",
        VolumetricPresentationInputSetSequence=[
            item(
                VolumetricPresentationInputSetUID=inputs, PresentationInputType="VOLUME",
                ReferencedImageSequence=referenced,
            )
        ],
        VolumetricPresentationStateInputSequence=[
            item(
                VolumetricPresentationInputNumber=1, VolumetricPresentationInputSetUID=inputs, Crop="NO",
                WindowCenter=40, WindowWidth=400, VOILUTFunction="LINEAR",
            )
        ],
    )  # fmt: skip
    state.file_meta = FileMetaDataset()
    state.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    state.file_meta.MediaStorageSOPClassUID = state.SOPClassUID
    state.file_meta.MediaStorageSOPInstanceUID = state.SOPInstanceUID
    return state


def lay(
    state: Dataset,
    corner: Sequence[float],
    row: Sequence[float],
    column: Sequence[float],
    width: float,
    height: float,
) -> Dataset:
    """Multi-Planar Reconstruction Geometry (C.11.26) of a thin plane."""
    state.MultiPlanarReconstructionStyle, state.MPRThicknessType = "PLANAR", "THIN"
    state.MPRTopLeftHandCorner = [float(v) for v in corner]
    state.MPRViewWidthDirection, state.MPRViewHeightDirection = [*map(float, row)], [*map(float, column)]
    state.MPRViewWidth, state.MPRViewHeight = width, height
    return state


def look(
    state: Dataset,
    position: Sequence[float],
    target: Sequence[float],
    up: Sequence[float],
    field: Sequence[float],
    method: str = "VOLUME_RENDERED",
    projection: str = "ORTHOGRAPHIC",
) -> Dataset:
    """Volume Render Geometry (C.11.30)."""
    state.RenderProjection, state.RenderingMethod = projection, method
    state.ViewpointPosition, state.ViewpointLookAtPoint = [*map(float, position)], [*map(float, target)]
    state.ViewpointUpDirection, state.RenderFieldOfView = [*map(float, up)], [*map(float, field)]
    return state


def colour(state: Dataset, palette: npt.NDArray[np.uint8], *, streams: bool = True) -> Dataset:
    """One classification component with a palette ``(n, 4)`` of red, green, blue and opacity."""
    component = item(
        ComponentType="ONE_TO_RGBA", ComponentInputSequence=[item(VolumetricPresentationInputIndex=1)],
        RGBLUTTransferFunction="TABLE", AlphaLUTTransferFunction="TABLE",
    )  # fmt: skip
    for index, name in enumerate(("Red", "Green", "Blue", "Alpha")):
        setattr(component, f"{name}PaletteColorLookupTableData", np.ascontiguousarray(palette[:, index]).tobytes())
        if name != "Alpha":
            setattr(component, f"{name}PaletteColorLookupTableDescriptor", [len(palette), 0, 8])
    if streams:
        inputs = state.VolumetricPresentationInputSetSequence[0].VolumetricPresentationInputSetUID
        state.VolumeStreamSequence = [
            item(VolumetricPresentationInputSetUID=inputs, PresentationStateClassificationComponentSequence=[component])
        ]
    else:
        state.PresentationStateClassificationComponentSequence = [component]
    return state
