"""Builds broken on purpose, to show that the rounds notice. Switched in the child processes of the harness only.

``no-sync``      every flush succeeds without doing anything (a seccomp filter answers for the kernel)
``no-replay``    the archive does not read the ends of its packs when it opens
``early-ack``    the archive answers before it has stored anything
"""

from __future__ import annotations

import ctypes
import platform
import struct
from pathlib import Path
from types import SimpleNamespace

BROKEN = ("no-sync", "no-replay", "early-ack")
# fsync, fdatasync, sync_file_range, msync, syncfs, sync
_FLUSHES = {"x86_64": (74, 75, 277, 26, 306, 162), "aarch64": (82, 83, 84, 227, 267, 81)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ANSWER_ZERO = 0x7FFF0000, 0x00050000


def break_worker(how: str) -> None:
    """Break the calling process, before it opens anything."""
    if how == "no-sync":
        _answer_flushes()
    elif how == "early-ack":
        from hilum.archive.archive import Archive
        from hilum.archive.ingest import StoreStatus

        def submit_all(archive: Archive, items: list[bytes]) -> list[object]:
            return [archive.submit(item) for item in items]

        def store_scanned(archive: Archive, _scan: object, data: object, **_: object) -> object:
            archive.submit(data.read_bytes() if isinstance(data, Path) else bytes(memoryview(data)))
            return SimpleNamespace(status=StoreStatus.STORED, warnings=())

        Archive.store = Archive.submit  # answers before the commit
        Archive.store_scanned = store_scanned
        Archive.store_many = submit_all


def break_checker(how: str) -> None:
    """Break the process that opens the archive after the crash."""
    if how == "no-replay":
        from hilum.archive import recovery

        def skip(*_: object, **__: object) -> recovery.RebuildReport:
            return recovery.RebuildReport()

        recovery.recover = skip


def _answer_flushes() -> None:
    numbers = _FLUSHES[platform.machine()]
    program = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the number of the call
    program += [struct.pack("HBBI", 0x15, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program += [struct.pack("HBBI", 0x06, 0, 0, _ALLOW), struct.pack("HBBI", 0x06, 0, 0, _ANSWER_ZERO)]
    code = ctypes.create_string_buffer(b"".join(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    which = Program(len(program), ctypes.addressof(code))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(which)):
        raise OSError(ctypes.get_errno(), "the filter of flushes cannot be installed")
