"""Objects of no patient (colour palettes, hanging protocols, implant templates) are refused and never lost unseen."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

import hilum

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.xdist_group("live_server")
CLASSES = {
    "colour palette": "1.2.840.10008.5.1.4.39.1",
    "hanging protocol": "1.2.840.10008.5.1.4.38.1",
    "implant template": "1.2.840.10008.5.1.4.43.1",
}


def made(sop_class: str) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.ContentLabel = "LABEL"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def file_of(ds: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("sop_class", CLASSES.values(), ids=CLASSES.keys())
def test_import_keeps_a_copy_and_says_why(tmp_path: Path, sop_class: str) -> None:
    data = file_of(made(sop_class))
    (tmp_path / "file.dcm").write_bytes(data)
    with hilum.open(tmp_path / "archive") as archive:
        assert archive.import_paths([tmp_path / "file.dcm"]).counts["quarantined"] == 1
        (item,) = archive.quarantined()
        assert "(0020,000D)" in item.reason
    kept = tmp_path / "archive" / "quarantine" / f"{hashlib.sha256(data).hexdigest()}.dcm"
    assert kept.read_bytes() == data


@pytest.mark.parametrize("sop_class", CLASSES.values(), ids=CLASSES.keys())
def test_services_refuse(web: httpx.Client, live_server: Any, sop_class: str) -> None:
    ds = made(sop_class)
    answer = web.post("/studies", content=file_of(ds), headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 409
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [ds.SOPInstanceUID]
    assert failed["00081197"]["Value"] == [0xC000]
    ae = AE()
    ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", live_server.dicom_port)
    assert not association.is_established, "the context is refused: abstract syntax not supported"
