"""Tables of UIDs, VRs and keywords, and the bridge to pydicom."""

from __future__ import annotations

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.uid import UID

from hilum.dicom import uids, vr
from hilum.dicom.dataset import to_bytes, to_dataset
from hilum.errors import DataError, UsageError


def test_every_vr_of_the_dictionary() -> None:
    several = {"OB or OW": "OW", "US or SS": "US", "US or OW": "OW", "US or SS or OW": "OW", "NONE": "UN"}
    for tag, entry in DicomDictionary.items():
        assert vr.dictionary_vr(tag) == several.get(entry[0], entry[0])
    assert vr.dictionary_vr("60023000") == "OW"
    assert vr.dictionary_vr(0x00091001) == "UN"


def test_keywords() -> None:
    for name in ("SOPInstanceUID", "sop_instance_uid"):
        assert vr.tag_of(name) == "00080018"
    assert vr.tag_of("other_patient_ids") == "00101000"
    assert vr.tag_of("NoSuchThing") is None
    assert vr.keyword_of("0020000D") == "StudyInstanceUID"
    names = [vr.snake_case(entry[4]) for entry in DicomDictionary.values() if entry[4]]
    assert len(set(names)) == len(names)


def test_tags() -> None:
    for text in ("7fe00010", "(7FE0,0010)", "7fe0,0010"):
        assert vr.parse_tag(text) == "7FE00010"
    for bad in ("", "7fe0", "7fe0001g", "+7fe0010", "7fe000100"):
        with pytest.raises(UsageError):
            vr.parse_tag(bad)


def test_transfer_syntaxes() -> None:
    known = uids.TRANSFER_SYNTAXES
    assert known["1.2.840.10008.1.2.4.110"].codec == "jpeg_xl"
    assert known["1.2.840.10008.1.2.1.99"].deflated
    assert not known["1.2.840.10008.1.2.1"].encapsulated
    private = uids.transfer_syntax("1.2.999")
    assert (private.codec, private.explicit_vr, private.big_endian) == ("unknown", True, False)
    uids.register_with_pydicom()
    for uid, syntax in known.items():
        assert UID(uid).is_transfer_syntax
        assert UID(uid).is_little_endian != syntax.big_endian
    assert UID("1.2.840.10008.1.2.8.1").is_encapsulated


def test_sop_classes() -> None:
    storage = uids.storage_sop_classes()
    assert storage["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"
    assert len(storage) > 170
    assert not any("Commitment" in name for name in storage.values())


def test_valid_uids() -> None:
    assert uids.is_valid_uid("1.2.840.10008.1.2")
    for bad in ("", "1..2", ".1", "1.", "1.a", "../x", "1" * 65, "١.٢"):
        assert not uids.is_valid_uid(bad)


def small_dataset() -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = "1.2.3", "1.2.3.1", "P1"
    return ds


def test_bridge() -> None:
    ds = small_dataset()
    with pytest.raises(UsageError):
        to_bytes(ds)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data = to_bytes(ds)
    assert "MediaStorageSOPInstanceUID" not in ds.file_meta
    again = to_dataset(data)
    assert again.PatientID == "P1"
    assert again.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    bare = to_dataset(data[data.index(b"\x08\x00\x16\x00") :])
    assert bare.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    with pytest.raises(DataError):
        to_dataset(b"no dicom")
