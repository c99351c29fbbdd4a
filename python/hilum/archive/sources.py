"""What an import reads: folders, files and DICOMDIR media. Names from a medium are compared with what is there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pydicom

__all__ = ["Problem", "SourceFile", "count_files", "file_problem", "referenced_files", "walk"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file to be looked at."""

    path: str
    """As the system's calls take it; bytes that are not UTF-8 are surrogates."""
    size: int
    mtime_ns: int
    named: bool = False
    """Whether the user named it, rather than a folder above it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not a file to be looked at, and why."""

    path: str
    status: str
    """Of the ledger: ``"failed"`` or ``"not_dicom"``."""
    reason: str


def walk(
    paths: Sequence[str | os.PathLike[str]], exclude: Collection[tuple[int, int]] = ()
) -> Iterator[SourceFile | Problem]:
    """Every regular file below `paths`, folder by folder, sorted by name.

    Symbolic links are followed, but no folder is entered twice, so loops end. Sockets, devices and FIFOs are never
    opened.

    Parameters
    ----------
    paths : sequence of paths
        Files and folders, in any mixture.
    exclude : collection of (st_dev, st_ino)
        Folders that are not entered: the archive itself.
    """
    entered: set[tuple[int, int]] = set(exclude)
    for named in paths:
        path = os.fsdecode(os.fspath(named))
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            yield _unreadable(path, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk_folder(path, status, entered)
        else:
            yield _regular(path, status, named=True)


def _walk_folder(path: str, status: os.stat_result, entered: set[tuple[int, int]]) -> Iterator[SourceFile | Problem]:
    stack = [(path, (status.st_dev, status.st_ino))]
    while stack:
        folder, identity = stack.pop()
        if identity in entered:
            continue
        entered.add(identity)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        below: list[tuple[str, tuple[int, int]]] = []
        for entry in found:
            try:
                status = entry.stat()
            except OSError as error:
                yield _unreadable(entry.path, error)
                continue
            if stat.S_ISDIR(status.st_mode):
                below.append((entry.path, (status.st_dev, status.st_ino)))
            else:
                yield _regular(entry.path, status)
        stack.extend(reversed(below))


def count_files(paths: Sequence[str | os.PathLike[str]], exclude: Collection[tuple[int, int]] = ()) -> tuple[int, int]:
    """Files below `paths` and their bytes, for a progress bar that knows its end."""
    files = size = 0
    for found in walk(paths, exclude):
        files += 1
        size += found.size if isinstance(found, SourceFile) else 0
    return files, size


def _regular(path: str, status: os.stat_result, *, named: bool = False) -> SourceFile | Problem:
    if stat.S_ISREG(status.st_mode):
        return SourceFile(path, status.st_size, status.st_mtime_ns, named)
    return Problem(path, "not_dicom", "not a regular file")


def _unreadable(path: str, error: OSError | ValueError) -> Problem:
    return Problem(path, "failed", file_problem(error))


def file_problem(error: OSError | ValueError) -> str:
    """Say why a file cannot be read, without its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"cannot be read: {error}"


def referenced_files(dicomdir: str) -> tuple[list[str], list[Problem]]:
    """Files that a DICOMDIR refers to (PS3.3 F.3.2.2, Referenced File ID).

    Components of a file ID are compared with the names in the folders of the medium, whatever their case and with the
    version that ISO 9660 appends; no name is ever taken from the medium into a path that was not listed there.

    Returns
    -------
    present : list of str
    problems : list of Problem
        References to files that are not there, and file IDs that try to leave the medium.

    Raises
    ------
    DataError
        It cannot be read as a DICOMDIR.
    """
    import pydicom  # half a second that only such media cost

    try:
        with pydicom.config.disable_value_validation():
            document = pydicom.dcmread(dicomdir, force=True)
            identifiers = [_file_id(record) for record in document.get("DirectoryRecordSequence", [])]
    except OSError as error:
        raise DataError(f"the DICOMDIR {file_problem(error)}") from error
    except Exception as error:  # a parser on hostile input raises many kinds
        raise DataError(f"the DICOMDIR is malformed ({type(error).__name__})") from error
    listed: dict[str, dict[str, str]] = {}
    present: list[str] = []
    problems: list[Problem] = []
    for components in identifiers:
        if not components:
            continue
        shown = f"{dicomdir}!{'/'.join(components)}"
        if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in components):
            problems.append(Problem(shown, "failed", "the DICOMDIR refers to a file outside of the medium"))
            continue
        found = _find(os.path.dirname(dicomdir) or ".", components, listed)
        if found is None:
            problems.append(Problem(shown, "failed", "referenced by the DICOMDIR but not there"))
        else:
            present.append(found)
    return present, problems


def _file_id(record: pydicom.Dataset) -> list[str]:
    value = record.get("ReferencedFileID", None)
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str) else [str(part) for part in value]


def _find(folder: str, components: Sequence[str], listed: dict[str, dict[str, str]]) -> str | None:
    """Path of the file below `folder` whose names match, None when there is none."""
    for component in components:
        names = listed.get(folder)
        if names is None:
            try:
                names = {_plain_name(name): name for name in sorted(os.listdir(folder))}
            except OSError:
                names = {}
            listed[folder] = names
        name = names.get(_plain_name(component))
        if name is None:
            return None
        folder = os.path.join(folder, name)
    return folder if Path(folder).is_file() else None


def _plain_name(name: str) -> str:
    """Fold case and cut what ISO 9660 appends: ``IMAGE1.;1`` is ``image1``."""
    return name.partition(";")[0].rstrip(". ").casefold()
