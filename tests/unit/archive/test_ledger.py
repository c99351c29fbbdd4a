from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hilum.archive.ledger import Ledger, LedgerLine, import_id
from hilum.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path


def line(path: str, status: str = "stored", size: int = 10, mtime_ns: int = 5) -> LedgerLine:
    return LedgerLine(path, size, mtime_ns, status, uid="1.2", sha256="ab" if status == "stored" else "")


def test_done_files_are_found_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "imports" / "x.jsonl")
    assert ledger.done("a", 10, 5) is None
    ledger.note(run=1)
    ledger.write([line("a"), line("b", "not_dicom"), line("c", "failed"), line("d", "quarantined")])
    ledger.write([])
    ledger.close()
    again = Ledger(ledger.path)
    assert len(again) == 2
    assert again.done("a", 10, 5) == line("a")
    assert again.done("b", 10, 5) == line("b", "not_dicom")
    assert again.done("c", 10, 5) is None
    assert again.done("d", 10, 5) is None


def test_changed_file_is_not_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "x.jsonl")
    ledger.write([line("a")])
    again = Ledger(ledger.path)
    assert again.done("a", 11, 5) is None
    assert again.done("a", 10, 6) is None


def test_last_line_of_a_file_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "x.jsonl")
    ledger.write([line("a", "not_dicom"), line("a", "stored")])
    found = Ledger(ledger.path).done("a", 10, 5)
    assert found is not None
    assert found.status == "stored"


def test_torn_last_line_is_ignored_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    ledger = Ledger(path)
    ledger.write([line("a"), line("b")])
    ledger.close()
    path.write_bytes(path.read_bytes()[:-20])
    again = Ledger(path)
    assert len(again) == 1
    again.write([line("c")])
    again.close()
    last = Ledger(path)
    assert last.done("a", 10, 5) and last.done("c", 10, 5) and last.done("b", 10, 5) is None


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = b"caf\xe9/\x01\n.dcm".decode("utf-8", "surrogateescape")
    ledger = Ledger(tmp_path / "x.jsonl")
    ledger.write([line(name)])
    assert Ledger(ledger.path).done(name, 10, 5) == line(name)
    assert ledger.path.read_bytes().count(b"\n") == 1


def test_garbage_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xff\n[]\n{"path": 1}\n{"path": "a", "size": "x", "mtime_ns": 1, "status": "stored"}\nnull\n')
    assert len(Ledger(path)) == 0


def test_same_id_for_the_same_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert import_id(["a", tmp_path / "b"]) == import_id([str(tmp_path / "b"), "./a"])
    assert import_id(["a"]) != import_id(["b"])


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "imports").write_text("a file in the way")
    with pytest.raises(Unavailable, match="the import ledger cannot be written"):
        Ledger(tmp_path / "imports" / "x.jsonl").write([line("a")])
