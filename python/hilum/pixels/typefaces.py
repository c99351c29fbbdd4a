"""Fonts: DejaVu Sans of the package, and those of the system for letters that it lacks (Chinese, Japanese, Korean).

Fonts of the system are looked for by name where fontconfig has its files, or named by ``HILUM_FONTS``: paths, separated
as in ``PATH``; empty: none. Letters of no font are boxes.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["OWN", "fallback_fonts", "letters_of", "runs", "typeface"]

OWN: Final = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_VARIABLE: Final = "HILUM_FONTS"
_NAMES: Final = (
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "NanumGothic.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "unifont.otf",
    "unifont.ttf",
)
"""Free fonts with Chinese, Japanese or Korean letters; the first one that has a letter draws it."""
_FOLDERS: Final = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_MOST_BYTES: Final = 256 << 20
_MOST_LETTERS: Final = 0x110000


def fallback_fonts() -> tuple[Path, ...]:
    """Fonts for letters that DejaVu Sans lacks, the first one first; those that cannot be read are left out."""
    return _fallback_fonts(os.environ.get(_VARIABLE))


@lru_cache(maxsize=4)
def _fallback_fonts(named: str | None) -> tuple[Path, ...]:
    if named is not None:
        return tuple(path for part in named.split(os.pathsep) if part and len(letters_of(path := Path(part))))
    there: dict[str, Path] = {}
    for folder in _FOLDERS:
        for place, _, files in os.walk(Path(folder).expanduser()):
            for name in files:
                if name in _NAMES:
                    there.setdefault(name, Path(place, name))
    found = (there[name] for name in _NAMES if name in there)
    return tuple(path for path in found if len(letters_of(path)))


@lru_cache(maxsize=64)
def typeface(path: Path, size: int) -> Any:
    """Font of Pillow, letters `size` pixels high."""
    from PIL import ImageFont

    return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=8)
def letters_of(path: Path) -> npt.NDArray[np.uint32]:
    """Code points that a TrueType or OpenType font (the first of a collection) has glyphs for, sorted.

    Returns
    -------
    ndarray
        Empty where the file is none, is damaged or longer than 256 MiB.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            return np.empty(0, np.uint32)
        found = _letters(path.read_bytes())
        typeface(path, 16)
    except (OSError, struct.error, ValueError, IndexError):
        return np.empty(0, np.uint32)
    return found


def _letters(data: bytes) -> npt.NDArray[np.uint32]:
    """Read the character map (OpenType ``cmap``, formats 4 and 12)."""
    start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
    (count,) = struct.unpack_from(">H", data, start + 4)
    tables = (struct.unpack_from(">4sIII", data, start + 12 + 16 * number) for number in range(count))
    cmap = next((offset for tag, _, offset, _ in tables if tag == b"cmap"), len(data))
    (count,) = struct.unpack_from(">H", data, cmap + 2)
    parts = [np.empty(0, np.uint32)]
    for number in range(count):
        at = cmap + struct.unpack_from(">HHI", data, cmap + 4 + 8 * number)[2]
        (kind,) = struct.unpack_from(">H", data, at)
        if kind == 12:
            (groups,) = struct.unpack_from(">I", data, at + 12)
            ranges = np.frombuffer(data, ">u4", 3 * groups, at + 16).reshape(-1, 3)[:, :2].astype(np.int64)
            if int(np.sum(ranges[:, 1] - ranges[:, 0])) > _MOST_LETTERS:
                raise ValueError("more letters than Unicode has")
            parts += [np.arange(first, last + 1, dtype=np.uint32) for first, last in ranges.tolist()]
        elif kind == 4:
            parts += _segments(data, at)
    return np.unique(np.concatenate(parts))


def _segments(data: bytes, at: int) -> Iterator[npt.NDArray[np.uint32]]:
    """Code points of a map of format 4; those of a segment with a list of glyphs may have none."""
    count = struct.unpack_from(">H", data, at + 6)[0] // 2
    ends, starts, _, offsets = (
        np.frombuffer(data, ">u2", count, at + 14 + 2 * (count * part + (part > 0))).tolist() for part in range(4)
    )
    if sum(max(0, last - first) for first, last in zip(starts, ends, strict=True)) > _MOST_LETTERS:
        raise ValueError("more letters than Unicode has")
    lists = at + 16 + 6 * count
    for number, (first, last, offset) in enumerate(zip(starts, ends, offsets, strict=True)):
        codes = np.arange(first, last + 1, dtype=np.uint32)
        if offset and len(codes):
            codes = codes[np.frombuffer(data, ">u2", len(codes), lists + 2 * number + offset) > 0]
        yield codes


def _has(path: Path, letter: str) -> bool:
    letters = letters_of(path)
    at = int(np.searchsorted(letters, ord(letter)))
    return at < len(letters) and int(letters[at]) == ord(letter)


def _font_of(letter: str) -> Path:
    """Font for a letter; the fonts of the system are not looked for without need."""
    if _has(OWN, letter):
        return OWN
    return next((path for path in fallback_fonts() if _has(path, letter)), OWN)


def runs(line: str) -> list[tuple[Path, str]]:
    """Take a line apart into pieces of one font.

    Parameters
    ----------
    line : str
        Without line ends.

    Returns
    -------
    list of (Path, str)
        In order; the pieces make the line.
    """
    if line.isascii():
        return [(OWN, line)]
    return [(path, "".join(piece)) for path, piece in groupby(line, key=_font_of)]
