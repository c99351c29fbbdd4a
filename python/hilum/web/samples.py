"""The folder of the files in which the processes of one server keep the samples of their metrics.

A server that was killed leaves its folder behind; the next one to start removes it. A folder is locked by the processes
of its server for as long as one of them lives, whatever becomes of their numbers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["samples_folder"]

_PREFIX: Final = "hilum-metrics-"
_LOCKED: Final = "locked"
"""File in a folder whose lock is held, or was: one without it is just being made, or not known to be anybody's."""


@contextmanager
def samples_folder() -> Iterator[Path]:
    """Make a folder among temporary files, removed at the end; remove those of this user whose server is gone.

    Children that are forked meanwhile keep it locked too.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (folder / _LOCKED).touch()
        _remove_stale(folder.parent)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_stale(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else has removed it, or it is another user's
            _remove_if_stale(folder)


def _remove_if_stale(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid() or not (folder / _LOCKED).is_file():
            return
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
