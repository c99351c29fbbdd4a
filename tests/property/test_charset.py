"""Any bytes under any terms decode, always to valid text, and as Python's codecs do where those apply."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from hilum.dicom.charset import decode_text

TERMS = st.lists(st.sampled_from([*python_encoding, "ISO-IR 100", "nonsense"]), max_size=4).map("\\".join)
KINDS = st.sampled_from(["values", "text", "person_name"])
NOISE = st.one_of(
    st.binary(max_size=64),
    st.lists(
        st.sampled_from([b"\x1b", b"$B", b"$)C", b"(B", b"(J", b"-L", b"$(D", b"\\", b"^", b"=", b"\r\n", b"\xb0\xa1"])
        | st.binary(max_size=3),
        max_size=24,
    ).map(b"".join),
)


@given(NOISE, TERMS, KINDS)
def test_anything(raw: bytes, terms: str, kind: str) -> None:
    text, _ = decode_text(raw, terms, kind)  # type: ignore[arg-type]
    text.encode()


@given(st.binary(max_size=64))
def test_utf8_as_python(raw: bytes) -> None:
    text, clean = decode_text(raw, "ISO_IR 192")
    assert text == raw.decode("utf-8", "replace")
    assert clean == (raw.decode("utf-8", "ignore") == text)


@given(st.text(max_size=40))
def test_encode_decode_gb18030(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert decode_text(text.encode("gb18030"), "GB18030") == (text, True)
