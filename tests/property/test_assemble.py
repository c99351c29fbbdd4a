"""DICOM JSON of any shape gives an object that is read back, or a `DataError`; nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hilum.dicom import codestream
from hilum.dicom.assemble import BulkPart, assemble
from hilum.dicom.scan import scan
from hilum.errors import DataError

VRS = [
    "AE",
    "AT",
    "CS",
    "DA",
    "DS",
    "FD",
    "FL",
    "IS",
    "LO",
    "OB",
    "OW",
    "PN",
    "SL",
    "SQ",
    "SV",
    "UI",
    "UN",
    "US",
    "UT",
    5,
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
TAGS = st.sampled_from(
    ["00080005", "00080060", "00100010", "00280010", "00280030", "00091001", "7fe00010", "FFFEE000", "1"]
)


def models(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    element = st.fixed_dictionaries(
        {"vr": st.sampled_from(VRS)},
        optional={
            "Value": st.lists(SCALARS | items, max_size=3) | JSON,
            "InlineBinary": st.sampled_from(["", "AQID", "%"]) | JSON,
            "BulkDataURI": st.sampled_from(["a", "b"]) | JSON,
        },
    )
    return st.dictionaries(TAGS, element | JSON, max_size=4)


MODELS = models(models(JSON))
UIDS = {
    tag: {"vr": "UI", "Value": [value]}
    for tag, value in (("00080016", "1.2.3"), ("00080018", "1.2.4"), ("0020000D", "1.2.5"), ("0020000E", "1.2.6"))
}
KINDS = st.sampled_from(["", "application/octet-stream", "image/jpeg", "image/jp2", "image/jls", "text/plain"])


@given(MODELS, st.lists(st.tuples(KINDS, st.sampled_from(["", "1.2.840.10008.1.2.5", "x"]), st.binary(max_size=80))))
def test_any_model(model: dict[str, Any], parts: list[tuple[str, str, bytes]]) -> None:
    def bulk(uri: str) -> list[BulkPart]:
        if uri != "a" or not parts:
            raise DataError("none")
        return [BulkPart(*part) for part in parts]

    try:
        made = b"".join(assemble({**model, **UIDS}, bulk))
    except DataError:
        return
    assert scan(made).sop_instance_uid == "1.2.4"


@given(st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"]), st.binary(max_size=120))
def test_any_codestream(start: bytes, rest: bytes) -> None:
    for kind in ("image/jpeg", "image/jp2"):
        try:
            syntax = codestream.transfer_syntax(kind, "", start + rest)
            codestream.pixel_attributes(syntax, codestream.bare(start + rest), 1)
        except DataError:
            continue
