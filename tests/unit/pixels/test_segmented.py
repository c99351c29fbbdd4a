"""Segmented palettes against pydicom's expansion."""

from __future__ import annotations

import struct

import pytest
from pydicom.pixels.processing import _expand_segmented_lut

from hilum.errors import DataError
from hilum.pixels.segmented import expand_segments

CASES = [
    [0, 3, 1, 2, 3],
    [0, 1, 0, 1, 255, 65535],
    [0, 1, 1000, 1, 100, 0, 1, 155, 5],
    [0, 2, 7, 9, 1, 4, 49, 2, 2, 0, 0, 0, 1, 5],
]


@pytest.mark.parametrize("words", CASES)
def test_equals_pydicom(words: list[int]) -> None:
    theirs = _expand_segmented_lut(tuple(words), "<H")
    ours = expand_segments(words, len(theirs))
    assert len(ours) == len(theirs)
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1  # they cut, we round


@pytest.mark.parametrize(
    "words",
    [[], [1, 5, 9], [0, 9, 1], [3, 1, 1], [0, 1, 5, 2, 1], [0, 1, 5, 2, 1, 9, 9], [0, 1, 5, 2, 1, 1, 0], [0, 1, 5]],
)
def test_what_cannot_be(words: list[int]) -> None:
    with pytest.raises(DataError):
        expand_segments(words, 16)


def test_a_segment_that_repeats_itself_ends() -> None:
    """An indirect segment may not lead to another: no expansion without end."""
    words = [0, 1, 5, 1, 65535, 9, *([2, 65535, 0, 0] * 1000)]
    assert len(struct.pack(f"<{len(words)}H", *words)) < 10_000
    assert len(expand_segments(words, 65536)) == 65536
