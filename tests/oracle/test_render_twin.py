"""Rendered pixels against the NumPy twin, over every real file whose frames can be decoded."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import numpy as np
import pydicom
import pytest
import render_twin
from PIL import Image
from pixel_frames import description_of, empty_frame, stored_frames, syntax_of

from hilum import _core
from hilum.codecs.registry import can_decode
from hilum.errors import DataError
from hilum.pixels.settings import RenderSettings, Window

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, on files that are odd on purpose

# JPEG whose markers contradict Photometric Interpretation: the rule is tested in core/tests/test_codec.cpp.
# JPEG XL comes out as RGB, whatever Photometric Interpretation says of the JPEG that was recompressed.
CONTRADICTING = {"sc_colour/SC_rgb_jpeg_app14_dcmd.dcm", "ts/jpegxl/will-jxl.dcm"}
# Decoded samples that are not the data set's: the code stream is unsigned, the data set signed.
OTHER_SIGN = {"hostile/J2K_pixelrep_mismatch.dcm"}

AS_STORED = RenderSettings(square_pixels=False, format="png", percentiles=(0, 100))


def read(path: str) -> pydicom.Dataset:
    return pydicom.dcmread(path, force=True)


def frame_of(dataset: pydicom.Dataset, index: int) -> tuple[Any, int, tuple[Any, ...], Any]:
    """(fragments, bit offset, description, stored values) of one frame."""
    description = description_of(dataset)
    fragments, bit_offset = stored_frames(dataset, description)[index]
    source = fragments if len(fragments) > 1 else fragments[0]
    stored = empty_frame(description)
    _core.decode(source, syntax_of(dataset), description, bit_offset, out=stored)
    return source, bit_offset, description, stored


def containers(dataset: pydicom.Dataset, description: tuple[Any, ...], source: Any) -> Any:
    """Native 16-bit samples with all of their bits, None for anything else."""
    order = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}
    syntax = syntax_of(dataset)
    if syntax not in order or description[4] != 16 or description[2] != 1:
        return None
    size = description[0] * description[1]
    return np.frombuffer(source, order[syntax] + "u2", size).reshape(description[0], description[1])


def compare(path: str, frame: int) -> int:
    """Greatest difference of our 8-bit samples from the twin's, our PNG decoded by PIL."""
    dataset = read(path)
    source, bit_offset, description, stored = frame_of(dataset, frame)
    with open(path, "rb") as stream:
        attributes = _core.rendering_attributes(stream.read(), frame)
    expected = render_twin.render(dataset, frame, stored, containers(dataset, description, source))
    png = _core.render(source, syntax_of(dataset), description, attributes, AS_STORED.request, bit_offset)
    actual = np.asarray(Image.open(io.BytesIO(png)))
    assert actual.shape == expected.shape, path
    return int(np.abs(actual.astype(int) - expected.astype(int)).max())


def candidates(manifest: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows that can be decoded, at most six of one folder: series repeat themselves."""
    seen: Counter[str] = Counter()
    chosen = []
    for row in manifest:
        folder = row["path"].rsplit("/", 1)[0]
        known = row["decoded_sha256"] or row["decoded_sha256_unconfirmed"]
        syntax = row["transfer_syntax"]
        if not known or not row["rows"] or not row["photometric"] or (syntax and not can_decode(syntax)):
            continue
        limit = 200 if folder.startswith(("sc_colour", "hostile", "us/", "cr_dx_mg")) else 6
        if seen[folder] < limit and row["path"] not in CONTRADICTING | OTHER_SIGN:
            seen[folder] += 1
            chosen.append(row)
    return chosen


def test_every_file_renders_within_one_of_the_twin(manifest: list[dict[str, str]]) -> None:
    differing: list[str] = []
    compared: Counter[str] = Counter()
    for row in candidates(manifest):
        frames = int(row["frames"]) if row["frames"].isdigit() else 1
        for frame in sorted({0, frames // 2}):
            try:
                difference = compare(row["file"], frame)
            except DataError as error:
                if error.code not in (10, 12):
                    differing.append(f"{row['path']}: {error}")
                continue
            compared[row["photometric"]] += 1
            if difference > 1:
                differing.append(f"{row['path']} frame {frame}: {difference}")
    assert not differing, f"{len(differing)}: {differing[:12]}"
    assert sum(compared.values()) > 250
    assert set(compared) >= {
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_RCT",
    }


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40.0, 400.0), (-600.0, 1500.0), (0.5, 1.0), (1e4, 2.0), (0.25, 3.5)])
def test_a_requested_window_goes_before_the_file(shared_data: Any, function: str, center: float, width: float) -> None:
    dataset = read(str(shared_data / "ct/single/01.dcm"))
    source, _, description, stored = frame_of(dataset, 0)
    attributes = _core.rendering_attributes((shared_data / "ct/single/01.dcm").read_bytes())
    settings = RenderSettings(window=Window(center, width, function))  # type: ignore[arg-type]
    actual = np.empty(stored.shape, np.uint8)
    _core.render_pixels(source, syntax_of(dataset), description, attributes, settings.request, actual)
    expected = np.floor(
        render_twin.window(render_twin.modality(dataset, 0, stored.astype(float)), center, width, function) + 0.5
    )
    assert np.abs(actual - expected).max() <= 1
    assert np.mean(actual != expected) < 1e-2  # ties between two grey levels
