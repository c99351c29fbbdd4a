"""dataset_json and bulkdata on data sets made by hand, byte by byte."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from hilum.dicom.json import bulkdata, bulkdata_bytes, dataset_json
from hilum.errors import DataError, NotFound, UsageError

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Explicit VR little endian, not padded."""
    length = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (struct.pack("<HI", 0, length) if vr in LONG else struct.pack("<H", length)) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(body: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body


def meta(syntax: str) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    body = element(0x00020010, "UI", uid)
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body


EXPLICIT = meta("1.2.840.10008.1.2.1") + element(0x00080005, "CS", b"ISO_IR 100")
IMPLICIT = meta("1.2.840.10008.1.2") + implicit(0x00080005, b"ISO_IR 100")


def parse(data: bytes, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(dataset_json(data, **options))
    assert list(result) == sorted(result)
    result.pop("00080005", None)
    return result


def value(vr: str, raw: bytes, tag: int = 0x00091001) -> Any:
    found = parse(EXPLICIT + element(tag, vr, raw))[f"{tag:08X}"]
    assert found.pop("vr") == vr
    return found.get("Value", found)


@pytest.mark.parametrize(
    ("vr", "raw", "expected"),
    [
        ("AE", b" STORE \\ ECHO", ["STORE", "ECHO"]),
        ("AS", b"060Y", ["060Y"]),
        ("AT", b"\x08\x00\x60\x00\xe0\x7f\x10\x00", ["00080060", "7FE00010"]),
        ("CS", b"A \\B\\\\C ", ["A", "B", None, "C"]),
        ("DA", b"20240229", ["20240229"]),
        ("DS", b"1.50 \\-.5\\+007\\1.e3\\-0.0", [1.5, -0.5, 7, 1000.0, 0.0]),
        ("DS", b"1\\\\3 ", [1, None, 3]),
        ("DS", b"0.12345678901234567\\0.123456789012345678", [0.12345678901234567, "0.123456789012345678"]),
        ("DS", b"1e400\\NaN\\1,5\\1 2\\--1\\.\\e5", ["1e400", "NaN", "1,5", "1 2", "--1", ".", "e5"]),
        ("DT", b"20240229120000.123456+0100", ["20240229120000.123456+0100"]),
        ("FL", struct.pack("<2f", 0.1, -1e30), [struct.unpack("f", struct.pack("f", x))[0] for x in (0.1, -1e30)]),
        ("FD", struct.pack("<3d", 0.1, 1e-310, 5), [0.1, 1e-310, 5]),
        ("FD", struct.pack("<3d", float("nan"), float("inf"), float("-inf")), ["NaN", "Infinity", "-Infinity"]),
        ("IS", b"+12\\-0012\\ 5 \\1A", [12, -12, 5, "1A"]),
        ("LO", b" a \\b", [" a", "b"]),
        ("LT", b" a\\b\r\nc  ", [" a\\b\r\nc"]),
        ("PN", b"A^B=C=D\\\\=E\\^", [
            {"Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D"}, None, {"Ideographic": "E"}, {"Alphabetic": "^"},
        ]),
        ("SH", b"J\xe9r\xf4me\0", ["Jérôme"]),
        ("SL", struct.pack("<2i", -(2**31), 5), [-(2**31), 5]),
        ("SS", struct.pack("<h", -5), [-5]),
        ("ST", b"\x01\x1f\"\\/\x7f", ["\x01\x1f\"\\/\x7f"]),
        ("SV", struct.pack("<3q", 2**53, -(2**53), 2**53 + 1), [2**53, -(2**53), str(2**53 + 1)]),
        ("TM", b"1200  ", ["1200"]),
        ("UC", b"a\\b", ["a", "b"]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("UL", struct.pack("<I", 2**32 - 1), [2**32 - 1]),
        ("UR", b"http://a/b\\c ", ["http://a/b\\c"]),
        ("US", struct.pack("<2H", 0, 65535), [0, 65535]),
        ("UT", b"x", ["x"]),
        ("UV", struct.pack("<2Q", 2**53, 2**64 - 1), [2**53, str(2**64 - 1)]),
        ("OB", b"\0\1", {"InlineBinary": "AAE="}),
        ("OW", b"\1\0\2\0", {"InlineBinary": "AQACAA=="}),
        ("UN", b"abc", {"InlineBinary": "YWJj"}),
    ],
)  # fmt: skip
def test_values(vr: str, raw: bytes, expected: Any) -> None:
    assert value(vr, raw) == expected


@pytest.mark.parametrize("vr", sorted(LONG | {"AE", "AS", "AT", "CS", "DS", "FD", "IS", "LO", "PN", "US", "UI", "ST"}))
def test_empty(vr: str) -> None:
    assert parse(EXPLICIT + element(0x00091001, vr, b"")) == {"00091001": {"vr": vr}}


@pytest.mark.parametrize("vr", ["AE", "CS", "DS", "IS", "LO", "PN", "SH", "UI", "ST"])
def test_only_padding_is_empty(vr: str) -> None:
    assert value(vr, b"  \0 ") == {}


@pytest.mark.parametrize(("vr", "raw"), [("US", b"abc"), ("FD", b"\0" * 12), ("AT", b"\0" * 6), ("FL", b"\0\0")])
def test_a_length_that_is_no_multiple_is_unknown(vr: str, raw: bytes) -> None:
    found = parse(EXPLICIT + element(0x00091001, vr, raw))["00091001"]
    assert found == {"vr": "UN", "InlineBinary": base64.b64encode(raw).decode()}


def test_unknown_vr_is_un() -> None:
    assert parse(EXPLICIT + element(0x00091001, "ZZ", b"ab"))["00091001"] == {"vr": "UN", "InlineBinary": "YWI="}


def test_sequences() -> None:
    third = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00080104, "LO", "é".encode())
    body = item(element(0x00080100, "SH", b"code")) + item(b"") + item(third)
    assert parse(EXPLICIT + element(0x00081032, "SQ", body))["00081032"]["Value"] == [
        {"00080100": {"vr": "SH", "Value": ["code"]}},
        {},
        {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, "00080104": {"vr": "LO", "Value": ["é"]}},
    ]


def test_character_set_is_inherited_and_restored() -> None:
    inner = element(0x00080005, "CS", b"ISO_IR 144") + element(0x00080104, "LO", b"\xbb")
    data = EXPLICIT + element(0x00081032, "SQ", item(inner) + item(element(0x00080104, "LO", b"\xbb")))
    first, second = parse(data + element(0x00100020, "LO", b"\xbb"))["00081032"]["Value"]
    assert first["00080104"]["Value"] == ["Л"]
    assert second["00080104"]["Value"] == ["»"]


def test_group_lengths_and_meta_are_left_out() -> None:
    data = meta("1.2.840.10008.1.2.1") + element(0x00080000, "UL", b"\0" * 4) + element(0x00080060, "CS", b"CT")
    assert parse(data) == {"00080060": {"vr": "CS", "Value": ["CT"]}}


def test_order_and_duplicates() -> None:
    data = EXPLICIT + b"".join(element(t, "CS", v) for t, v in [
        (0x00080070, b"A"), (0x00080060, b"B"), (0x00080070, b"C"), (0x00080061, b"D"),
    ])  # fmt: skip
    assert {k: v["Value"] for k, v in parse(data).items()} == {"00080060": ["B"], "00080061": ["D"], "00080070": ["C"]}
    nested = parse(EXPLICIT + element(0x00081032, "SQ", item(data[len(EXPLICIT) :])))
    assert [list(i) for i in nested["00081032"]["Value"]] == [["00080060", "00080061", "00080070"]]


def test_implicit_vr_by_dictionaries() -> None:
    data = IMPLICIT + b"".join([
        implicit(0x00080060, b"CT"),
        implicit(0x00091001, b"xx"),
        implicit(0x00190010, b"PHILIPS MR IMAGING DD 001 "),
        implicit(0x00280103, b"\1\0"),
        implicit(0x00280106, b"\xfe\xff"),
        implicit(0x00283002, b"\1\0\0\0\x10\0"),
        implicit(0x00283006, b"\5\0"),
        implicit(0x60003000, b"\1\2"),
    ])  # fmt: skip
    found = parse(data)
    assert found["00091001"]["vr"] == "UN"
    assert found["00280106"] == {"vr": "SS", "Value": [-2]}
    assert found["00283006"] == {"vr": "US", "Value": [5]}
    assert found["60003000"]["vr"] == "OW"


def test_private_elements_of_known_creators() -> None:
    creator = implicit(0x70530010, b"Philips PET Private Group ")
    assert parse(IMPLICIT + creator + implicit(0x70531000, b"0.5 "))["70531000"] == {"vr": "DS", "Value": [0.5]}
    unreserved = implicit(0x70530011, b"Philips PET Private Group ")
    assert parse(IMPLICIT + unreserved + implicit(0x70531000, b"0.5 "))["70531000"]["vr"] == "UN"
    as_un = element(0x70530010, "LO", b"Philips PET Private Group ") + element(0x70531000, "UN", b"0.5 ")
    assert parse(EXPLICIT + as_un)["70531000"] == {"vr": "DS", "Value": [0.5]}


def test_pixel_representation_after_the_element_that_needs_it() -> None:
    data = IMPLICIT + implicit(0x00189810, b"\xff\xff") + implicit(0x00280103, b"\1\0")
    assert parse(data)["00189810"] == {"vr": "SS", "Value": [-1]}


def test_un_that_cannot_be_the_dictionarys_vr_stays() -> None:
    assert parse(EXPLICIT + element(0x00100010, "UN", b"A^B "))["00100010"]["vr"] == "PN"
    assert parse(EXPLICIT + element(0x00100010, "UN", b"\0\1\2\3"))["00100010"]["vr"] == "UN"
    assert parse(EXPLICIT + element(0x00081032, "UN", b"no items here"))["00081032"]["vr"] == "UN"


def test_un_sequences_may_be_implicit_or_explicit() -> None:
    for body in (implicit(0x00080100, b"code"), element(0x00080100, "SH", b"code")):
        for length, end in ((None, b""), (UNDEFINED, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))):
            found = parse(EXPLICIT + element(0x00081032, "UN", item(body) + end, length))
            assert found["00081032"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["code"]}}]}


