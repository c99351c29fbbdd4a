"""Our JPEG 2000 decoder against OpenJPEG's programs: streams with parameters drawn at random, and real ones."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, currently_in_test_context, given, settings
from hypothesis import strategies as st

from hilum import _core
from hilum.errors import DataError, HilumError

if TYPE_CHECKING:
    from pathlib import Path

Image: TypeAlias = npt.NDArray[np.int64]

pytestmark = pytest.mark.skipif(
    shutil.which("opj_compress") is None or shutil.which("opj_decompress") is None,
    reason="needs opj_compress and opj_decompress (Debian: libopenjp2-tools)",
)
LOSSLESS = "1.2.840.10008.1.2.4.90"


@dataclass(frozen=True)
class Stream:
    """An image and how it is to be encoded."""

    rows: int
    columns: int
    components: int
    bits: int
    is_signed: bool
    kind: int
    seed: int
    options: tuple[str, ...]

    @property
    def raw_dtype(self) -> npt.DTypeLike:
        """Samples of OpenJPEG's raw files (.rawl): little endian."""
        return ("<i2" if self.is_signed else "<u2") if self.bits > 8 else ("i1" if self.is_signed else "u1")

    @property
    def pixels(self) -> tuple[object, ...]:
        """The pixel description that fits."""
        allocated = 16 if self.bits > 8 else 8
        photometric = "MONOCHROME2" if self.components == 1 else "RGB"
        return (
            self.rows, self.columns, self.components, 0, allocated, self.bits, self.bits - 1, int(self.is_signed),
            photometric, 1, "PixelData",
        )  # fmt: skip

    def image(self) -> Image:
        """(components, rows, columns): smooth with noise, mostly empty, or noise."""
        random = np.random.default_rng(self.seed)
        y, x = np.mgrid[: self.rows, : self.columns]
        full = 2**self.bits - 1
        base = (np.sin(x / 9) + np.cos(y / 7) + 2) / 4 * full
        image = np.stack([base + random.normal(0, full / 64, base.shape) for _ in range(self.components)])
        if self.kind == 1:
            image[:] = 0
            image[:, self.rows // 3 : self.rows // 2 + 1, self.columns // 3 : self.columns // 2 + 1] = full
        elif self.kind == 2:
            image = random.uniform(0, full, image.shape)
        whole = np.clip(np.rint(image), 0, full).astype(np.int64)
        return whole - (1 << (self.bits - 1)) if self.is_signed else whole


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Everything that opj_compress takes, but for what OpenJPEG gets wrong itself.

    Its decoder is wrong where a region of interest meets lazy coding (tested in the core's own tests against the image
    itself), its encoder where tile-parts are split by component or layer.
    """
    components = draw(st.sampled_from([1, 1, 3, 4]))
    bits = draw(st.integers(1, 16))
    options = ["-n", str(draw(st.integers(1, 7)))]
    if draw(st.booleans()):
        options.append("-I")
    rate = draw(st.sampled_from(["", "", "-r 20", "-r 30,10,1", "-r 8,4", "-q 30", "-q 20,40"]))
    options += rate.split()
    options += ["-b", draw(st.sampled_from(["4,4", "64,64", "32,32", "16,8", "1024,4", "4,1024", "128,32", "8,512"]))]
    style = draw(st.sampled_from([0, 0, 0, *range(1, 64)]))
    if style:
        options += ["-M", str(style)]
    options += ["-p", draw(st.sampled_from(["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"]))]
    if draw(st.booleans()):
        options += ["-c", draw(st.sampled_from(["[128,128]", "[64,64],[32,32]", "[32,16],[64,128],[16,16]"]))]
    if draw(st.integers(0, 3)) == 0:
        options += ["-t", draw(st.sampled_from(["16,20", "33,64", "64,70", "100,20"]))]
    if draw(st.integers(0, 3)) == 0:
        options += ["-d", draw(st.sampled_from(["1,0", "3,7", "16,39", "0,5"]))]
    if draw(st.integers(0, 5)) == 0 and not style & 1:
        options += ["-ROI", f"c=0,U={draw(st.sampled_from([3, 5, 9]))}"]
    options += draw(st.sampled_from([[], ["-SOP"], ["-EPH"], ["-SOP", "-EPH"]]))
    if components == 3:
        options += ["-mct", draw(st.sampled_from(["0", "1"]))]
    return Stream(
        rows=draw(st.integers(1, 160)),
        columns=draw(st.integers(1, 160)),
        components=components,
        bits=bits,
        is_signed=bits > 1 and draw(st.integers(0, 4)) == 0,
        kind=draw(st.integers(0, 2)),
        seed=draw(st.integers(0, 1000)),
        options=tuple(options),
    )


def require(held: bool) -> None:
    """What OpenJPEG's programs must do: of parameters drawn at random some make them stop."""
    if currently_in_test_context():
        assume(held)
    assert held


def encode(stream: Stream, folder: Path) -> bytes:
    """The code stream; assumes that OpenJPEG's encoder survives these parameters."""
    raw, out = folder / "in.rawl", folder / "out.j2k"
    out.unlink(missing_ok=True)
    raw.write_bytes(stream.image().astype(stream.raw_dtype).tobytes())
    sign = "s" if stream.is_signed else "u"
    layout = f"{stream.columns},{stream.rows},{stream.components},{stream.bits},{sign}"
    done = subprocess.run(
        ["opj_compress", "-i", raw, "-o", out, "-F", layout, *stream.options], capture_output=True, check=False
    )
    data = out.read_bytes() if done.returncode == 0 and out.exists() else b""
    require(data[:2] == b"\xff\x4f")
    return data


def decode_by_openjpeg(stream: Stream, folder: Path, levels: int = 0) -> Image:
    """(rows, columns, components)."""
    out = folder / "theirs.rawl"
    out.unlink(missing_ok=True)
    command = ["opj_decompress", "-i", folder / "out.j2k", "-o", out, "-r", str(levels)]
    done = subprocess.run(command, capture_output=True, check=False)
    require(done.returncode == 0)
    flat = np.frombuffer(out.read_bytes(), stream.raw_dtype)
    rows, columns = (stream.rows + (1 << levels) - 1) >> levels, (stream.columns + (1 << levels) - 1) >> levels
    require(flat.size == rows * columns * stream.components)
    image = flat.reshape(stream.components, rows, columns).transpose(1, 2, 0).astype(np.int64)
    half = 1 << (stream.bits - 1)
    return ((image & (2 * half - 1)) ^ half) - half if stream.is_signed else image  # it cuts the sign off


def decode(stream: Stream, data: bytes) -> Image:
    dtype = {(8, False): "u1", (8, True): "i1", (16, False): "<u2", (16, True): "<i2"}
    out = np.empty(
        (stream.rows, stream.columns, stream.components), dtype[16 if stream.bits > 8 else 8, stream.is_signed]
    )
    _core.decode(data, LOSSLESS, stream.pixels, out=out)
    return out.astype(np.int64)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(stream=streams())
def test_same_samples_as_openjpeg(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = encode(stream, folder)
    theirs = decode_by_openjpeg(stream, folder)
    np.testing.assert_array_equal(decode(stream, data), theirs)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(stream=streams(), data=st.data())
def test_a_damaged_stream_is_an_error_with_an_offset_or_an_image(
    stream: Stream, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good = bytearray(encode(stream, tmp_path_factory.getbasetemp()))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    bad = bytes(good[: data.draw(st.integers(1, len(good)))])
    offset = 0
    try:
        decode(stream, bad)
    except DataError as error:
        offset = error.offset or 0
    assert offset <= len(bad)


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "options", [("-n", "4"), ("-n", "5", "-I", "-r", "12"), ("-n", "4", "-t", "64,64", "-b", "32,32")]
)
@pytest.mark.parametrize("components", [1, 3])
def test_lower_resolutions_and_threads(levels: int, options: tuple[str, ...], components: int, tmp_path: Path) -> None:
    stream = Stream(131, 203, components, 12, False, 0, 4, options)
    data = encode(stream, tmp_path)
    theirs = decode_by_openjpeg(stream, tmp_path, levels)
    assert _core.jpeg2000_size(data, levels) == theirs.shape[:2]
    for threads in (1, 4):
        out = np.empty(theirs.shape, np.uint16)
        _core.decode_jpeg2000(data, stream.pixels, levels, threads, out=out)
        np.testing.assert_array_equal(out, theirs)


def test_more_levels_than_there_are_or_another_size(tmp_path: Path) -> None:
    stream = Stream(64, 64, 1, 8, False, 0, 4, ("-n", "3"))
    data = encode(stream, tmp_path)
    with pytest.raises(HilumError, match="fewer resolution levels"):
        _core.jpeg2000_size(data, 3)
    with pytest.raises(HilumError, match="the image has 32x32x1 samples"):
        _core.decode_jpeg2000(data, stream.pixels, 1, out=bytearray(64 * 64))
