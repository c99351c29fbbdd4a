"""Builds broken on purpose, to show that the rounds notice. Switched in the child processes of the harness only.

``no-sync``      every flush succeeds without doing anything (a seccomp filter answers for the kernel)
``no-replay``    the archive does not read the ends of its packs when it opens
``early-ack``    the archive answers first and stores `BEHIND_S` later, as archives that write behind do
"""

from __future__ import annotations

import ctypes
import platform
import struct
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

BROKEN = ("no-sync", "no-replay", "early-ack")
BEHIND_S = 0.25
"""Longer than an answer takes through a sender's processes to us on a busy machine; other archives take seconds."""
# fsync, fdatasync, sync_file_range, msync, syncfs, sync
_FLUSHES = {"x86_64": (74, 75, 277, 26, 306, 162), "aarch64": (82, 83, 84, 227, 267, 81)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ANSWER_ZERO = 0x7FFF0000, 0x00050000


def break_worker(how: str) -> None:
    """Break the calling process, before it opens anything."""
    if how == "no-sync":
        _answer_flushes()
    elif how == "early-ack":
        _write_behind()


def break_checker(how: str) -> None:
    """Break the process that opens the archive after the crash."""
    if how == "no-replay":
        from hilum.archive import recovery

        def skip(*_: object, **__: object) -> recovery.RebuildReport:
            return recovery.RebuildReport()

        recovery.recover = skip


def _write_behind() -> None:
    from hilum.archive.archive import Archive
    from hilum.archive.ingest import StoreStatus

    waiting: SimpleQueue[tuple[float, Archive, bytes]] = SimpleQueue()

    def store(archive: Archive, data: Any, **_: object) -> SimpleNamespace:
        held = data.read_bytes() if isinstance(data, Path) else bytes(memoryview(data))
        waiting.put((time.monotonic() + BEHIND_S, archive, held))
        return SimpleNamespace(status=StoreStatus.STORED, warnings=())

    def write() -> None:
        while True:
            due, archive, held = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            archive.submit(held)

    def store_scanned(archive: Archive, _scan: object, data: Any, **_: object) -> SimpleNamespace:
        return store(archive, data)

    def store_many(archive: Archive, items: list[bytes]) -> list[SimpleNamespace]:
        return [store(archive, item) for item in items]

    Archive.store = store
    Archive.store_scanned = store_scanned
    Archive.store_many = store_many
    threading.Thread(target=write, daemon=True).start()


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
