"""Volumes of an archive: what `hilum.volumes` needs to know of packs, index and decoders, and bricks made ahead."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

from hilum.archive.completion import read_completed
from hilum.errors import HilumError, NotAVolume, NotFound
from hilum.pixels.quantity import suv_factor
from hilum.volumes.disk import VolumeDisk
from hilum.volumes.store import VolumeStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.archive.retrieve import Retriever
    from hilum.config import Settings
    from hilum.index.base import InstanceRecord
    from hilum.pixels.quantity import SuvKind
    from hilum.storage.packs import PackStore
    from hilum.volumes.volume import Volume

__all__ = ["VolumesAhead", "open_volumes", "series_volumes"]

LOGGER = logging.getLogger("hilum.archive")
_AHEAD: Final = frozenset({"CT", "MR", "PT"})


def open_volumes(
    root: Path, packs: PackStore, retrieve: Retriever, settings: Settings, *, read_only: bool
) -> VolumeStore:
    """Open the volumes of an archive; nothing is written before one is made."""

    def decode(refs: Sequence[tuple[InstanceRecord, int]], out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        return retrieve.decode_frames(refs, out)

    def factor(record: InstanceRecord, kind: str) -> float:
        return suv_factor(retrieve.dataset(record), cast("SuvKind", kind))

    disk = VolumeDisk(
        root / "volumes",
        disk_bytes=settings.volumes.disk_bytes,
        warm_bytes=settings.volumes.warm_bytes,
        reserve_bytes=settings.storage.reserve_bytes,
    )
    return VolumeStore(packs, disk, current=retrieve.current, decode=decode, suv_factor=factor, read_only=read_only)


def series_volumes(archive: Archive, study_uid: str, series_uid: str) -> list[Volume]:
    """All volumes of a series, the largest first; none if it is no volume."""
    records = archive.series_records(study_uid, series_uid)
    count = len(archive.volumes.assembly(records).stacks)
    return [archive.volumes.volume(records, index) for index in range(count)]


class VolumesAhead:
    """Makes the bricks of CT, MR and PET series of studies that have become complete, one at a time, in a thread.

    Parameters
    ----------
    archive : Archive
    poll_s : float
        Between two looks at what is complete.
    """

    def __init__(self, archive: Archive, poll_s: float = 2.0) -> None:
        self._archive = archive
        self._poll_s = poll_s
        self._since = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hilum-volumes-ahead", daemon=True)

    def start(self) -> None:
        """Begin with what becomes complete from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the volume that is being made."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()

    def look(self) -> int:
        """Make what is due; returns how many volumes were made."""
        made = 0
        for study in read_completed(self._archive.root, self._since):
            self._since = max(self._since, study.time)
            try:
                series = self._archive.series(study_instance_uid=study.study_instance_uid)
            except NotFound:
                continue
            for one in series:
                if one.modality in _AHEAD and not self._stop.is_set():
                    made += self._make(study.study_instance_uid, one.series_instance_uid)
        return made

    def _make(self, study_uid: str, series_uid: str) -> int:
        try:
            volumes = series_volumes(self._archive, study_uid, series_uid)
            for volume in volumes:
                _ = volume.path
        except (NotAVolume, NotFound):
            return 0
        except HilumError as error:  # asked for again, it will be tried again and its error told
            LOGGER.warning("a volume was not made ahead: %s", type(error).__name__)
            return 0
        return len(volumes)
