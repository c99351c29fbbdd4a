"""Slow twins of sampling voxels, in NumPy."""

from __future__ import annotations

import numpy as np


def linear(array: np.ndarray, points: np.ndarray) -> np.ndarray:
    """With half a voxel of border: NaN outside; points (..., 3) of x, y, z in voxels."""
    size = np.array(array.shape[::-1])
    inside = ((points >= -0.5) & (points < size - 0.5)).all(-1)
    p = np.clip(np.where(inside[..., None], points, 0), 0, size - 1)
    low = np.floor(p).astype(int)
    high, w = np.minimum(low + 1, size - 1), p - low
    total = np.zeros(p.shape[:-1])
    for corner in range(8):
        pick = [high if corner >> a & 1 else low for a in range(3)]
        weight = np.prod([w[..., a] if corner >> a & 1 else 1 - w[..., a] for a in range(3)], axis=0)
        total += weight * array[pick[2][..., 2], pick[1][..., 1], pick[0][..., 0]]
    return np.where(inside, total, np.nan)


def nearest(array: np.ndarray, points: np.ndarray) -> np.ndarray:
    size = np.array(array.shape[::-1])
    at = np.floor(points + 0.5).astype(int)
    inside = ((at >= 0) & (at < size)).all(-1)
    at = np.where(inside[..., None], at, 0)
    return np.where(inside, array[at[..., 2], at[..., 1], at[..., 0]], 0)
