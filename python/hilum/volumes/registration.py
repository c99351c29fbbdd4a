"""Spatial registrations (PS3.3 A.39, C.20.2): how frames of reference lie to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

__all__ = ["REGISTRATIONS", "is_rigid", "read_registration", "rigid_between"]

REGISTRATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.1"})
"""Spatial Registration Storage."""
_BAD_VALUE: Final = 8


def read_registration(dataset: pydicom.Dataset) -> dict[str, npt.NDArray[np.float64]]:
    """Read a spatial registration.

    Parameters
    ----------
    dataset : pydicom.Dataset
        The whole object.

    Returns
    -------
    dict
        By Frame of Reference UID (0020,0052): 4x4 from there to the registered frame of reference, LPS, mm; the
        registered one itself by the identity.

    Raises
    ------
    DataError
        A matrix that is none.
    """
    try:
        found = {str(dataset.FrameOfReferenceUID): np.eye(4)}
        for item in dataset.get("RegistrationSequence") or ():
            uid = str(item.get("FrameOfReferenceUID") or "")
            whole = np.eye(4)
            for step in item.get("MatrixRegistrationSequence") or ():
                for one in step.get("MatrixSequence") or ():
                    numbers = [float(v) for v in one.FrameOfReferenceTransformationMatrix]
                    whole = np.array(numbers).reshape(4, 4) @ whole
            if uid:
                found[uid] = whole
    except Exception as error:  # pydicom converts values late, with errors of any class
        raise DataError(f"the registration cannot be read ({type(error).__name__})", code=_BAD_VALUE) from None
    if not all(np.isfinite(matrix).all() and np.allclose(matrix[3], (0, 0, 0, 1)) for matrix in found.values()):
        raise DataError("Frame of Reference Transformation Matrix (3006,00C6) is none", code=_BAD_VALUE)
    return found


def rigid_between(
    matrices: dict[str, npt.NDArray[np.float64]], source: str, target: str
) -> npt.NDArray[np.float64] | None:
    """4x4 from one frame of reference to another, if a registration relates them by turning and moving alone."""
    if source not in matrices or target not in matrices:
        return None
    turn = matrices[target][:3, :3]
    if abs(float(np.linalg.det(turn))) < 1e-6:
        return None
    found = np.asarray(np.linalg.solve(matrices[target], matrices[source]), np.float64)
    return found if is_rigid(found) else None


def is_rigid(matrix: npt.NDArray[np.float64]) -> bool:
    """Whether a 4x4 turns and moves alone: no scale, shear or mirror."""
    linear = matrix[:3, :3]
    return bool(np.abs(linear @ linear.T - np.eye(3)).max() < 1e-4 and np.linalg.det(linear) > 0)
