"""Rendering from Python: settings, sizes, formats, attributes of made-up headers, determinism, threads."""

from __future__ import annotations

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.pixels.description import RenderingAttributes, description_of, rendering_attributes
from hilum.pixels.pipeline import render_frame, render_pixels, stored_range
from hilum.pixels.settings import Lut, Overlay, OverlayPlane, RenderSettings, Rescale, Shutter, Window
from hilum.types import PixelDescription

EXPLICIT = "1.2.840.10008.1.2.1"
RAMP = (np.arange(64 * 48, dtype=np.int16).reshape(48, 64) - 1024).astype("<i2")
PIXELS = PixelDescription(48, 64, 1, 0, 16, 16, 15, 1, "MONOCHROME2", 1, "PixelData")


def header(**elements: Any) -> bytes:
    """A Part-10 header with these elements."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID = elements.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PixelRepresentation = 1
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


CT = header(RescaleSlope="1", RescaleIntercept="-24", WindowCenter=["40", "-600"], WindowWidth=["400", "1500"])


def draw(settings: RenderSettings = RenderSettings(), head: bytes = CT, frame: int = 0) -> np.ndarray[Any, Any]:  # noqa: B008
    return render_pixels(RAMP.tobytes(), EXPLICIT, PIXELS, rendering_attributes(head, frame), settings)


def test_attributes_of_a_plain_header() -> None:
    found = rendering_attributes(CT).as_dict()
    assert found["rescale_slope"] == 1
    assert found["rescale_intercept"] == -24
    assert found["windows"] == [(40.0, 400.0, "LINEAR"), (-600.0, 1500.0, "LINEAR")]
    assert found["pixel_aspect"] == 1
    assert found["palette"] is None


def test_values_that_cannot_be_count_as_absent() -> None:
    head = header(RescaleSlope="0", WindowCenter=["40", "50"], WindowWidth=["0", "100"], PixelSpacing=["0", "1"])
    found = rendering_attributes(head).as_dict()
    assert found["rescale_slope"] == 1
    assert found["windows"] == [(50.0, 100.0, "LINEAR")]
    assert found["pixel_aspect"] == 1


def test_functional_groups_of_the_frame_go_first() -> None:
    def frame(center: str, intercept: str) -> Dataset:
        return item(
            FrameVOILUTSequence=Sequence([item(WindowCenter=center, WindowWidth="10", VOILUTFunction="SIGMOID")]),
            PixelValueTransformationSequence=Sequence([item(RescaleIntercept=intercept, RescaleSlope="2")]),
        )

    measures = item(PixelMeasuresSequence=Sequence([item(PixelSpacing=["2", "1"])]))
    head = header(
        WindowCenter="1",
        WindowWidth="2",
        SharedFunctionalGroupsSequence=Sequence([measures]),
        PerFrameFunctionalGroupsSequence=Sequence([frame("10", "5"), frame("20", "6")]),
    )
    found = rendering_attributes(head, 1).as_dict()
    assert found["windows"] == [(20.0, 10.0, "SIGMOID")]
    assert (found["rescale_slope"], found["rescale_intercept"], found["pixel_aspect"]) == (2, 6, 2)
    assert rendering_attributes(head, 0).as_dict()["rescale_intercept"] == 5
    assert rendering_attributes(head, 9).as_dict()["windows"] == [(1.0, 2.0, "LINEAR")]


def test_the_table_of_an_angiogram_is_not_for_display() -> None:
    lut = item(LUTDescriptor=[2, 0, 16], LUTData=b"\x01\x00\x02\x00")
    xa = "1.2.840.10008.5.1.4.1.1.12.1"
    log = header(SOPClassUID=xa, PixelIntensityRelationship="LOG", ModalityLUTSequence=Sequence([lut]))
    linear = header(SOPClassUID=xa, PixelIntensityRelationship="LIN", ModalityLUTSequence=Sequence([lut]))
    assert rendering_attributes(log).as_dict()["modality_lut"] is None
    assert rendering_attributes(linear).as_dict()["modality_lut"] == (0, 16, [1, 2])


def test_a_table_that_contradicts_itself_is_named() -> None:
    lut = item(LUTDescriptor=[9, 0, 16], LUTData=b"\x01\x00\x02\x00")
    with pytest.raises(DataError, match="shorter than its descriptor"):
        rendering_attributes(header(ModalityLUTSequence=Sequence([lut])))


def test_window_of_the_file_of_the_request_and_by_index() -> None:
    stored = RAMP.astype(float) - 24
    for settings, center, width in [
        (RenderSettings(), 40, 400),
        (RenderSettings(window_index=1), -600, 1500),
        (RenderSettings(window=Window(0, 100)), 0, 100),
    ]:
        expected = np.clip(((stored - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
        assert np.abs(draw(settings) - expected).max() <= 0.51
    assert np.array_equal(draw(RenderSettings(invert=True)), 255 - draw())


def test_sizes_regions_and_square_pixels() -> None:
    assert draw(RenderSettings(width=32)).shape == (24, 32)
    assert draw(RenderSettings(width=32, height=6)).shape == (6, 8)
    assert draw(RenderSettings(height=96)).shape == (96, 128)
    assert draw(RenderSettings(region=(10, 5, 20, 7))).shape == (7, 20)
    np.testing.assert_array_equal(draw(RenderSettings(region=(10, 5, 20, 7))), draw()[5:12, 10:30])
    tall = header(PixelSpacing=["2", "1"])
    assert draw(head=tall).shape == (96, 64)
    assert draw(RenderSettings(square_pixels=False), tall).shape == (48, 64)


def test_png_and_jpeg_are_what_pil_reads() -> None:
    attributes = rendering_attributes(CT)
    png = render_frame(RAMP.tobytes(), EXPLICIT, PIXELS, attributes, RenderSettings(format="png"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), draw())
    jpeg = render_frame(RAMP.tobytes(), EXPLICIT, PIXELS, attributes, RenderSettings(quality=95))
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "L", (64, 48))
    assert np.abs(np.asarray(image).astype(int) - draw()).mean() < 2


def test_many_threads_give_the_same_bytes() -> None:
    attributes = rendering_attributes(CT)

    def once(_: int) -> bytes:
        return render_frame(RAMP.tobytes(), EXPLICIT, PIXELS, attributes, RenderSettings(width=40, format="png"))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(once, range(64)))) == 1


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (RenderSettings(region=(60, 0, 10, 10)), UsageError),
        (RenderSettings(region=(0, 0, 0, 1)), UsageError),
        (RenderSettings(width=1_000_000), LimitExceeded),
        (RenderSettings(scale=1e6), LimitExceeded),
        (RenderSettings(displayed_area=(1, 1, 1 << 30, 1 << 30)), LimitExceeded),
        (RenderSettings(window_name="LUNG"), UsageError),
        (RenderSettings(bits=16), UsageError),  # in a JPEG
    ],
)
def test_requests_that_this_image_cannot_fulfil(settings: RenderSettings, error: type[Exception]) -> None:
    with pytest.raises(error):
        render_frame(RAMP.tobytes(), EXPLICIT, PIXELS, rendering_attributes(CT), settings)


@pytest.mark.parametrize(
    "bad",
    [
        {"window": Window(0, 0)},
        {"window": Window(float("nan"), 1)},
        {"window": Window(0, float("inf"))},
        {"quality": 0},
        {"quality": 101},
        {"format": "gif"},
        {"width": -1},
        {"window_index": -1},
        {"region": (-1, 0, 1, 1)},
        {"region": (0, 0, 1)},
        {"region": (0, 0, 1, 1), "displayed_area": (1, 1, 2, 2)},
        {"displayed_area": (0, 0, 1 << 40, 1)},
        {"scale": float("nan")},
        {"scale": -1.0},
        {"pixel_aspect": 0.0},
        {"rotation": 45},
        {"interpolation": "lanczos"},
        {"percentiles": (50, 50)},
        {"percentiles": (-1, 50)},
        {"percentiles": (float("nan"), 50)},
        {"bits": 12},
        {"modality": Rescale(0.0, 1.0)},
        {"modality": Lut(())},
        {"voi_lut": Lut((0,), bits=7)},
        {"voi_lut": Lut((65536,))},
        {"voi_lut": Lut((0,) * 65537)},
        {"presentation": "SIDEWAYS"},
        {"palette": (Lut((0, 1)), Lut((0, 1)), Lut((0,)))},
        {"overlays": "all"},
        {"overlays": (Overlay(0x6001),)},
        {"overlays": (Overlay(OverlayPlane(65535, 65535, b"short")),)},
        {"overlays": (Overlay(OverlayPlane(0, 1, b"")),)},
        {"overlays": (Overlay(0x6000),) * 257},
        {"shutter": "none"},
        {"shutter": Shutter(rectangle=(5, 4, 1, 1))},
        {"shutter": Shutter(circle=(1, 1, -1))},
        {"shutter": Shutter(polygon=((1, 1), (2, 2)))},
        {"shutter": Shutter(polygon=((1, 1),) * 16385)},
        {"shutter": Shutter(polygon=((1, 1),) * 1_000_000)},
    ],
)
def test_settings_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RenderSettings(**bad)


def test_settings_are_values() -> None:
    settings = RenderSettings(window=Window(40, 400), overlays=(Overlay(0x6000, colour=(255, 0, 0)),), flip=True)
    for twin in (copy.copy(settings), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert twin == settings
        assert np.array_equal(draw(twin), draw(settings))
    assert replace(settings, flip=False) != settings
    assert hash(settings) == hash(replace(settings))


def test_palette_without_tables_and_short_frames() -> None:
    palette = PixelDescription(1, 1, 1, 0, 8, 8, 7, 0, "PALETTE COLOR", 1, "PixelData")
    with pytest.raises(DataError, match="Palette"):
        render_frame(b"\0", EXPLICIT, palette, RenderingAttributes())
    with pytest.raises(DataError, match="shorter"):
        render_frame(RAMP.tobytes()[:-1], EXPLICIT, PIXELS, RenderingAttributes())


def test_range_without_padding() -> None:
    attributes = rendering_attributes(header(PixelPaddingValue=-1024, PixelPaddingRangeLimit=-1000))
    assert stored_range(RAMP.tobytes(), EXPLICIT, PIXELS, attributes) == (-999.0, 2047.0)
    all_padding = rendering_attributes(header(PixelPaddingValue=-1024, PixelPaddingRangeLimit=3000))
    assert stored_range(RAMP.tobytes(), EXPLICIT, PIXELS, all_padding) is None
    assert draw(head=header(PixelPaddingValue=-1024, PixelPaddingRangeLimit=3000)).max() <= 255


def test_one_label_is_seen_against_its_background() -> None:
    """Label maps often give the background as padding: what is left is one value."""
    pixels = PixelDescription(2, 2, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    attributes = rendering_attributes(header(SegmentationType="LABELMAP", PixelRepresentation=0, PixelPaddingValue=0))
    for frame, shown in ((b"\0\x09\x09\0", [0, 255, 255, 0]), (b"\x09" * 4, [255] * 4), (bytes(4), [0] * 4)):
        assert render_pixels(frame, EXPLICIT, pixels, attributes).ravel().tolist() == shown


def test_description_of_names_the_fields() -> None:
    assert description_of((48, 64, 1, 0, 16, 16, 15, 1, "MONOCHROME2", 1, "PixelData")) == PIXELS
