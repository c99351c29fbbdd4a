"""A slow twin of what comes after the VOI LUT, in NumPy: presentation LUT, scaling, shutters, overlays, rotation.

From PS3.3 C.7.6.11, C.9.2, C.10.4, C.10.6 and C.11.6; display values are floats from 0 to `full`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def quantise(values: Array) -> Array:
    """Halves up, as the renderer does."""
    return np.floor(values + 0.5)


def presentation_lut(values: Array, full: float, entries: tuple[int, ...], bits: int) -> Array:
    """C.11.6.1: the VOI LUT's output range is laid over the entries, the output over 2**bits - 1."""
    index = quantise(values / full * (len(entries) - 1)).astype(int)
    shares: Array = np.minimum(np.asarray(entries)[index] / (2**bits - 1), 1.0)
    return shares * full


def percentile_window(kept: Array, low: float, high: float) -> tuple[float, float]:
    """The least values that `low` and `high` percent of all do not exceed; with all in one, least and greatest."""
    ordered = np.sort(kept, axis=None)
    ranks = [min(max(int(np.ceil(ordered.size * p / 100.0)), 1), ordered.size) for p in (low, high)]
    first, last = (float(ordered[rank - 1]) for rank in ranks)
    return (first, last) if first < last else (float(ordered[0]), float(ordered[-1]))


def axis_matrix(source: int, target: int, cubic: bool) -> Array:
    """Weights of one axis: areas where it shrinks, a triangle or Keys' cubic (a = -1/2) where it grows."""
    weights = np.zeros((target, source))
    for i in range(target):
        if target < source:
            begin, end = Fraction(i * source, target), Fraction((i + 1) * source, target)
            for k in range(source):
                covered = min(end, Fraction(k + 1)) - max(begin, Fraction(k))
                weights[i, k] = float(max(covered, Fraction(0)) / (end - begin))
            continue
        center = (i + 0.5) * source / target - 0.5
        for k in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3):
            t = abs(center - k)
            if cubic and target != source:
                weight = (
                    1.5 * t**3 - 2.5 * t**2 + 1 if t < 1 else (-0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0)
                )
            else:
                weight = max(1 - t, 0.0)
            weights[i, min(max(k, 0), source - 1)] += weight
    return weights


def scale(image: Array, rows: int, columns: int, cubic: bool = False) -> Array:
    """Separable, of grey or RGB."""
    down = np.tensordot(axis_matrix(image.shape[0], rows, cubic), image, axes=(1, 0))
    across = np.tensordot(axis_matrix(image.shape[1], columns, cubic), down, axes=(1, 1))
    return np.swapaxes(across, 0, 1)


def rectangle(size: tuple[int, int], edges: tuple[int, int, int, int]) -> Array:
    """Hidden pixels: edges (left, right, upper, lower) are the last to be seen, counted from 1."""
    row, column = np.mgrid[1 : size[0] + 1, 1 : size[1] + 1]
    left, right, upper, lower = edges
    return (column < left) | (column > right) | (row < upper) | (row > lower)


def circle(size: tuple[int, int], where: tuple[int, int, int], aspect: float = 1.0) -> Array:
    """Hidden pixels: the radius counts pixels along a row."""
    row, column = np.mgrid[1 : size[0] + 1, 1 : size[1] + 1]
    y, x, radius = where
    return (column - x) ** 2 + ((row - y) * aspect) ** 2 > radius**2


def polygon(size: tuple[int, int], vertices: tuple[tuple[int, int], ...]) -> Array:
    """Hidden pixels: neither inside (even-odd) nor on an edge, in whole numbers."""
    hidden = np.ones(size, bool)
    edges = list(zip(vertices, vertices[1:] + vertices[:1], strict=True))
    for r in range(1, size[0] + 1):
        for c in range(1, size[1] + 1):
            inside = False
            for (r0, c0), (r1, c1) in edges:
                cross = (c1 - c0) * (r - r0) - (c - c0) * (r1 - r0)
                if cross == 0 and min(r0, r1) <= r <= max(r0, r1) and min(c0, c1) <= c <= max(c0, c1):
                    inside = True
                    break
                if (r0 > r) != (r1 > r) and Fraction(c) < c0 + Fraction((r - r0) * (c1 - c0), r1 - r0):
                    inside = not inside
            hidden[r - 1, c - 1] = not inside
    return hidden


def outline(plane: Array) -> Array:
    """Pixels that are set and have a neighbour, of four, that is not."""
    padded = np.pad(plane, 1)
    whole = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: Array = plane & ~whole
    return edge


def paint(image: Array, mask: Array, value: Any, rows: int, columns: int) -> Array:
    """Over a picture of rows x columns, by the covered share of each pixel."""
    alpha = scale(mask.astype(float), rows, columns)
    alpha = alpha[..., None] if image.ndim == 3 else alpha
    return image + (np.asarray(value, float) - image) * alpha


def orient(image: Array, rotation: int, flip: bool) -> Array:
    """C.10.6: clockwise, then left to right."""
    turned = np.rot90(image, -rotation // 90)
    return turned[:, ::-1] if flip else turned
