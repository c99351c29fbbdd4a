from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hilum.archive.caches import DiskCache, MemoryCache

if TYPE_CHECKING:
    from pathlib import Path


def test_memory_drops_what_was_not_used_for_longest() -> None:
    cache = MemoryCache(800)
    for name in "abcdefgh":
        cache.put(name, b"x" * 100)
    assert cache.get("a") == b"x" * 100
    cache.put("i", b"y" * 50)
    assert cache.get("b") is None
    assert cache.get("a") is not None
    cache.put("big", b"z" * 101)
    assert cache.get("big") is None
    cache.put("a", b"new")
    assert cache.get("a") == b"new"
    cache.clear()
    assert cache.get("a") is None


def test_disk_returns_what_was_put(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    assert cache.get("abcd") is None
    cache.put("abcd", b"value")
    cache.put("abcd", b"other")
    assert cache.get("abcd") == b"other"
    assert DiskCache(tmp_path / "cache", 1 << 20).get("abcd") == b"other"


def test_damaged_file_is_forgotten(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    cache.put("abcd", b"value")
    path = tmp_path / "cache" / "ab" / "abcd"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert cache.get("abcd") is None
    assert not path.exists()
    path.write_bytes(b"x")
    assert cache.get("abcd") is None


def test_disk_is_bounded(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 16_000)
    for i in range(100):
        cache.put(f"{i:04x}", bytes(500))
        path = tmp_path / "cache" / f"{i:04x}"[:2] / f"{i:04x}"
        os.utime(path, ns=(i * 10**9, i * 10**9))
    used = sum(p.stat().st_size for p in (tmp_path / "cache").glob("*/*"))
    assert used <= 16_000 + 1_600
    assert cache.get(f"{99:04x}") is not None
    assert cache.get(f"{0:04x}") is None


def test_unwritable_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    cache.put("abcd", b"value")
    assert cache.get("abcd") is None