def test_inline_limit_and_uri() -> None:
    data = EXPLICIT + element(0x00081032, "SQ", item(b"") + item(element(0x00091001, "OB", b"x" * 10)))
    found = parse(data, bulk_data_uri='http://h/"x"', inline_limit=9)["00081032"]["Value"][1]["00091001"]
    assert found == {"vr": "OB", "BulkDataURI": 'http://h/"x"/00081032/1/00091001'}
    assert bulkdata_bytes(data, "00081032/1/00091001") == b"x" * 10
    assert parse(data, inline_limit=10)["00081032"]["Value"][1]["00091001"]["InlineBinary"]
    assert parse(data, inline_limit=0)["00081032"]["Value"][1]["00091001"]["BulkDataURI"] == "00081032/1/00091001"


def test_palettes_are_inline_pixels_never() -> None:
    lut = b"\1\2" * 32768
    data = EXPLICIT + element(0x00281201, "OW", lut) + element(0x00281223, "OW", lut + b"\0\0")
    found = parse(data + element(0x7FE00010, "OB", b"\1\2"))
    assert base64.b64decode(found["00281201"]["InlineBinary"]) == lut
    assert found["00281223"] == {"vr": "OW", "BulkDataURI": "00281223"}
    assert found["7FE00010"] == {"vr": "OB", "BulkDataURI": "7FE00010"}
    assert parse(data + element(0x7FE00010, "OB", b""))["7FE00010"] == {"vr": "OB"}


