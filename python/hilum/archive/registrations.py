"""Spatial registrations that presentation states name (PS3.3 A.39, C.20.2)."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from hilum.errors import NotFound, UsageError
from hilum.volumes.registration import REGISTRATIONS, read_registration

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever

__all__ = ["Registrations"]

_DEFORMABLE: Final = "1.2.840.10008.5.1.4.1.1.66.3"
_KEPT: Final = 64


class Registrations:
    """Reads spatial registrations; those that were read last are kept. Thread-safe.

    Parameters
    ----------
    retriever : Retriever
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._kept: OrderedDict[bytes, dict[str, npt.NDArray[np.float64]]] = OrderedDict()
        self._lock = Lock()

    def matrices(self, uids: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
        """Matrices by frame of reference, to the registered one; see `read_registration`.

        Parameters
        ----------
        uids : iterable of str
            SOP Instance UIDs.

        Raises
        ------
        NotFound
            One is not stored.
        UsageError
            A deformable registration, or another object.
        DataError
            One is damaged.
        """
        found: dict[str, npt.NDArray[np.float64]] = {}
        for record in self._retriever.lookup(list(uids)):
            if record is None:
                raise NotFound("a spatial registration of the presentation state is not here")
            if record.sop_class_uid == _DEFORMABLE:
                raise UsageError("Deformable Spatial Registrations are not applied; Spatial Registrations are")
            if record.sop_class_uid not in REGISTRATIONS:
                raise UsageError("ReferencedSpatialRegistrationSequence (0070,0404) names no Spatial Registration")
            with self._lock:
                known = self._kept.get(record.sha256)
            if known is None:
                known = read_registration(self._retriever.dataset(record))
                with self._lock:
                    self._kept[record.sha256] = known
                    if len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
            found.update(known)
        return found
