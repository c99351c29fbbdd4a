"""Frames out of an archive, as a program gets them, against MANIFEST.csv: the whole way from file to ndarray."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

import hilum
from hilum.codecs.registry import can_decode

if TYPE_CHECKING:
    from pathlib import Path

SKIPPED = {
    "sm/multiframe.dcm": "its last row of tiles holds code streams of another size than Rows and Columns",
}
TWELVE_BIT_DCT = "1.2.840.10008.1.2.4.51"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> hilum.Archive:
    opened = hilum.open(tmp_path_factory.mktemp("frames") / "root")
    opened.import_paths([path for path in shared_data.iterdir() if path.name != "archives"])
    return opened


def test_frames_hash_to_the_manifest(archive: hilum.Archive, manifest: list[dict[str, str]]) -> None:
    by_sha = {instance.sha256: instance for instance in archive.instances()}
    compared = 0
    wrong: list[str] = []
    for row in manifest:
        instance = by_sha.get(row["sha256"])
        if instance is None or not row["decoded_sha256"] or row["path"] in SKIPPED:
            continue
        syntax = instance.transfer_syntax_uid
        if not can_decode(syntax) or (syntax == TWELVE_BIT_DCT and row["bits_stored"] == "12"):
            continue
        digest = hashlib.sha256()
        for frame in range(instance.number_of_frames):
            digest.update(instance.frame(frame).tobytes())
        compared += 1
        if digest.hexdigest() != row["decoded_sha256"]:
            wrong.append(row["path"])
    assert not wrong
    assert compared > 300
