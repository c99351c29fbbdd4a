"""Data elements in another encoding, and what JPEG code streams say of their colour: the core's, for the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["Layout", "jpeg_colour", "read_layout", "rewrite"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the data set of an object is and how its elements are written, as found."""

    has_meta: bool
    meta_offset: int
    dataset_offset: int
    explicit_vr: bool
    big_endian: bool

    @property
    def encoding(self) -> tuple[bool, bool]:
        """(explicit VR, big endian)."""
        return self.explicit_vr, self.big_endian


def read_layout(data: Buffer) -> Layout:
    """Find the data set of a Part-10 file or a bare data set.

    Raises
    ------
    DataError
        It is neither.
    """
    return Layout(*_core.layout(data))


def rewrite(
    data: Buffer,
    begin: int,
    source: tuple[bool, bool],
    target: tuple[bool, bool],
    *,
    pixels_signed: bool = False,
    replacements: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Write elements in another encoding; with the same one, all but the replacements is copied byte for byte.

    Parameters
    ----------
    data : bytes-like
    begin : int
        Where the first element is; the last one ends with `data`.
    source, target : (explicit VR, big endian)
    pixels_signed : bool
        Pixel Representation, which decides between US and SS where VRs have to be found.
    replacements : sequence of (tag, element)
        By ascending tag, each a whole element in `target`; empty bytes leave an element out.

    Raises
    ------
    DataError
        The elements cannot be read.
    """
    return _core.rewrite(data, begin, source, target, pixels_signed, list(replacements))


def jpeg_colour(data: Buffer) -> str:
    """``"rgb"``, ``"ycc"``, or empty where the code stream does not say."""
    return _core.jpeg_colour(data)
