"""Space on disk: pages filled again after a bulk change, and free pages given back to the file system.

LMDB never makes its file smaller: pages that a transaction replaced are kept for later ones. After a bulk import they
are most of the file. They are given back as holes of the file, which others that have it open do not notice.
"""

from __future__ import annotations

import functools
import itertools
import mmap
import os
import struct
from typing import TYPE_CHECKING

from hilum._core import punch_hole
from hilum.index.environment import REFILLED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.index.environment import Environment, Transaction

__all__ = ["give_back", "refill", "stored_bytes"]

SLICE = 8 << 20
"""So many bytes are written anew in one transaction: others wait for no longer than that takes."""
CHUNK = 16_384
"""So many entries are held at once."""
ATTEMPTS = 3
GROWTH = 3 / 2
"""A database is looked at again when it has so many times the pages that it had when its pages were full."""
_NODE = 10
"""Bytes of an entry in a page beside its key and value."""
_FULL_PAGES = b"full pages of "
_HEADER = 16
_BRANCH, _BIG = 1, 1


def stored_bytes(path: Path) -> int:
    """Bytes that the index file takes of the disk; less than its size, where it has holes."""
    return os.stat(path / "data.mdb").st_blocks * 512


def refill(environment: Environment) -> None:
    """Write databases anew with full pages, where that saves at least a fifth of them.

    A database is copied to its second place in short transactions, which is begun again when somebody else writes
    meanwhile. In the last transaction the places change.
    """
    page_bytes = environment.info()["psize"]
    for name in REFILLED:
        with environment.read() as txn:
            pages = txn.pages(name)
            record = txn.get("meta", _FULL_PAGES + name.encode())
            if pages <= (int.from_bytes(record[4:], "little") if record else 1) * GROWTH:
                continue
            used = sum(len(key) + len(value) + _NODE for key, value in txn.new_cursor(name).iternext())
        if used > pages * page_bytes * 4 // 5:
            environment.write(functools.partial(_remember, name))
            continue
        for _ in range(ATTEMPTS):
            if _copy(environment, name):
                break


def _remember(name: str, txn: Transaction) -> None:
    txn.put("meta", _FULL_PAGES + name.encode(), txn.pages(name).to_bytes(8, "little"))


def _copy(environment: Environment, name: str) -> bool:
    """Whether a database was copied whole before anybody else wrote."""
    at: bytes | None = b""
    number = 0
    while at is not None:
        done = environment.write(functools.partial(_copy_on, name, at, number + 1))
        if done is None:
            environment.write(lambda txn: txn.empty_other_place(name))
            return False
        at, number = done
    return True


def _copy_on(name: str, start: bytes, expected: int, txn: Transaction) -> tuple[bytes | None, int] | None:
    """Copy the next slice: where to go on, and this transaction's number; None when another came between."""
    if not start:
        txn.empty_other_place(name)
    elif txn.number != expected:
        return None
    end = _copy_slice(txn, name, start)
    if end is None:
        txn.change_place(name)
        _remember(name, txn)
    return end, txn.number


def _copy_slice(txn: Transaction, name: str, start: bytes) -> bytes | None:
    """Copy entries from a key on; the key to go on at, None at the end."""
    cursor = txn.new_cursor(name)
    if not (cursor.set_range(start) if start else cursor.first()):
        return None
    entries = cursor.iternext()
    size = 0
    while items := list(itertools.islice(entries, CHUNK)):
        txn.append_in_other_place(name, items)
        size += sum(len(key) + len(value) + _NODE for key, value in items)
        if size > SLICE:
            following: tuple[bytes, bytes] | None = next(entries, None)
            return following and following[0]
    return None


def give_back(environment: Environment) -> int:
    """Make holes of the pages that no snapshot uses; their number. Others may read, but nobody writes meanwhile."""

    def work(txn: Transaction) -> int:
        oldest = min([txn.number - 1, *environment.reader_numbers()])
        with (environment.path / "data.mdb").open("r+b") as stream:
            with mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as data:
                page_bytes, free = _free_pages(memoryview(data), oldest)
            count = 0
            for first, pages in _runs(sorted(free)):
                if not punch_hole(stream.fileno(), first * page_bytes, pages * page_bytes):
                    break  # the file system has no holes
                count += pages
        return count

    return environment.write(work)


def _runs(pages: list[int]) -> Iterator[tuple[int, int]]:
    """(first, number) of pages in a row."""
    start = 0
    for i in range(1, len(pages) + 1):
        if i == len(pages) or pages[i] != pages[i - 1] + 1:
            yield pages[start], i - start
            start = i


def _free_pages(data: memoryview, oldest: int) -> tuple[int, list[int]]:
    """Page size, and the pages that LMDB itself would use again: freed by transactions before ``oldest``."""
    with data:
        page_bytes = int.from_bytes(data[40:44], "little")
        metas = [data[base : base + 152] for base in (0, page_bytes)]
        newest = max(metas, key=lambda meta: int.from_bytes(meta[144:152], "little"))
        root = int.from_bytes(newest[80:88], "little")
        free: list[int] = []
        if root != (1 << 64) - 1:
            for number, record in _records(data, page_bytes, root):
                if number < oldest:
                    free += struct.unpack(f"<{len(record) // 8 - 1}Q", record[8:])
        for meta in metas:
            meta.release()
        return page_bytes, free


def _records(data: memoryview, page_bytes: int, page: int) -> Iterator[tuple[int, bytes]]:
    """(transaction, list of pages with its length in front) of the tree of free pages."""
    base = page * page_bytes
    flags, lower = struct.unpack_from("<HH", data, base + 10)
    for i in range((lower - _HEADER) // 2):
        node = base + struct.unpack_from("<H", data, base + _HEADER + 2 * i)[0]
        low, high, node_flags, key_bytes = struct.unpack_from("<HHHH", data, node)
        if flags & _BRANCH:
            yield from _records(data, page_bytes, low | high << 16 | node_flags << 32)
            continue
        at = node + 8 + key_bytes
        if node_flags & _BIG:
            at = struct.unpack_from("<Q", data, at)[0] * page_bytes + _HEADER
        count = struct.unpack_from("<Q", data, at)[0]
        yield int.from_bytes(data[node + 8 : node + 16], "little"), bytes(data[at : at + 8 + 8 * count])
