"""Presentation states made by highdicom, and images for them; for what highdicom does not write, pydicom edits them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
from PIL import ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

if TYPE_CHECKING:
    import numpy.typing as npt

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SRGB = _SRGB[:12] + b"spac" + _SRGB[16:]
"""Profile of a colour space: what PS3.3 C.11.15 asks for."""
MAKER: dict[str, Any] = {
    "series_number": 90,
    "instance_number": 1,
    "manufacturer": "Test",
    "manufacturer_model_name": "Test",
    "software_versions": "1",
    "device_serial_number": "1",
    "content_label": "TEST",
}


def image_dataset(pixels: npt.NDArray[Any], *, signed: bool = False, **attributes: Any) -> Dataset:
    """A grey (frames, rows, columns) or (rows, columns), or RGB (rows, columns, 3) image of one patient and study."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    ds.SOPClassUID = SecondaryCaptureImageStorage if colour else CTImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = "1.2.826.0.1.3680043.10.1561.9.70"
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1561.9.71"
    ds.Modality = "OT" if colour else "CT"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20240131", "101500", "S", "A"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Family^Given", "P1", "19700102", "O"
    ds.ReferringPhysicianName = ""
    ds.InstanceNumber, ds.SeriesNumber = 1, 1
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "1.2.826.0.1.3680043.10.1561.9.72", ""
    rows, columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    ds.Rows, ds.Columns = rows, columns
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    if pixels.ndim == 3 and not colour:
        ds.NumberOfFrames = len(pixels)
    bits = 8 * pixels.dtype.itemsize
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(signed)
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.PixelData = pixels.tobytes()
    return ds


def grey_state(images: list[Dataset], **options: Any) -> Dataset:
    """A Grayscale Softcopy Presentation State by highdicom."""
    state = hd.pr.GrayscaleSoftcopyPresentationState(
        images, series_instance_uid=generate_uid(), sop_instance_uid=generate_uid(), **{**MAKER, **options}
    )
    return detached(state)


def colour_state(images: list[Dataset], **options: Any) -> Dataset:
    """A Color Softcopy Presentation State by highdicom."""
    state = hd.pr.ColorSoftcopyPresentationState(
        images,
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        **{**MAKER, "icc_profile": SRGB, **options},
    )
    return detached(state)


def pseudo_colour_state(images: list[Dataset], palette: npt.NDArray[np.uint8], **options: Any) -> Dataset:
    """A Pseudo-Color Softcopy Presentation State by highdicom; `palette`: (entries, 3)."""
    tables = [
        hd.PaletteColorLUT(0, palette[:, i].astype(np.uint16) * 257, name)
        for i, name in enumerate(("red", "green", "blue"))
    ]
    state = hd.pr.PseudoColorSoftcopyPresentationState(
        images,
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        palette_color_lut_transformation=hd.PaletteColorLUTTransformation(*tables),
        **{**MAKER, "icc_profile": SRGB, **options},
    )
    return detached(state)


def detached(state: Dataset) -> Dataset:
    """The state as a plain data set that can be edited."""
    return pydicom.dcmread(io.BytesIO(encoded(state)))


def encoded(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def item_of(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def renamed(state: Dataset, sop_class_uid: str) -> Dataset:
    """A copy of the state as a new instance of another class."""
    copy = detached(state)
    copy.SOPClassUID = copy.file_meta.MediaStorageSOPClassUID = sop_class_uid
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return copy


def displayed_area(corners: tuple[int, int, int, int], mode: str = "SCALE TO FIT", **attributes: Any) -> Dataset:
    """An item of a Displayed Area Selection Sequence: left, top, right, bottom from 1."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = list(corners[:2])
    item.DisplayedAreaBottomRightHandCorner = list(corners[2:])
    item.PresentationSizeMode = mode
    item.PresentationPixelAspectRatio = [1, 1]
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def blending_state(
    under: list[Dataset], over: list[Dataset], palette: npt.NDArray[np.uint8], opacity: float
) -> Dataset:
    """A Blending Softcopy Presentation State: highdicom has none, so a pseudo-colour one is rearranged."""
    state = pseudo_colour_state(over, palette)
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.4"
    del state.ReferencedSeriesSequence
    sides = []
    for position, images in (("UNDERLYING", under), ("SUPERIMPOSED", over)):
        series, side = Dataset(), Dataset()
        series.SeriesInstanceUID = images[0].SeriesInstanceUID
        series.ReferencedImageSequence = []
        for image in images:
            reference = Dataset()
            reference.ReferencedSOPClassUID = image.SOPClassUID
            reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
            series.ReferencedImageSequence.append(reference)
        side.BlendingPosition, side.StudyInstanceUID = position, images[0].StudyInstanceUID
        side.ReferencedSeriesSequence = [series]
        sides.append(side)
    state.BlendingSequence, state.RelativeOpacity = sides, opacity
    for keyword in ("SoftcopyVOILUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType"):
        state.pop(keyword, None)
    state.pop("DisplayedAreaSelectionSequence", None)
    return state


def registration(
    matrix: list[float], target: str, source: str, sop_class: str = "1.2.840.10008.5.1.4.1.1.66.1"
) -> Dataset:
    """A spatial registration that brings one frame of reference to another."""
    ds = image_dataset(np.zeros((1, 1), np.uint8), Modality="REG", FrameOfReferenceUID=target)
    ds.SeriesInstanceUID = generate_uid()
    del ds.PixelData
    steps = item_of(MatrixSequence=[item_of(FrameOfReferenceTransformationMatrix=matrix)])
    ds.RegistrationSequence = [item_of(FrameOfReferenceUID=source, MatrixRegistrationSequence=[steps])]
    return renamed(ds, sop_class)


def reference_to(ds: Dataset) -> list[Dataset]:
    one = item_of(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=ds.SOPInstanceUID)
    series = item_of(SeriesInstanceUID=ds.SeriesInstanceUID, ReferencedSOPSequence=[one])
    return [item_of(StudyInstanceUID=ds.StudyInstanceUID, ReferencedSeriesSequence=[series])]
