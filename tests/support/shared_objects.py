"""Every object of the shared data, those inside of archives too."""

from __future__ import annotations

import csv
import functools
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@functools.cache
def all_rows(folder: Path) -> tuple[dict[str, str], ...]:
    """Rows of MANIFEST.csv in its order."""
    with (folder / "MANIFEST.csv").open(newline="") as stream:
        return tuple(csv.DictReader(stream))


@functools.lru_cache(maxsize=1)
def archive_members(archive: Path) -> dict[str, bytes]:
    """Files of a tar archive; only the last archive is kept, since one inflates to 75 MB."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def read_object(folder: Path, path: str) -> bytes:
    """Bytes of a row's ``path``, which is ``archive!member`` inside of archives."""
    archive, _, member = path.partition("!")
    if member:
        return archive_members(folder / archive)[member]
    return (folder / path).read_bytes()
