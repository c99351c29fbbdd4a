"""Space on disk: pages filled again after a bulk change, and free pages given back to the file system.

LMDB never makes its file smaller: pages that a transaction replaced are kept for later ones. After a bulk import they
are most of the file. They are given back as holes of the file, which others that have it open do not notice.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

from hilum._core import punch_hole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.index.environment import Environment, Transaction

__all__ = ["give_back", "refill", "stored_bytes"]

REFILLED = ("match", "order")
"""Databases whose keys come in no order, so that a bulk change leaves their pages half empty."""
REFILL_LIMIT = 32 << 20
"""A larger database is left as it is: it would be held in memory, and writers would wait."""
_HEADER = 16
_BRANCH, _BIG = 1, 1


def stored_bytes(path: Path) -> int:
    """Bytes that the index file takes of the disk; less than its size, where it has holes."""
    return os.stat(path / "data.mdb").st_blocks * 512


def refill(txn: Transaction, page_bytes: int) -> None:
    """Write databases anew with full pages, where that saves at least a fifth of them."""
    for name in REFILLED:
        pages = txn.pages(name)
        if not 0 < pages * page_bytes <= REFILL_LIMIT:
            continue
        items = list(txn.new_cursor(name).iternext())
        if sum(len(key) + len(value) + 11 for key, value in items) > pages * page_bytes * 4 // 5:
            continue
        txn.empty(name)
        txn.cursor(name).putmulti(items, append=True)


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
