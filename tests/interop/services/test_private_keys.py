"""Private attributes named in ``[index] private_tags``: found however an object comes in, and after a rebuild."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
import pytest
from objects import make_object
from pynetdicom import AE

import hilum
from hilum.config import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

KEYS = "00091001:ACME 1.0:study:LO,00091002:ACME 1.0:series:DS,00111003::instance:LO"
ENVIRONMENT = {"HILUM__INDEX__PRIVATE_TAGS": KEYS, "HILUM__STORAGE__RESERVE_BYTES": "0"}
STUDY, SERIES, INSTANCE = "00091001", "00091002", "00111003"


def made(number: int, *, implicit: bool = False, other_first: bool = False) -> bytes:
    """An object whose private block of ACME is 10, or 11 behind that of another maker."""
    ds = pydicom.dcmread(io.BytesIO(make_object(study=number)))
    if other_first:
        ds.private_block(0x0009, "OTHER", create=True).add_new(1, "LO", "wrong")
    block = ds.private_block(0x0009, "ACME 1.0", create=True)
    block.add_new(1, "LO", f"Study {number}")
    block.add_new(2, "DS", "1.5")
    ds.add_new(0x00110010, "LO", "ANYONE")
    ds.add_new(0x00111003, "LO", f"I{number}")
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else ds.file_meta.TransferSyntaxUID
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def settings() -> Settings:
    return load_settings(None, {**ENVIRONMENT, "HILUM_CONFIG": ""})


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("other_first", [False, True])
def test_import_and_rebuild(tmp_path: Path, implicit: bool, other_first: bool) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in (1, 2):
        (files / f"{number}.dcm").write_bytes(made(number, implicit=implicit, other_first=other_first))
    root = tmp_path / "archive"
    with hilum.open(root, settings=settings()) as archive:
        archive.import_paths([files])
        for _ in range(2):
            for level, key, value in (
                ("study", STUDY, "Study 2"),
                ("series", SERIES, "1.5"),
                ("instance", INSTANCE, "I2"),
            ):
                found = archive.search(level, {key: value}, includefield=[key, "StudyInstanceUID"])  # type: ignore[arg-type]
                assert len(found) == (2 if key == SERIES else 1), (level, key)
            assert not len(archive.search("study", {STUDY: "wrong"}))
            assert not list(archive.index.verify())
            archive.rebuild_index()


def test_services(start: Any, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    server = start(root, "--workers", "1", **ENVIRONMENT)
    with httpx.Client(base_url=server.dicomweb) as web:
        typ = 'multipart/related; type="application/dicom"; boundary=B'
        body = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + made(1, other_first=True) + b"\r\n--B--\r\n"
        assert web.post("/studies", content=body, headers={"Content-Type": typ}).status_code == 200
        ds = pydicom.dcmread(io.BytesIO(made(2)))
        ae = AE()
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", server.dicom_port)
        assert association.send_c_store(ds).Status == 0
        association.release()
        for number in (1, 2):
            found = web.get("/studies", params={STUDY: f"Study {number}", "includefield": STUDY}).json()
            assert [one[STUDY] for one in found] == [{"vr": "LO", "Value": [f"Study {number}"]}]
            assert len(web.get("/instances", params={INSTANCE: f"I{number}"}).json()) == 1
        assert web.get("/studies", params={STUDY: "wrong"}).status_code == 204


def test_rebuild_by_the_command(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with hilum.open(root) as archive:
        archive.store(made(1, other_first=True))
    config = tmp_path / "hilum.toml"
    config.write_text(f'[index]\nprivate_tags = ["{STUDY}:ACME 1.0:study"]\n')
    command = [
        sys.executable,
        "-m",
        "hilum.cli.main",
        "index",
        "rebuild",
        "--archive",
        str(root),
        "--config",
        str(config),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with hilum.open(root, settings=load_settings(config, {})) as archive:
        assert len(archive.search("study", {STUDY: "Study 1"})) == 1
