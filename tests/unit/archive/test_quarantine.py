from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hilum.archive.quarantine import Quarantine
from hilum.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_bytes_and_reason_are_kept_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine", 1000)
    first = quarantine.add("a.dcm", b"bad bytes", "truncated", 1, 77)
    second = quarantine.add("b.dcm", memoryview(b"bad bytes"), "truncated", 1, None)
    assert first == second
    (item,) = quarantine.items()
    assert (item.source, item.reason, item.code, item.size, item.kept) == ("b.dcm", "truncated", 1, 9, True)
    assert (tmp_path / "quarantine" / f"{first}.dcm").read_bytes() == b"bad bytes"
    assert sorted(p.name for p in quarantine.folder.iterdir()) == [f"{first}.dcm", f"{first}.json"]


def test_file_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"z" * 100)
    quarantine = Quarantine(tmp_path / "quarantine", 1000)
    digest = quarantine.add(str(source), source, "why", 3, 0)
    assert (quarantine.folder / f"{digest}.dcm").read_bytes() == source.read_bytes()


def test_bounded_also_after_a_restart(tmp_path: Path) -> None:
    Quarantine(tmp_path / "q", 100).add("a", b"a" * 60, "why", 1, 0)
    quarantine = Quarantine(tmp_path / "q", 100)
    digest = quarantine.add("b", b"b" * 60, "why", 1, 0)
    assert not (tmp_path / "q" / f"{digest}.dcm").exists()
    assert [item.kept for item in quarantine.items() if item.sha256 == digest] == [False]


def test_empty_and_damaged(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q", 100)
    assert list(quarantine.items()) == []
    quarantine.folder.mkdir()
    (quarantine.folder / "x.json").write_text("{")
    assert list(quarantine.items()) == []


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("a file in the way")
    with pytest.raises(Unavailable, match="cannot be written"):
        Quarantine(tmp_path / "q", 100).add("a", b"a", "why", 1, 0)
