"""ZIP files as a source of objects: member by member, bounded, and never a member's name on disk."""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from hilum.archive.sources import Problem
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.config import IngestSettings

__all__ = ["OFFICE_SUFFIXES", "ZIP_MAGIC", "Member", "open_zip", "read_members", "safe_name"]

ZIP_MAGIC: Final = b"PK\x03\x04"
OFFICE_SUFFIXES: Final = (
    ".apk", ".docx", ".epub", ".jar", ".odp", ".ods", ".odt", ".pptx", ".whl", ".xlsx", ".xpi",
)  # fmt: skip
"""ZIP files by format, documents by meaning: not opened."""

_MAX_DIRECTORY_BYTES: Final = 32 << 20
_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_END64 = b"PK\x06\x06"
_STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a ZIP."""

    name: str
    """For people and ledgers only."""
    size: int
    """Bytes when expanded; reading never gives more."""
    _zip: zipfile.ZipFile
    _info: zipfile.ZipInfo

    def read(self) -> bytes:
        """Expand it in memory.

        Raises
        ------
        DataError
            Damaged, or of a method that is not supported.
        """
        try:
            with self._zip.open(self._info) as stream:
                data = stream.read()
        except Exception as error:  # zipfile and the decompressors raise many kinds on hostile input
            raise DataError(f"the ZIP member is damaged ({type(error).__name__})") from error
        if len(data) != self.size:
            raise DataError("the ZIP member is shorter than its directory says")
        return data

    def copy_to(self, target: BinaryIO) -> None:
        """Expand it into a file, in steps of 1 MiB."""
        done = 0
        for step in self._steps():
            try:
                target.write(step)
            except OSError as error:
                raise Unavailable(f"a copy of the ZIP member cannot be written: {error.strerror}") from error
            done += len(step)
        if done != self.size:
            raise DataError("the ZIP member is shorter than its directory says")

    def _steps(self) -> Iterator[bytes]:
        try:
            with self._zip.open(self._info) as stream:
                while step := stream.read(_STEP):
                    yield step
        except Exception as error:
            raise DataError(f"the ZIP member is damaged ({type(error).__name__})") from error


def open_zip(source: str | BinaryIO) -> zipfile.ZipFile:
    """Open a ZIP after having looked at the size of its directory, which is read into memory as a whole.

    Raises
    ------
    DataError
        Not a ZIP that can be read.
    LimitExceeded
        Its directory is larger than 32 MiB (some 400 000 members).
    """
    try:
        if isinstance(source, str):
            with open(source, "rb") as stream:
                size = _directory_bytes(stream)
        else:
            size = _directory_bytes(source)
            source.seek(0)
        if size > _MAX_DIRECTORY_BYTES:
            raise LimitExceeded(f"the directory of the ZIP has {size} bytes, above the limit of {_MAX_DIRECTORY_BYTES}")
        return zipfile.ZipFile(source)
    except HilumError:
        raise
    except Exception as error:
        raise DataError(f"the ZIP is damaged ({type(error).__name__})") from error


def read_members(archive: zipfile.ZipFile, archive_bytes: int, limits: IngestSettings) -> Iterator[Member | Problem]:
    """Members that may be read, in the order of the directory, and a `Problem` for each that may not."""
    members = archive.infolist()
    if len(members) > limits.zip_max_members:
        yield Problem("", "failed", f"the ZIP has more than {limits.zip_max_members} members")
        return
    total = 0
    for info in members:
        if info.is_dir():
            continue
        name = safe_name(info.filename)
        if info.flag_bits & 0x1:
            yield Problem(name, "failed", "the ZIP member is encrypted")
        elif _bomb(info.file_size, info.compress_size, limits.zip_max_ratio):
            yield Problem(name, "failed", f"the ZIP member expands more than {limits.zip_max_ratio} times")
        elif info.file_size > limits.max_object_bytes:
            yield Problem(name, "failed", f"the ZIP member has more than {limits.max_object_bytes} bytes")
        else:
            total += info.file_size
            if total > limits.zip_max_bytes or _bomb(total, archive_bytes, limits.zip_max_ratio):
                yield Problem(name, "failed", "the ZIP expands beyond the limit; the rest of it is not read")
                return
            yield Member(name, info.file_size, archive, info)


def safe_name(name: str) -> str:
    """Make a member's name fit for a terminal and a ledger: no control characters, at most 512 characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:512])


def _bomb(expanded: int, compressed: int, ratio: int) -> bool:
    return expanded > (1 << 20) and expanded > ratio * max(compressed, 1)


def _directory_bytes(stream: BinaryIO) -> int:
    """Size of the central directory as the end records say (APPNOTE 4.3.14-16)."""
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - (1 << 16) - 22)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0:
        raise zipfile.BadZipFile
    directory = int(struct.unpack_from("<L", tail, at + 12)[0])
    if directory == 0xFFFFFFFF and at >= 20 and tail[at - 20 : at - 16] == _END64_LOCATOR:
        stream.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        record = stream.read(56)
        if record[:4] != _END64:
            raise zipfile.BadZipFile
        return int(struct.unpack_from("<Q", record, 40)[0])
    return directory
