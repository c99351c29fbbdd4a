"""Random data sets: pydicom reads from our JSON what it wrote; damaged ones: JSON or an error, never a crash."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, FileMetaDataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from hilum.dicom.json import bulkdata_bytes, dataset_json
from hilum.errors import HilumError

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
SWAPPED = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
CONTENT_SEQUENCE = 0x0040A730


def text(maximum: int, alphabet: str | None = None) -> st.SearchStrategy[str]:
    """A value without what separates or pads."""
    characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\^=\x7f")
    return st.text(alphabet or characters, min_size=1, max_size=maximum).map(str.strip).filter(bool)


def integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


DECIMAL = st.one_of(
    st.integers(-(10**11), 10**11).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: f"{x:.6f}"[:16]),
    st.floats(-1e30, 1e30, allow_nan=False).map(lambda x: f"{x:.7E}"),
)
PERSON = st.lists(st.lists(text(12), min_size=1, max_size=3).map("^".join), min_size=1, max_size=3).map("=".join)
SINGLE = {
    "AE": text(16, "ABC_19"), "AS": st.just("060Y"), "AT": integers(32, False), "CS": text(16, "ABC_ 19"),
    "DA": st.just("20240229"), "DS": DECIMAL, "DT": st.just("20240229120000.000001+0100"),
    "FD": st.floats(allow_nan=False), "FL": st.floats(width=32, allow_nan=False),
    "IS": integers(32, True), "LO": text(64), "PN": PERSON, "SH": text(16), "SL": integers(32, True),
    "SS": integers(16, True), "SV": integers(64, True), "TM": st.just("120000.5"), "UC": text(200),
    "UI": st.just("1.2.840.10008.1.1"), "UL": integers(32, False), "US": integers(16, False),
    "UV": integers(64, False),
}  # fmt: skip
LONG_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\r\n\t\\"), min_size=1, max_size=99
)
WHOLE = {
    "LT": LONG_TEXT, "ST": LONG_TEXT, "UT": LONG_TEXT, "UR": st.just("http://a/b?c=d\\e"),
    **{vr: st.binary(min_size=1, max_size=12).map(lambda b: b * 8) for vr in ("OB", "OD", "OF", "OL", "OV", "OW")},
}  # fmt: skip


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    dataset = Dataset()
    for vr in draw(st.sets(st.sampled_from([*SINGLE, *WHOLE]), max_size=6)):
        tag = tag_for_keyword(f"Selector{vr}Value")
        assert tag is not None
        if vr in WHOLE:
            value = draw(WHOLE[vr])
            value = value.rstrip(" \0") or "x" if isinstance(value, str) else value
        else:
            value = draw(st.lists(SINGLE[vr], min_size=1, max_size=1 if vr in {"ST", "UR"} else 4))
            value = value[0] if len(value) == 1 else value
        dataset.add_new(tag, vr, value)
    if depth:
        items = draw(st.lists(datasets(depth - 1), max_size=3))
        if items or draw(st.booleans()):
            dataset.add_new(CONTENT_SEQUENCE, "SQ", items)
    return dataset


def encode(dataset: Dataset, syntax: str) -> bytes:
    if "SpecificCharacterSet" not in dataset:
        dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.preamble = bytes(128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


def plain(dataset: Dataset, big_endian: bool) -> dict[str, Any]:
    """Values as Python compares them, binary ones little endian."""
    out: dict[str, Any] = {}
    for element in dataset:
        value = element.value
        if element.VR == "SQ":
            value = [plain(item, big_endian) for item in value]
        elif isinstance(value, bytes):
            unit = SWAPPED.get(element.VR, 1) if big_endian else 1
            value = b"".join(value[i : i + unit][::-1] for i in range(0, len(value), unit))
        elif element.VR in {"DS", "FD", "FL"}:
            value = [float(v) for v in value] if element.VM > 1 else float(value)
        elif element.VR == "PN":
            value = [str(v) for v in value] if element.VM > 1 else str(value)
        elif element.VM > 1:
            value = list(value)
        out[element.keyword] = (element.VR, value)
    return out


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(datasets(), st.sampled_from(SYNTAXES), st.sampled_from(["ISO_IR 192", "GB18030"]), st.integers(0, 40))
def test_round_trip(dataset: Dataset, syntax: str, character_set: str, inline_limit: int) -> None:
    dataset.SpecificCharacterSet = character_set
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = encode(dataset, syntax)
        answer = dataset_json(data, inline_limit=inline_limit)
        back = Dataset.from_json(answer.decode(), lambda uri: bulkdata_bytes(data, uri))
        expected = plain(dataset, syntax == ExplicitVRBigEndian)
        assert plain(back, False) == expected


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(datasets(), st.sampled_from(SYNTAXES[:3]), st.data())
def test_damaged(dataset: Dataset, syntax: str, draws: st.DataObject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = bytearray(encode(dataset, syntax))
    for _ in range(draws.draw(st.integers(0, 5))):
        data[draws.draw(st.integers(132, len(data) - 1))] = draws.draw(st.integers(0, 255))
    cut = draws.draw(st.integers(0, len(data)))
    for damaged in (bytes(data), bytes(data[:cut])):
        try:
            answer = dataset_json(damaged)
        except HilumError:
            continue
        assert isinstance(json.loads(answer, parse_constant=lambda name: 1 / 0), dict)


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    for data in (body, bytes(128) + b"DICM" + body, b"\x08\0\x05\0CS\0\0" + body):
        try:
            assert isinstance(json.loads(dataset_json(data)), dict)
        except HilumError:
            continue
