"""Whole slide images for tests, written by pydicom and Pillow: levels by two, full or sparse, native or JPEG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy.typing as npt

ROOT = "1.2.826.0.1.3680043.10.1561.77"


def tissue(rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Something smooth with colour, ``(rows, columns, 3)``."""
    y, x = np.mgrid[0:rows, 0:columns]
    planes = [200 + 50 * np.sin(x / 23), 120 + 60 * np.cos(y / 31), 170 + 50 * np.sin((x + y) / 41)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mean of blocks of 2 x 2; the last of odd sides are kept."""
    rows, columns = (-(-side // 2) for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, 2 * rows - pixels.shape[0]), (0, 2 * columns - pixels.shape[1]), (0, 0)), mode="edge")
    blocks = padded.reshape(rows, 2, columns, 2, 3).astype(np.uint16)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def jpeg_of(tile: npt.NDArray[np.uint8], quality: int = 90) -> bytes:
    """JFIF file of a tile."""
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, "JPEG", quality=quality, subsampling="4:2:2")
    return stream.getvalue()


def write_slide(
    path: Path,
    pixels: npt.NDArray[np.uint8],
    *,
    number: int = 1,
    tile: int = 32,
    jpeg: bool = False,
    missing: Collection[tuple[int, int]] | None = None,
    series: int = 1,
    optical_path: str = "1",
) -> list[bytes]:
    """Write one level; the tiles as they are stored.

    Parameters
    ----------
    pixels : ndarray
        ``(rows, columns, 3)`` uint8.
    missing : collection of (column, row), optional
        Makes it TILED_SPARSE, without these tiles.
    optical_path : str
        Its identifier.
    """
    rows, columns = pixels.shape[:2]
    across, down = -(-columns // tile), -(-rows // tile)
    padded = np.pad(pixels, ((0, down * tile - rows), (0, across * tile - columns), (0, 0)), mode="edge")
    places = [(i, j) for j in range(down) for i in range(across) if (i, j) not in (missing or ())]
    tiles = [padded[j * tile : (j + 1) * tile, i * tile : (i + 1) * tile] for i, j in places]
    stored = [jpeg_of(one) if jpeg else one.tobytes() for one in tiles]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    uid = f"{ROOT}.{series}.{number}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.0", f"{ROOT}.{series}"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Slide^Test", "S1", "SM"
    dataset.InstanceNumber = number
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE" if number == 1 else "RESAMPLED"]
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = columns, rows
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight = 10.0, 10.0 * rows / columns
    measures = Dataset()
    measures.PixelSpacing = [0.05 * 2 ** (number - 1)] * 2
    measures.SliceThickness = 0.001
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    light = Dataset()
    light.OpticalPathIdentifier = optical_path
    dataset.OpticalPathSequence = Sequence([light])
    dataset.FrameOfReferenceUID = f"{ROOT}.9"
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "20.0", "30.0"
    dataset.TotalPixelMatrixOriginSequence = Sequence([origin])
    dataset.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    dataset.Columns = dataset.Rows = tile
    dataset.NumberOfFrames = len(tiles)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422" if jpeg else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.DimensionOrganizationType = "TILED_FULL" if missing is None else "TILED_SPARSE"
    if missing is not None:
        dataset.PerFrameFunctionalGroupsSequence = Sequence([_placed(i, j, tile) for i, j in places])
    dataset.PixelData = encapsulate(stored) if jpeg else b"".join(stored)
    dataset["PixelData"].VR = "OB"
    dcmwrite(path, dataset, enforce_file_format=True)
    return stored


def _placed(column: int, row: int, tile: int) -> Dataset:
    position = Dataset()
    position.ColumnPositionInTotalImagePixelMatrix = column * tile + 1
    position.RowPositionInTotalImagePixelMatrix = row * tile + 1
    groups = Dataset()
    groups.PlanePositionSlideSequence = Sequence([position])
    return groups
