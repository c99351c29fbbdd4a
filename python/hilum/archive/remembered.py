"""Instances of series that are asked for again and again: found once, until something happens to their study."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from hilum.errors import NotFound

if TYPE_CHECKING:
    from hilum.index.base import Index, InstanceRecord

__all__ = ["SeriesMemory"]

_KEPT: Final = 64
_LOOK_AT: Final = 256


class SeriesMemory:
    """Records of the instances of a few series; thread-safe. What the index says is what it gives, only sooner.

    Parameters
    ----------
    index : Index
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: OrderedDict[tuple[str, str], tuple[int, list[InstanceRecord]]] = OrderedDict()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def get(self, study_uid: str, series_uid: str) -> list[InstanceRecord]:
        """Find the current instances of a series, in display order.

        Raises
        ------
        NotFound
            There is none.
        """
        key = study_uid, series_uid
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            events = self._index.events(known[0], _LOOK_AT)
            if len(events) < _LOOK_AT and all(event.study_instance_uid != study_uid for event in events):
                if events:
                    known = events[-1].sequence, known[1]
                self._keep(key, known)
                return list(known[1])
        last = self._index.last_event()  # before the instances: what comes between is seen again
        found = self._index.instances(study_uid, series_uid)
        if not found:
            raise NotFound("there is no such series")
        self._keep(key, (last.sequence if last is not None else 0, found))
        return list(found)

    def _keep(self, key: tuple[str, str], known: tuple[int, list[InstanceRecord]]) -> None:
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
