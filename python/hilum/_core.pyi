"""hilum's engine. Private: use the package's modules."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer

# --- json

def decode_text(
    data: Buffer, character_set: str = "", kind: Literal["values", "text", "person_name"] = "values"
) -> tuple[str, bool]: ...

# --- codec

_Pixels: TypeAlias = tuple[int, int, int, int, int, int, int, int, str, int, str]

def decode(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: _Pixels,
    frame_bit_offset: int = 0,
    *,
    out: Buffer | npt.NDArray[Any],
) -> None: ...
def check_pixels(pixels: _Pixels) -> None: ...
def codecs() -> tuple[tuple[str, str, str, str], ...]: ...
