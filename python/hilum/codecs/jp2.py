"""JPEG 2000 codestreams in the boxes of a JP2 file (ISO/IEC 15444-1 I.4)."""

from __future__ import annotations

from typing import Final

__all__ = ["jp2_boxed"]

_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  \r\n\x87\n"


def jp2_boxed(codestream: bytes) -> bytes:
    """Give a JPEG 2000 codestream in the boxes of a JP2 file (ISO/IEC 15444-1 I.4) that ``image/jp2`` promises."""
    if not codestream.startswith(_CODESTREAM) or len(codestream) < 49:
        return codestream
    width, height, x, y = (int.from_bytes(codestream[at : at + 4], "big") for at in (8, 12, 16, 20))
    components = int.from_bytes(codestream[40:42], "big")
    depth = codestream[42]
    width, height = width - x, height - y
    header = (
        height.to_bytes(4, "big") + width.to_bytes(4, "big") + components.to_bytes(2, "big") + bytes((depth, 7, 0, 0))
    )
    colour = b"\1\0\0" + (16 if components >= 3 else 17).to_bytes(4, "big")
    boxes = _box(b"ihdr", header) + _box(b"colr", colour)
    return _JP2_SIGNATURE + _box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + _box(b"jp2h", boxes) + _box(b"jp2c", codestream)


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content