def test_header_length() -> None:
    data = EXPLICIT + element(0x00080060, "CS", b"CT")
    cut = len(data)
    data += element(0x7FE00010, "OW", b"\0" * 10) + element(0xFFFCFFFC, "OB", b"\0\0")
    assert list(parse(data)) == ["00080060", "7FE00010", "FFFCFFFC"]
    assert list(parse(data, header_length=cut)) == ["00080060", "7FE00010"]
    assert parse(data[: cut + 12], header_length=cut) == parse(data, header_length=cut)
    assert list(parse(data[:cut], header_length=cut)) == ["00080060"]
    for wrong in (len(data) + 1, 5):
        with pytest.raises(UsageError, match="header_length"):
            dataset_json(data, wrong)


def test_wanted_and_add() -> None:
    data = EXPLICIT + element(0x00080060, "CS", b"CT") + element(0x00100020, "LO", b"1")
    add = b'"00083002":{"vr":"UI","Value":["1.2,\\"}"]},"00080060":{"vr":"CS","Value":["MR"]}'
    assert parse(data, wanted=["00100020", "00400275.00400009"]) == {"00100020": {"vr": "LO", "Value": ["1"]}}
    found = parse(data, add=add)
    assert list(found) == ["00080060", "00083002", "00100020"]
    assert found["00080060"]["Value"] == ["MR"]
    assert found["00083002"]["Value"] == ['1.2,"}']
    assert list(parse(data, add=b'"FFFFFFFF":{"vr":"UN"}')) == ["00080060", "00100020", "FFFFFFFF"]
    for bad in (b"x", b'"0008300":{}', b'"00083002":{"vr"', b'"00083002":"x', b'"00083002":{"a":"\\'):
        with pytest.raises(UsageError, match="added"):
            dataset_json(data, add=bad)
    with pytest.raises(UsageError, match="wanted"):
        dataset_json(data, wanted=["PatientID"])


