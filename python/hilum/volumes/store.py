"""The volumes of an archive: found in headers, made when they are asked for, mapped, remembered."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import DataError, LimitExceeded, NotFound, Unavailable
from hilum.volumes.assemble import assemble
from hilum.volumes.build import build, bytes_needed, key_of
from hilum.volumes.geometry import read_frames
from hilum.volumes.view import open_view
from hilum.volumes.volume import Volume
from hilum.volumes.warm import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hilum._core import VolumeView
    from hilum.index.base import InstanceRecord
    from hilum.storage.packs import PackStore
    from hilum.volumes.assemble import Assembly, Stack
    from hilum.volumes.build import Decode
    from hilum.volumes.disk import VolumeDisk
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["VolumeStore"]

LOGGER = logging.getLogger("hilum.volumes")
_NO_SPACE: Final = 201
_READ_ONLY: Final = 203
_KEPT_ASSEMBLIES: Final = 32
_KEPT_VIEWS: Final = 64
_ATTEMPTS: Final = 3
_LOOK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a series."""

    series: SeriesFrames
    assembly: Assembly
    volumes: dict[int, Volume] = field(default_factory=dict)
    """By number of the stack, as they were asked for."""


class VolumeStore:
    """The volumes of an archive; thread-safe, shared with other processes.

    Parameters
    ----------
    packs : PackStore
    disk : VolumeDisk
        ``ROOT/volumes``.
    current : callable
        Finds an object again that compaction has moved.
    decode : callable
        ``decode(refs, out)``: stored values of frames.
    suv_factor : callable
        ``suv_factor(record, kind)``: rescaled values of a PET object to SUV.
    read_only : bool
        Make nothing on disk.
    """

    def __init__(
        self,
        packs: PackStore,
        disk: VolumeDisk,
        *,
        current: Callable[[InstanceRecord], InstanceRecord],
        decode: Decode,
        suv_factor: Callable[[InstanceRecord, str], float],
        read_only: bool,
    ) -> None:
        self._packs = packs
        self._disk = disk
        self._current = current
        self.decode = decode
        self._suv_factor = suv_factor
        self._read_only = read_only
        self._assemblies: OrderedDict[tuple[bytes, ...], _Known] = OrderedDict()
        self._views: OrderedDict[tuple[str, int, int], VolumeView] = OrderedDict()
        self._looked = monotonic()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    # What there is

    def assembly(self, records: Sequence[InstanceRecord]) -> Assembly:
        """Find the stacks that some instances make; remembered.

        Raises
        ------
        NotFound
            An object has been deleted meanwhile.
        DataError
            A header is damaged.
        """
        return self._known(records).assembly

    def volume(self, records: Sequence[InstanceRecord], stack: int = 0) -> Volume:
        """Return a volume of some instances; its bricks need not be there.

        Raises
        ------
        NotAVolume
            They make none, or not so many; the message has the reasons.
        """
        known = self._known(records)
        if stack not in known.volumes:
            chosen = known.assembly.stack(stack)
            known.volumes[stack] = Volume(self, known.series, chosen, key_of(known.series, chosen))
        return known.volumes[stack]

    def frames(self, records: Sequence[InstanceRecord]) -> SeriesFrames:
        """Read where the frames of some instances lie; remembered. Errors: those of `assembly`."""
        return self._known(records).series

    def forget(self) -> None:
        """Forget what is remembered of headers and views."""
        with self._lock:
            self._assemblies.clear()
            self._views.clear()

    def _known(self, records: Sequence[InstanceRecord]) -> _Known:
        key = tuple(record.sha256 for record in records)
        with self._lock:
            known = self._assemblies.get(key)
            if known is not None:
                self._assemblies.move_to_end(key)
                return known
        try:
            series = read_frames(self._packs, records)
        except NotFound:  # compaction removed a pack meanwhile
            series = read_frames(self._packs, [self._current(record) for record in records])
        known = _Known(series, assemble(series))
        with self._lock:
            self._assemblies[key] = known
            while len(self._assemblies) > _KEPT_ASSEMBLIES:
                self._assemblies.popitem(last=False)
        return known

    def find(self, key: str) -> Path | None:
        """Folder of a volume if it is there and whole."""
        return self._disk.find(key)

    def suv_factor(self, series: SeriesFrames, stack: Stack, kind: str) -> float:
        """Factor from rescaled values to SUV, from the header of the stack's first frame."""
        return self._suv_factor(series.records[series.objects[int(stack.frames[0, 0])]], kind)

    # Views

    def view_if_built(self, stack: Stack, key: str, level: int, time: int) -> VolumeView | None:
        """Map a level if its bricks are there."""
        name = (key, level, time)
        with self._lock:
            known = self._views.get(name)
            if known is not None:
                self._views.move_to_end(name)
        folder = self.find(key)
        if known is None and folder is not None:
            known = self._open(folder, stack, key, level, time)
        if known is None:
            return None
        if folder is None:  # evicted by another process: its space is free when nobody maps it any more
            with self._lock:
                self._views.pop(name, None)
            return known
        self._disk.touch(folder)
        with self._lock:
            self._views[name] = known
            while len(self._views) > _KEPT_VIEWS:
                self._views.popitem(last=False)
        self._drop_evicted()
        return known

    def _drop_evicted(self) -> None:
        """Let go of views whose volumes are gone, once in a while."""
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        with self._lock:
            self._looked = now
            for name in [name for name in self._views if not self._disk.folder(name[0]).exists()]:
                del self._views[name]

    def _open(self, folder: Path, stack: Stack, key: str, level: int, time: int) -> VolumeView | None:
        """Map a level; None if the folder is gone or damaged, and then it is removed."""
        try:
            return open_view(folder, stack, level, time)
        except (NotFound, DataError) as error:
            if self._read_only:
                return None
            if isinstance(error, DataError):
                LOGGER.warning("a damaged volume is made again: %s", error)
            self.remove(key)
            return None

    def view(self, series: SeriesFrames, stack: Stack, key: str, level: int, time: int) -> VolumeView:
        """Map a level; its bricks are made if they are not there. Errors: those of `ensure`."""
        for _ in range(_ATTEMPTS):
            view = self.view_if_built(stack, key, level, time) or self._ensure(series, stack, key, (level, time))[1]
            if view is not None:
                return view
        raise Unavailable("the volume is evicted as soon as it is made; raise volumes.disk_bytes")

    @property
    def read_only(self) -> bool:
        """Whether bricks cannot be made."""
        return self._read_only

    # Making and evicting

    def ensure(self, series: SeriesFrames, stack: Stack, key: str) -> Path:
        """Return the folder of a volume, making it if it is not there.

        Raises
        ------
        DataError
            A frame cannot be decoded.
        LimitExceeded
            It is larger than all volumes may be together.
        Unavailable
            The disk is full, or the archive is open for reading only.
        """
        return self._ensure(series, stack, key, None)[0]

    def _ensure(
        self, series: SeriesFrames, stack: Stack, key: str, wanted: tuple[int, int] | None
    ) -> tuple[Path, VolumeView | None]:
        """Folder of a volume; if it was made, also the view of the (level, time) that is wanted, whatever evicts it."""
        folder = self.find(key)
        if folder is not None:
            self._disk.touch(folder)
            return folder, None
        if self._read_only:
            raise Unavailable("the archive is open for reading only: bricks cannot be made", code=_READ_ONLY)
        needed = bytes_needed(stack)
        if needed > self._disk.disk_bytes:
            raise LimitExceeded(f"the volume takes {needed} bytes, volumes.disk_bytes allows {self._disk.disk_bytes}")
        with _os_errors(), self._disk.building(key):
            folder = self.find(key)
            if folder is not None:
                return folder, None
            self._disk.make_room(needed, self._drop_views)
            return self._make(series, stack, key, wanted)

    def _make(
        self, series: SeriesFrames, stack: Stack, key: str, wanted: tuple[int, int] | None
    ) -> tuple[Path, VolumeView | None]:
        work = self._disk.new(key)
        try:
            build(self._packs, series, stack, work, self._current, self.decode, voxels=self._warm(stack, key, work))
            view = None if wanted is None else open_view(work, stack, *wanted)
            return self._disk.publish(work, key), view
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise

    def _warm(self, stack: Stack, key: str, work: Path) -> npt.NDArray[Any] | None:
        """Voxels of a volume that was kept compressed; None if there is none, or it is damaged."""
        folder = self._disk.find_warm(key)
        if folder is None:
            return None
        try:
            found = expand(folder, stack, work)
        except DataError as error:
            LOGGER.warning("%s: it is made of frames again", error)
            self._disk.remove(key, warm=True)
            return None
        self._disk.touch(folder)
        return found

    def remove(self, key: str) -> None:
        """Delete a volume; views of it stay good."""
        self._drop_views(key)
        self._disk.remove(key)

    def _drop_views(self, key: str) -> None:
        with self._lock:
            for name in [name for name in self._views if name[0] == key]:
                del self._views[name]


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        message = f"a volume cannot be written: {error.strerror}"
        raise Unavailable(message, code=_NO_SPACE if full else 200) from error
