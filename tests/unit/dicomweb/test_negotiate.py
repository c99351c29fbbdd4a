from __future__ import annotations

import pytest

from hilum.dicomweb.negotiate import (
    EXPLICIT_LITTLE_ENDIAN,
    STORED_MEDIA,
    FrameChoice,
    NotAcceptable,
    choose_bulkdata,
    choose_frames,
    choose_metadata,
    choose_objects,
    choose_rendered,
    parse_accept,
)

JPEG, J2K, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
JPEG_LS, LOSSLESS_JPEG = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
OCTETS = "application/octet-stream"
ELE = EXPLICIT_LITTLE_ENDIAN
PART = "multipart/related; type=application/octet-stream"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("*/*", False, "")]),
        ("*/*", [("*/*", False, "")]),
        ("*", [("*/*", False, "")]),
        ("text/html, */*;q=0.1", [("text/html", False, ""), ("*/*", False, "")]),
        ("a/b;q=0.1, c/d;q=0.9", [("c/d", False, ""), ("a/b", False, "")]),
        ("a/b;q=0", [("*/*", False, "")]),
        ("a/b;q=zzz", [("a/b", False, "")]),
        ('multipart/related; type="application/dicom"', [("application/dicom", True, "")]),
        ("multipart/related; type=application/dicom; transfer-syntax=*", [("application/dicom", True, "*")]),
        ('multipart/related; type="image/jpeg"; transfer-syntax="1.2.3"', [("image/jpeg", True, "1.2.3")]),
        ('multipart/related;type="a,b;c"', [("a,b;c", True, "")]),
        ("multipart/related", [("*/*", True, "")]),
        ("image/x-dicom rle", [("image/dicom-rle", False, "")]),
        ("image/x-dicom+rle", [("image/dicom-rle", False, "")]),
        ("x-dicom-rle", [("image/dicom-rle", False, "")]),
        (",, ;;, =", [("=", False, "")]),
    ],
)
def test_parse_accept(text: str, expected: list[tuple[str, bool, str]]) -> None:
    assert [(r.type, r.multipart, r.transfer_syntax) for r in parse_accept(text)] == expected


def test_parse_accept_is_linear() -> None:
    assert len(parse_accept("a/b;x=" + '"' * 60000)) == 1
    assert len(parse_accept("a/b," * 15000)) == 15000


@pytest.mark.parametrize(
    ("accept", "stored", "several", "decoder", "expected"),
    [
        ("", "1.2.840.10008.1.2", False, True, (True, OCTETS, ELE, True)),
        ("*/*", JPEG, True, True, (True, "image/jpeg", JPEG, True)),
        (PART + "; transfer-syntax=*", J2K, False, True, (True, OCTETS, J2K, True)),
        (PART, J2K, False, True, (False, OCTETS, ELE, True)),
        ("application/octet-stream", JPEG, False, True, (False, OCTETS, ELE, False)),
        (f"{OCTETS};transfer-syntax={ELE}", JPEG, False, True, (False, OCTETS, ELE, False)),
        ("application/octet-stream", JPEG, False, False, None),
        ("image/jpeg", JPEG, False, False, (True, "image/jpeg", JPEG, False)),
        ("image/jpeg;transfer-syntax=" + JPEG, JPEG, False, False, (True, "image/jpeg", JPEG, False)),
        ("image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.70", JPEG, False, True, None),
        ("image/jpeg", "1.2.840.10008.1.2.1", False, True, None),
        ("image/jp2", J2K, False, True, (True, "image/jp2", J2K, False)),
        ("image/j2c", J2K, False, True, (True, "image/j2c", J2K, False)),
        ("image/*", J2K, False, True, (True, "image/jp2", J2K, False)),
        ("image/x-dicom rle", RLE, False, True, (True, "image/dicom-rle", RLE, False)),
        ("image/jls, multipart/related;type=image/jpeg", JPEG, False, False, (True, "image/jpeg", JPEG, True)),
        ("image/jpeg", JPEG, True, True, None),
        ("multipart/related;type=image/jpeg", JPEG, True, True, (True, "image/jpeg", JPEG, True)),
        (OCTETS + ";transfer-syntax=*", "1.2.840.10008.1.2.2", False, True, (True, OCTETS, ELE, False)),
        ("*/*", "1.2.3.4", False, False, (True, OCTETS, "1.2.3.4", True)),
    ],
)  # fmt: skip
def test_choose_frames(
    accept: str, stored: str, several: bool, decoder: bool, expected: tuple[bool, str, str, bool] | None
) -> None:
    ranges = parse_accept(accept)
    if expected is None:
        with pytest.raises(NotAcceptable):
            choose_frames(ranges, stored, several=several, can_decode=lambda: decoder, can_make=lambda _: False)
        return
    found = choose_frames(ranges, stored, several=several, can_decode=lambda: decoder, can_make=lambda _: False)
    assert (found.as_stored, found.media_type, found.transfer_syntax, found.multipart) == expected
    assert '"' not in found.content_type