def test_big_endian() -> None:
    head = meta("1.2.840.10008.1.2.2")
    data = head + b"".join(
        struct.pack(">HH", t >> 16, t & 0xFFFF) + vr.encode()
        + (struct.pack(">HI", 0, len(v)) if vr in LONG else struct.pack(">H", len(v))) + v
        for t, vr, v in [
            (0x00080060, "CS", b"CT"),
            (0x00080090, "AT", b"\x7f\xe0\x00\x10"),
            (0x00280010, "US", b"\x01\x02"),
            (0x00281201, "OW", b"\1\2\3\4"),
            (0x7FE00010, "OW", b"\1\2\3\4"),
        ]
    )  # fmt: skip
    found = parse(data)
    assert found["00280010"]["Value"] == [0x0102]
    assert found["00080090"]["Value"] == ["7FE00010"]
    assert base64.b64decode(found["00281201"]["InlineBinary"]) == b"\2\1\4\3"
    assert bulkdata(data, "7FE00010") == b"\2\1\4\3"
    assert parse(data[:-4], header_length=len(data) - 16)["7FE00010"] == {"vr": "OW", "BulkDataURI": "7FE00010"}


def test_encapsulated() -> None:
    fragments = item(b"") + item(b"\xff\xd8\xff\xd9")
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = EXPLICIT + element(0x7FE00010, "OB", fragments + end, UNDEFINED)
    assert parse(data)["7FE00010"] == {"vr": "OB", "BulkDataURI": "7FE00010"}
    assert bulkdata_bytes(data, "7FE00010") == fragments
    offset, length = bulkdata(data, "7FE00010")
    assert data[offset : offset + length] == fragments


def test_bad_sequences_become_unknown() -> None:
    broken = struct.pack("<HHI", 0xFFFE, 0xE000, 6) + b"\x08\x00\x00\x01SH"
    data = EXPLICIT + element(0x00081032, "SQ", item(element(0x00081140, "SQ", broken)) + item(b""))
    found = parse(data + element(0x00100020, "LO", b"after"))
    assert found["00081032"]["Value"][0]["00081140"] == {
        "vr": "UN", "InlineBinary": base64.b64encode(broken).decode()
    }  # fmt: skip
    assert found["00100020"]["Value"] == ["after"]
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = EXPLICIT + element(0x00081032, "SQ", item(broken[8:]) + end, UNDEFINED) + element(0x00100020, "LO", b"x")
    assert parse(data)["00081032"]["vr"] == "UN"
    assert parse(data)["00100020"]["Value"] == ["x"]


def test_errors() -> None:
    data = EXPLICIT + element(0x00080060, "CS", b"CT")
    with pytest.raises(DataError):
        dataset_json(b"not dicom at all" * 20)
    with pytest.raises(DataError, match=r"\(0008,0060\)"):
        dataset_json(data[:-1])
    with pytest.raises(NotFound):
        bulkdata(data, "00100020")
    with pytest.raises(NotFound):
        bulkdata(EXPLICIT + element(0x00081032, "SQ", item(b"")), "00081032/1/00080100")
    for path in ("", "0010002", "00100020/", "00100020/x/00100020", "00100020/0", "001000200", "00100020//00100020"):
        with pytest.raises((UsageError, NotFound)):
            bulkdata(data, path)


def test_no_bytes_of_the_object_in_type_errors() -> None:
    with pytest.raises(TypeError) as caught:
        dataset_json(EXPLICIT + b"SECRET", inline_limit="x")  # type: ignore[arg-type]
    assert "SECRET" not in str(caught.value)


def test_deep_nesting() -> None:
    body = b""
    for _ in range(200):
        body = element(0x00081032, "SQ", item(body))
    text = dataset_json(EXPLICIT + body)
    assert json.loads(text)
    assert b'"UN"' in text
    open_end = (struct.pack("<HH", 0x0008, 0x1032) + b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff") * 200
    with pytest.raises(DataError):
        dataset_json(EXPLICIT + open_end)
