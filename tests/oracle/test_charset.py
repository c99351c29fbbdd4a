"""Every character of every set, against Python's codecs; the names of real files, against pydicom."""

from __future__ import annotations

import pytest

from hilum.dicom.charset import decode_text

SINGLE_BYTE = {
    "ISO_IR 100": "iso8859_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 166": "tis_620",
}


@pytest.mark.parametrize("term", SINGLE_BYTE)
@pytest.mark.parametrize("prefix", ["ISO_IR", "ISO 2022 IR"])
def test_single_byte(term: str, prefix: str) -> None:
    raw = bytes(range(1, 27)) + bytes(range(28, 256))
    term, codec = term.replace("ISO_IR", prefix), SINGLE_BYTE[term]
    assert decode_text(raw, term, "text")[0] == raw.decode(codec, "replace")


def pairs(codec: str, lead: range, trail: range) -> list[tuple[bytes, str]]:
    found = []
    for a in lead:
        for b in trail:
            try:
                found.append((bytes([a, b]), bytes([a, b]).decode(codec)))
            except UnicodeDecodeError:
                continue
    return [(raw, text) for raw, text in found if len(text) == 1]


@pytest.mark.parametrize(
    ("term", "codec", "lead", "trail"),
    [
        ("ISO 2022 IR 149", "euc_kr", range(0xA1, 0xFF), range(0xA1, 0xFF)),
        ("ISO 2022 IR 58", "gb2312", range(0xA1, 0xFF), range(0xA1, 0xFF)),
        ("GB18030", "gb18030", range(0x81, 0xFF), range(0x40, 0xFF)),
        ("GBK", "gbk", range(0x81, 0xFF), range(0x40, 0xFF)),
        ("ISO_IR 13", "shift_jis", range(0x81, 0xF0), range(0x40, 0xFD)),
    ],
)
def test_two_byte(term: str, codec: str, lead: range, trail: range) -> None:
    known = pairs(codec, lead, trail)
    assert len(known) > 6000
    assert decode_text(b"".join(raw for raw, _ in known), term) == ("".join(text for _, text in known), True)


@pytest.mark.parametrize(
    ("escape", "term", "codec", "count"),
    [
        (b"\x1b$B", "\\ISO 2022 IR 87", "iso2022_jp", 6879),
        (b"\x1b$(D", "\\ISO 2022 IR 159", "iso2022_jp_2", 6067),
    ],
)
def test_japanese(escape: bytes, term: str, codec: str, count: int) -> None:
    raw, text = b"", ""
    for a in range(0x21, 0x7F):
        for b in range(0x21, 0x7F):
            try:
                text += (escape + bytes([a, b]) + b"\x1b(B").decode(codec)
            except UnicodeDecodeError:
                continue
            raw += bytes([a, b])
    assert len(text) == count
    assert decode_text(escape + raw + b"\x1b(B", term) == (text, True)


def test_utf8_and_gb18030_hold_all_of_unicode() -> None:
    text = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000, 7)]))
    assert decode_text(text.encode(), "ISO_IR 192") == (text, True)
    assert decode_text(text.encode("gb18030"), "GB18030") == (text, True)


def test_terms_as_a_sequence() -> None:
    assert decode_text(b"\x1b$)C\xc8\xab", ["", "ISO 2022 IR 149"], "person_name") == ("홍", True)


def test_unclean() -> None:
    assert decode_text(b"J\xe9", "ISO_IR 192") == ("J\ufffd", False)
    assert decode_text(b"J\xe9", "ISO_IR 1999") == ("Jé", False)
    assert decode_text(b"J", "ISO_IR 192\\ISO 2022 IR 87") == ("J", False)


def test_wrong_kind() -> None:
    with pytest.raises(ValueError, match="kind must be"):
        decode_text(b"", "", "other")  # type: ignore[arg-type]
