"""Objects in other transfer syntaxes: what a loss has to say of itself, icons, offset tables, memory."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames, parse_basic_offsets
from pydicom.filebase import DicomBytesIO

from hilum.archive.stored_object import StoredObject, object_in_bytes, object_in_file
from hilum.archive.transcode import frame_in_syntax, transcode_object
from hilum.codecs.decode import decode_frame
from hilum.codecs.encode import LOSSLESS, EncodeOptions, encode_frame
from hilum.types import PixelDescription

ROOT = "1.2.840.10008.1.2"
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
JPEG, JPEG_LS, JPEG_LS_NEAR, J2K, HTJ2K_LOSSY, RLE = (
    f"{ROOT}.{t}" for t in ("4.50", "4.80", "4.81", "4.91", "4.203", "5")
)


def made(stored: StoredObject, uid: str, options: EncodeOptions | None = None, **choices: Any) -> pydicom.FileDataset:
    result = transcode_object(stored, uid, options, **choices)
    data = b"".join(result.pieces)
    assert len(data) == result.length
    return pydicom.dcmread(io.BytesIO(data))


def written(dataset: Dataset) -> bytes:
    out = DicomBytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return bytes(out.getvalue())


# Loss


@pytest.mark.parametrize(
    ("uid", "options", "method"),
    [
        (JPEG, EncodeOptions(quality=80), "ISO_10918_1"),
        (JPEG_LS_NEAR, EncodeOptions(near=3), "ISO_14495_1"),
        (J2K, EncodeOptions(ratio=12.0), "ISO_15444_1"),
        (HTJ2K_LOSSY, EncodeOptions(step=0.02), "ISO_15444_15"),
    ],
)
def test_an_object_compressed_with_loss_says_so(uid: str, options: EncodeOptions, method: str) -> None:
    """PS3.3 C.7.6.1.1.2, C.7.6.1.1.5; PS3.4: a new SOP Instance, derived from the one there was."""
    source = pydicom.dcmread(DEMO / "op-fundus.dcm")
    source.ImageType = ["ORIGINAL", "PRIMARY", "X"]
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        source.pop(keyword, None)
    stored = object_in_bytes(written(source))
    result = made(stored, uid, options)
    assert list(result.ImageType) == ["DERIVED", "PRIMARY", "X"]
    assert result.LossyImageCompression == "01"
    assert result.LossyImageCompressionMethod == method
    size = sum(len(frame) for frame in generate_frames(result.PixelData, number_of_frames=1))
    expected = source.Rows * source.Columns / size
    assert float(result.LossyImageCompressionRatio) == pytest.approx(expected, rel=0.01)
    assert method in result.DerivationDescription
    assert result.DerivationCodeSequence[-1].CodeValue == "113040"
    assert result.SourceImageSequence[-1].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID != source.SOPInstanceUID
    assert result.SOPInstanceUID.is_valid
    again = made(stored, uid, options)
    assert again.SOPInstanceUID != result.SOPInstanceUID
    decoded = decode_frame(frame_in_syntax(stored, 0, uid, options), uid, stored.pixels)  # type: ignore[arg-type]
    difference = np.abs(decoded.astype(int) - stored.samples(0)[0].astype(int))
    assert 0 < difference.mean() < 8
    if uid == JPEG_LS_NEAR:
        assert difference.max() == 3
    changed = {0x00080008, 0x00080018, 0x00082111, 0x00082112, 0x00089215}
    untouched = {e.tag for e in source if e.tag.group != 0x7FE0 and e.tag not in changed}
    assert [tag for tag in untouched if result.get(tag) != source[tag]] == []


def test_a_second_loss_is_added_to_the_first() -> None:
    source = pydicom.dcmread(DEMO / "op-fundus.dcm")
    source.LossyImageCompression = "01"
    source.LossyImageCompressionRatio = "7.5"
    source.LossyImageCompressionMethod = "ISO_15444_1"
    source.DerivationDescription = "before"
    result = made(object_in_bytes(written(source)), JPEG_LS_NEAR)
    assert [float(value) for value in result.LossyImageCompressionRatio][:1] == [7.5]
    assert list(result.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_14495_1"]
    assert result.DerivationDescription.startswith("before; Lossy compression ISO_14495_1")


@pytest.mark.parametrize("uid", [JPEG_LS_NEAR, J2K, HTJ2K_LOSSY])
def test_without_loss_it_stays_the_object_that_it_was(uid: str) -> None:
    source = pydicom.dcmread(DEMO / "op-fundus.dcm")
    result = made(object_in_file(DEMO / "op-fundus.dcm"), uid, LOSSLESS)
    assert result.SOPInstanceUID == source.SOPInstanceUID
    assert result.ImageType == source.ImageType
    assert result.get("LossyImageCompression") == source.get("LossyImageCompression")


# Icons


def with_icon(uid: str, bits: int, *, colour: bool = False) -> tuple[bytes, np.ndarray[Any, Any]]:
    """A file in a compressed syntax whose icon is compressed in it too; and the values of the icon."""
    source = made(object_in_file(DEMO / "op-fundus.dcm"), uid, LOSSLESS)
    shape = (16, 20, 3) if colour else (16, 20)
    dtype = np.uint8 if bits == 8 else np.uint16
    values = np.random.default_rng(1).integers(0, 1 << bits, shape).astype(dtype)
    term = "RGB" if colour else "MONOCHROME2"
    pixels = PixelDescription(16, 20, 3 if colour else 1, 0, bits, bits, bits - 1, 0, term, 1, "PixelData")
    icon = Dataset()
    icon.SamplesPerPixel, icon.PhotometricInterpretation = pixels.samples_per_pixel, term
    icon.Rows, icon.Columns = 16, 20
    if colour:
        icon.PlanarConfiguration = 0
    icon.BitsAllocated = icon.BitsStored = bits
    icon.HighBit, icon.PixelRepresentation = bits - 1, 0
    icon.PixelData = encapsulate([encode_frame(values, uid, pixels)])
    icon["PixelData"].VR = "OB"
    icon["PixelData"].is_undefined_length = True
    source.IconImageSequence = [icon]
    return written(source), values


@pytest.mark.parametrize("target", [f"{ROOT}", f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.1.99", RLE, f"{ROOT}.4.90"])
@pytest.mark.parametrize(("bits", "colour"), [(8, False), (16, False), (8, True)])
def test_a_compressed_icon_becomes_a_native_one(target: str, bits: int, colour: bool) -> None:
    data, values = with_icon(JPEG_LS, bits, colour=colour)
    icon = made(object_in_bytes(data), target).IconImageSequence[0]
    order = ">" if target.endswith(".2.2") else "<"
    raw = np.frombuffer(icon.PixelData, values.dtype.newbyteorder(order if target == f"{ROOT}.2" else "<"))
    assert np.array_equal(raw.reshape(values.shape), values)
    assert not icon["PixelData"].is_undefined_length
    assert (icon.Rows, icon.Columns, icon.BitsStored) == (16, 20, bits)


def test_icons_in_the_syntax_they_are_in_and_native_ones_stay() -> None:
    data, _ = with_icon(JPEG_LS, 8)
    before = pydicom.dcmread(io.BytesIO(data)).IconImageSequence[0].PixelData
    assert made(object_in_bytes(data), JPEG_LS).IconImageSequence[0].PixelData == before
    native = made(object_in_bytes(data), f"{ROOT}.1")
    kept = made(object_in_bytes(written(native)), RLE).IconImageSequence[0].PixelData
    assert kept == native.IconImageSequence[0].PixelData


def test_an_icon_that_cannot_be_decoded_is_left_out() -> None:
    data, _ = with_icon(JPEG_LS, 8)
    source = pydicom.dcmread(io.BytesIO(data))
    source.IconImageSequence[0].PixelData = encapsulate([b"no JPEG-LS in here"])
    assert "IconImageSequence" not in made(object_in_bytes(written(source)), RLE)
    source = pydicom.dcmread(io.BytesIO(data))
    del source.IconImageSequence[0].Rows
    assert "IconImageSequence" not in made(object_in_bytes(written(source)), RLE)


# Offset tables


def test_offsets_that_a_basic_table_cannot_hold_are_in_an_extended_one() -> None:
    """The limit of 4 GiB made smaller; read by pydicom and by us."""
    stored = object_in_file(DEMO / "us-cine.dcm")
    plain = made(stored, JPEG_LS)
    assert "ExtendedOffsetTable" not in plain
    assert len(parse_basic_offsets(plain.PixelData)) == stored.frame_count
    result = transcode_object(stored, JPEG_LS, largest_offset=100_000)
    data = b"".join(result.pieces)
    assert len(data) == result.length
    extended = pydicom.dcmread(io.BytesIO(data))
    assert parse_basic_offsets(extended.PixelData) == []
    offsets = np.frombuffer(extended.ExtendedOffsetTable, "<u8")
    lengths = np.frombuffer(extended.ExtendedOffsetTableLengths, "<u8")
    assert len(offsets) == len(lengths) == stored.frame_count
    assert offsets[0] == 0 and np.all(np.diff(offsets) == lengths[:-1] + lengths[:-1] % 2 + 8)
    table = (extended.ExtendedOffsetTable, extended.ExtendedOffsetTableLengths)
    frames = list(generate_frames(extended.PixelData, extended_offsets=table))
    again = object_in_bytes(data)
    assert again.frames is not None and again.frame_count == stored.frame_count
    for number in (0, 7, stored.frame_count - 1):
        ((fragment,), _) = again.stored_frame(number)
        assert fragment[: len(frames[number])] == frames[number] == fragment
        assert np.array_equal(again.samples(number)[0], stored.samples(number)[0])
    back = made(again, f"{ROOT}.1")
    assert "ExtendedOffsetTable" not in back and "ExtendedOffsetTableLengths" not in back


# Memory

BOUNDED = """
    import resource, sys
    from pathlib import Path
    from hilum.archive.stored_object import object_in_file
    from hilum.archive.transcode import transcode_object
    from hilum.codecs.encode import LOSSLESS

    def grown():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) << 10

    stored = object_in_file(sys.argv[1])
    limit = grown() + (96 << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    made = transcode_object(stored, sys.argv[2], LOSSLESS, threads=2)
    size = 0
    with open(sys.argv[3], "wb") as out:
        for piece in made.pieces:
            size += out.write(piece)
    assert size == made.length
    print(size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
@pytest.mark.parametrize("target", [RLE, f"{ROOT}.2"])
def test_an_object_of_any_size_takes_bounded_memory(tmp_path: Path, target: str) -> None:
    """128 MiB of noise within 96 MiB: what is compressed waits on disk, frames go through one by one."""
    frames, side = 64, 1024
    ds = pydicom.dcmread(DEMO / "op-fundus.dcm", stop_before_pixels=True)
    ds.Rows = ds.Columns = side
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.NumberOfFrames = 15, frames
    ds.file_meta.TransferSyntaxUID = f"{ROOT}.1"
    noise = np.random.default_rng(1).integers(0, 65536, side * side).astype("<u2").tobytes()
    head = written(ds)
    with (tmp_path / "large.dcm").open("wb") as out:
        out.write(head + b"\xe0\x7f\x10\0OW\0\0" + (frames * len(noise)).to_bytes(4, "little"))
        for _ in range(frames):
            out.write(noise)
    script = textwrap.dedent(BOUNDED)
    arguments = [str(tmp_path / "large.dcm"), target, str(tmp_path / "made.dcm")]
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 120 << 20
    assert object_in_file(tmp_path / "made.dcm").samples(frames - 1)[0].tobytes() == noise
