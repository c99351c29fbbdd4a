from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom
import pytest

from hilum import errors
from hilum.archive.incoming import Incoming
from hilum.dimse.negotiation import available
from hilum.dimse.storage import dimse_status, part10_prefix

if TYPE_CHECKING:
    from pathlib import Path


def test_prefix_is_a_valid_meta_and_always_the_same() -> None:
    prefix = part10_prefix("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
    assert prefix == part10_prefix("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
    meta = pydicom.dcmread(io.BytesIO(prefix)).file_meta
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.FileMetaInformationGroupLength == len(prefix) - 128 - 4 - 12
    assert len(prefix) % 2 == 0


def test_every_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HilumError)]
    for kind in kinds:
        assert dimse_status(kind("x")) != 0
    assert dimse_status(errors.Unavailable("x")) == 0xA700
    assert dimse_status(ValueError()) == 0x0110


def test_this_pynetdicom_negotiates_for_us() -> None:
    assert available()


def test_small_objects_stay_in_memory(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path / "in", spool_above_bytes=100, memory_bytes=150)
    spool = incoming.spool()
    spool.write(b"a" * 60)
    assert (spool.path, incoming.used) == (None, 60)
    assert b"".join(spool.pieces()) == b"a" * 60
    spool.discard()
    assert incoming.used == 0
    assert not (tmp_path / "in").exists()


def test_large_objects_and_a_spent_budget_go_to_files(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path / "in", spool_above_bytes=100, memory_bytes=150)
    first, second = incoming.spool(), incoming.spool()
    first.write(b"a" * 90)
    second.write(b"b" * 90)
    assert first.path is None
    assert second.path is not None
    second.write(b"c")
    assert list(second.pieces()) == []
    assert second.path.read_bytes() == b"b" * 90 + b"c"
    assert incoming.used == 90
    first.discard()
    second.discard()
    assert list((tmp_path / "in").iterdir()) == []


def test_limit_and_full_disk_are_errors_of_ours(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path / "missing" / "in", spool_above_bytes=1, max_object_bytes=10)
    with pytest.raises(errors.LimitExceeded):
        incoming.spool().write(b"a" * 11)
    with pytest.raises(errors.Unavailable):
        incoming.spool().write(b"ab")


def test_leftovers_of_a_crash_are_removed_but_not_what_is_in_use(tmp_path: Path) -> None:
    import os

    incoming = Incoming(tmp_path, spool_above_bytes=1)
    used = incoming.spool()
    used.write(b"ab")
    assert used.path is not None
    abandoned = tmp_path / "x.part"
    abandoned.write_bytes(b"x")
    for path in (used.path, abandoned):
        os.utime(path, (1, 1))
    assert incoming.remove_leftovers() == 1
    assert used.path.exists()
    assert not abandoned.exists()
    used.discard()