@pytest.mark.parametrize(
    ("accept", "stored", "makes", "expected"),
    [
        ("image/jls", ELE, JPEG_LS, (False, "image/jls", JPEG_LS)),
        ("image/jls", ELE, RLE, None),
        ("image/jls;transfer-syntax=*", JPEG, JPEG_LS, (False, "image/jls", JPEG_LS)),
        ("image/jpeg", ELE, LOSSLESS_JPEG, (False, "image/jpeg", LOSSLESS_JPEG)),
        ("image/*", ELE, LOSSLESS_JPEG, (False, "image/jpeg", LOSSLESS_JPEG)),
        (f"image/*;transfer-syntax={JPEG_LS}", J2K, JPEG_LS, (False, "image/jls", JPEG_LS)),
        (f"image/jp2;transfer-syntax={JPEG_LS}", ELE, JPEG_LS, None),
        (f"image/j2c;transfer-syntax={J2K}", RLE, J2K, (False, "image/j2c", J2K)),
        (f"{OCTETS};transfer-syntax={RLE}", J2K, RLE, (False, OCTETS, RLE)),
        (f"{OCTETS};transfer-syntax=1.2.840.10008.1.2.1.98", J2K, "1.2.840.10008.1.2.1.98",
         (False, OCTETS, "1.2.840.10008.1.2.1.98")),
        (f"multipart/related;transfer-syntax={JPEG_LS}", RLE, JPEG_LS, (False, "image/jls", JPEG_LS)),
        (f"multipart/related;transfer-syntax={ELE}", RLE, JPEG_LS, (False, OCTETS, ELE)),
        (f"{OCTETS}, image/jls, image/jp2", J2K, JPEG_LS, (True, "image/jp2", J2K)),
        (f"{OCTETS}, image/jls, image/jp2;q=0.9", J2K, JPEG_LS, (False, OCTETS, ELE)),
        (f"image/jls, {OCTETS}, image/jp2;q=0.9", J2K, JPEG_LS, (False, "image/jls", JPEG_LS)),
        (f"image/jls;q=0.3, image/dicom-rle;q=0.8, {OCTETS};q=0.1", J2K, JPEG_LS, (False, "image/jls", JPEG_LS)),
        ("video/mp4", ELE, JPEG_LS, None),
    ],
)  # fmt: skip
def test_choose_frames_that_are_made(
    accept: str, stored: str, makes: str, expected: tuple[bool, str, str] | None
) -> None:
    def choose() -> FrameChoice:
        return choose_frames(
            parse_accept(accept), stored, several=False, can_decode=lambda: True, can_make=lambda uid: uid == makes
        )

    if expected is None:
        with pytest.raises(NotAcceptable, match=f"transfer-syntax={makes}"):
            choose()
        return
    found = choose()
    assert (found.as_stored, found.media_type, found.transfer_syntax) == expected


@pytest.mark.parametrize("stored", [*STORED_MEDIA, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.98", "9.9"])
@pytest.mark.parametrize("accept", ["", "*/*", "multipart/related; type=application/octet-stream; transfer-syntax=*"])
def test_w7_as_stored_is_always_possible(stored: str, accept: str) -> None:
    assert choose_frames(
        parse_accept(accept), stored, several=True, can_decode=lambda: False, can_make=lambda _: False
    ).as_stored


@pytest.mark.parametrize(
    ("accept", "single", "expected"),
    [
        ("", True, [("multipart", EXPLICIT_LITTLE_ENDIAN)]),
        ("application/dicom", True, [("single", EXPLICIT_LITTLE_ENDIAN)]),
        ("application/dicom", False, None),
        ("application/dicom; transfer-syntax=*", True, [("single", "*")]),
        ("multipart/related; type=application/dicom", False, [("multipart", EXPLICIT_LITTLE_ENDIAN)]),
        ("application/zip", False, [("zip", "*")]),
        ("image/png", True, None),
        ("image/png, */*;q=0.1", True, [("multipart", EXPLICIT_LITTLE_ENDIAN)]),
    ],
)
def test_choose_objects(accept: str, single: bool, expected: list[tuple[str, str]] | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable):
            choose_objects(parse_accept(accept), single=single)
        return
    assert [(c.form, c.transfer_syntax) for c in choose_objects(parse_accept(accept), single=single)] == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("application/json", "json"),
        ("application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*", "json"),
        ('multipart/related; type="application/dicom+xml"', "xml"),
        ('multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5', "xml"),
        ("image/png", None),
    ],
)
def test_choose_metadata(accept: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable):
            choose_metadata(parse_accept(accept))
    else:
        assert choose_metadata(parse_accept(accept)) == expected


def test_choose_bulkdata_and_rendered() -> None:
    assert choose_bulkdata(parse_accept("multipart/related; type=application/octet-stream"))
    assert not choose_bulkdata(parse_accept(""))
    with pytest.raises(NotAcceptable):
        choose_bulkdata(parse_accept("image/jpeg"))
    makes = ("image/jpeg", "image/png")
    assert choose_rendered(parse_accept(""), makes) == ("image/jpeg", False)
    assert choose_rendered(parse_accept("image/webp,image/png;q=0.9,*/*;q=0.1"), makes) == ("image/png", False)
    assert choose_rendered(parse_accept("multipart/related;type=image/png"), makes) == ("image/png", True)
    with pytest.raises(NotAcceptable, match="image/jpeg, image/png"):
        choose_rendered(parse_accept("video/mp4"), makes)
