"""The Zarr v3 codec ``hilum.dicom``: a chunk is a DICOM frame as it is stored (``docs/formats/zarr.md``).

Registered for zarr-python by the entry point group ``zarr.codecs``: a program that has hilum installed reads such
arrays without importing it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from zarr.abc.codec import ArrayBytesCodec

from hilum.codecs.decode import decode_frame
from hilum.errors import UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["CODEC_NAME", "EQUIVALENTS", "DicomFrameCodec", "codec_metadata"]

CODEC_NAME: Final = "hilum.dicom"

EQUIVALENTS: Final[dict[str, str]] = {
    "1.2.840.10008.1.2.5": "imagecodecs_dicomrle",
    "1.2.840.10008.1.2.4.50": "imagecodecs_jpeg",
    "1.2.840.10008.1.2.4.51": "imagecodecs_jpeg",
    "1.2.840.10008.1.2.4.57": "imagecodecs_jpeg",
    "1.2.840.10008.1.2.4.70": "imagecodecs_jpeg",
    "1.2.840.10008.1.2.4.80": "imagecodecs_jpegls",
    "1.2.840.10008.1.2.4.81": "imagecodecs_jpegls",
    "1.2.840.10008.1.2.4.90": "imagecodecs_jpeg2k",
    "1.2.840.10008.1.2.4.91": "imagecodecs_jpeg2k",
    "1.2.840.10008.1.2.4.110": "imagecodecs_jpegxl",
    "1.2.840.10008.1.2.4.111": "imagecodecs_jpegxl",
    "1.2.840.10008.1.2.4.112": "imagecodecs_jpegxl",
    "1.2.840.10008.1.2.4.201": "imagecodecs_htj2k",
    "1.2.840.10008.1.2.4.202": "imagecodecs_htj2k",
    "1.2.840.10008.1.2.4.203": "imagecodecs_htj2k",
}
"""Transfer syntax to the numcodecs codec of imagecodecs that decodes its frames."""


def codec_metadata(transfer_syntax_uid: str, pixels: PixelDescription) -> dict[str, Any]:
    """Codec entry of a ``zarr.json``: the pixel description by the names of PS3.3 C.7.6.3 in snake_case."""
    configuration: dict[str, Any] = {"transfer_syntax_uid": transfer_syntax_uid, "pixels": asdict(pixels)}
    if transfer_syntax_uid in EQUIVALENTS:
        configuration["numcodecs"] = EQUIVALENTS[transfer_syntax_uid]
    return {"name": CODEC_NAME, "configuration": configuration}


@dataclass(frozen=True)
class DicomFrameCodec(ArrayBytesCodec):
    """Decodes frames; frames are written by modalities, so it does not encode."""

    transfer_syntax_uid: str
    pixels: PixelDescription

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read a codec entry.

        Raises
        ------
        UsageError
            It is none of ours, or lacks something.
        """
        try:
            configuration = data["configuration"]
            return cls(str(configuration["transfer_syntax_uid"]), PixelDescription(**configuration["pixels"]))
        except (KeyError, TypeError) as error:
            raise UsageError(f"{CODEC_NAME}: the configuration lacks something") from error

    def to_dict(self) -> dict[str, Any]:
        """Give the codec entry."""
        return codec_metadata(self.transfer_syntax_uid, self.pixels)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        frame = decode_frame(chunk_data.to_bytes(), self.transfer_syntax_uid, self.pixels)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(frame.reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise UsageError(f"{CODEC_NAME}: arrays of stored frames are read only")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Refuse: the size of a frame is not known before it is there."""
        raise UsageError(f"{CODEC_NAME}: the size of a stored frame is not known beforehand")
