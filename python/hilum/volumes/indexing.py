"""NumPy's indices as boxes of voxels."""

from __future__ import annotations

from typing import Any

from hilum.errors import UsageError

__all__ = ["box_of"]


def box_of(key: Any, shape: tuple[int, ...]) -> tuple[list[tuple[int, int]], list[bool]]:
    """(first, size) along each axis, and which axes stay.

    Raises
    ------
    UsageError
        More indices than axes, or steps other than 1.
    IndexError
        An index outside of the shape.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if sum(part is Ellipsis for part in parts) > 1 or len(parts) - (Ellipsis in parts) > len(shape):
        raise UsageError("too many indices")
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    box, kept = [], []
    for part, size in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            start, stop, step = part.indices(size)
            if step != 1:
                raise UsageError("a volume is sliced with a step of 1")
            box.append((start, max(stop - start, 0)))
        else:
            at = int(part)
            if not -size <= at < size:
                raise IndexError("the index is outside of the volume")
            box.append((at % size, 1))
        kept.append(isinstance(part, slice))
    return box, kept
