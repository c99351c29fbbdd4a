"""Encoders beside those of others, on real images: one thread, MB/s of pixels, one process.

On a machine that does other work too: ``--benchmark-timer=time.process_time``, and only the ratios.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.archive.stored_object import object_in_file
from hilum.codecs.encode import encode_frame

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from real_files import ABSENT, find_shared_data

ROOT = "1.2.840.10008.1.2"
IMAGES = {
    "CT 512": "ct/single/01.dcm",
    "CR 2k": "cr_dx_mg/CR-ModalitySequenceLUT.dcm",
    "MG 3k": "cr_dx_mg/GH133.dcm",
    "US colour": "us/cine/I_000001.dcm",
    "WSI tile": "sm/multiframe_camelyon_challenge_image.dcm",
}


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> Any:
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    return object_in_file(folder / IMAGES[request.param]).samples(0)


PEERS: dict[str, str] = {
    ".4.70": "ljpeg_encode",
    ".4.80": "jpegls_encode",
    ".4.90": "jpeg2k_encode",
    ".4.202": "htj2k_encode",
}


@pytest.mark.informational
@pytest.mark.parametrize("suffix", [".5", *PEERS])
def test_ours(benchmark: Any, image: Any, suffix: str) -> None:
    array, pixels = image
    benchmark.extra_info["megabytes"] = array.nbytes / 1e6
    benchmark(lambda: encode_frame(array, ROOT + suffix, pixels, verify=False))


@pytest.mark.informational
@pytest.mark.parametrize("suffix", PEERS)
def test_imagecodecs(benchmark: Any, image: Any, suffix: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    array, _ = image
    if suffix == ".4.70" and array.ndim > 2:
        pytest.skip("imagecodecs writes JPEG lossless of one sample alone")
    samples = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    encode = getattr(imagecodecs, PEERS[suffix])
    options: dict[str, Any] = {"reversible": True, "codecformat": "j2k", "level": 0} if suffix == ".4.90" else {}
    benchmark.extra_info["megabytes"] = array.nbytes / 1e6
    benchmark(lambda: encode(samples, **options))


@pytest.mark.informational
def test_pydicom_rle_by_pylibjpeg(benchmark: Any, image: Any) -> None:
    pytest.importorskip("rle")
    from pydicom.pixels.encoders import RLELosslessEncoder

    array, pixels = image
    description: dict[str, Any] = {
        "rows": pixels.rows, "columns": pixels.columns, "samples_per_pixel": 1, "number_of_frames": 1,
        "bits_allocated": pixels.bits_allocated, "bits_stored": pixels.bits_stored,
        "pixel_representation": pixels.pixel_representation, "photometric_interpretation": "MONOCHROME2",
    }  # fmt: skip
    data = array.tobytes()
    benchmark.extra_info["megabytes"] = array.nbytes / 1e6
    benchmark(lambda: RLELosslessEncoder.encode(data, index=0, encoding_plugin="pylibjpeg", **description))
