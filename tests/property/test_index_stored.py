"""Stored form of records and posting lists: what goes in comes out, bit by bit, whatever it is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum._core import (
    change_postings,
    decode_postings,
    intersect_postings,
    open_record,
    posting_key,
    postings_in,
    seal_records,
    split_postings,
)
from hilum._keys import encode_counts, encode_record, uid_key
from hilum.errors import DataError
from hilum.index.environment import DATABASES
from hilum.index.layout import ORDER_BYTES
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.records import MAX_ID, order_key
from hilum.index.synthetic import attribute_list, synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path

texts = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=40),
    st.text("0123456789.-\\ \t:", max_size=150).map(str.encode),
    st.sampled_from([b"1.2.840.10008.5.1.4.1.1.2", b"MONOCHROME2", b"", b"0", b"\0", b"x" * 95, b"x" * 96, b"1" * 65]),
)
uids = st.lists(st.integers(0, 99_999), min_size=2, max_size=9).map(lambda parts: ".".join(map(str, parts)))
lists = st.dictionaries(
    st.sampled_from(["PatientName", "PatientID", "StudyDate", "SeriesDate", "StudyInstanceUID", "Rows", "00091001"]),
    st.one_of(uids, st.text(max_size=30), st.just("20240131")),
    max_size=7,
).map(attribute_list)
counts = st.dictionaries(uids, st.integers(1, 10**12), max_size=3).map(encode_counts)
pixels = st.one_of(texts, st.just(b"64\t64\t1\t0\t16\t12\t11\t0\tMONOCHROME2\t1\tPixelData"), st.just(b"\t" * 10))
tables = st.one_of(texts, st.binary(min_size=20, max_size=20).map(lambda raw: b"\1" + raw), st.just(b"\0"))
FIXED = {1: 24, 2: 40, 3: 40, 4: 112, 5: 112}
BLOBS = {
    1: (texts, lists, lists),
    2: (counts, counts, lists, lists),
    3: (uids.map(str.encode), counts, lists, lists, lists, lists),
    4: (uids.map(str.encode), texts, texts, pixels, tables, texts, lists, texts),
    5: (texts, texts, texts, pixels, tables, texts, lists, texts, texts, lists, lists, lists),
}
NAMES = {1: "patient", 2: "study", 3: "series", 4: "instance", 5: "version"}


@st.composite
def records(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = draw(st.integers(1, 5))
    size = FIXED[kind]
    small = st.lists(st.integers(0, 2000), min_size=size // 4, max_size=size // 4).map(
        lambda numbers: struct.pack(f"<{size // 4}I", *numbers)
    )
    fixed = draw(st.one_of(st.binary(min_size=size, max_size=size), small))
    return NAMES[kind], encode_record(kind, fixed, [draw(blob) for blob in BLOBS[kind]])


def stored(name: str, key: bytes, body: bytes) -> bytes:
    return seal_records(DATABASES[name], [(key, body)])[0][1]


@settings(max_examples=400, deadline=None)
@given(records(), st.binary(min_size=8, max_size=8))
def test_a_record_comes_out_as_it_went_in(record: tuple[str, bytes], key: bytes) -> None:
    name, body = record
    assert open_record(DATABASES[name], name, key, stored(name, key, body))[4:] == body


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(DATABASES)), st.binary(min_size=8, max_size=8), st.binary(max_size=400))
def test_so_does_anything_else(name: str, key: bytes, body: bytes) -> None:
    if name in ("instance_uid", "patient_key", "study_uid", "series_uid"):
        body = (body + bytes(8))[:8]
    assert open_record(DATABASES[name], name, key, stored(name, key, body))[4:] == body


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.binary(min_size=8, max_size=8), st.lists(uids, min_size=3, max_size=60))
def test_events_are_stored_without_what_their_uids_share(kind: int, time: bytes, names: list[str]) -> None:
    body = struct.pack("<BxxxI", kind, len(names) - 2) + time + "\n".join(names).encode()
    key = bytes(8)
    assert open_record(DATABASES["event"], "event", key, stored("event", key, body))[4:] == body


def test_a_large_record_is_stored_as_it_is() -> None:
    body = encode_record(2, bytes(40), [b"", b"", b"", b"7" * (2 << 20)])
    record = stored("study", bytes(8), body)
    assert len(record) == len(body) + 5
    assert open_record(DATABASES["study"], "study", bytes(8), record)[4:] == body


def test_a_changed_bit_is_refused() -> None:
    body = encode_record(1, bytes(24), [b"P1\0", attribute_list({"PatientName": "A^B"}), b""])
    record = stored("patient", bytes(8), body)
    for bit in range(len(record) * 8):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError, match="checksum"):
            open_record(DATABASES["patient"], "patient", bytes(8), bytes(damaged))


orders = st.one_of(
    st.integers(0, (1 << 48) - 1),
    st.tuples(st.integers(1900, 2030), st.integers(1, 12), st.integers(1, 31), st.integers(0, 86_399)).map(
        lambda t: (t[0] * 10_000 + t[1] * 100 + t[2]) << 17 | t[3]
    ),
    st.just(0),
)
order_keys = st.builds(order_key, orders, st.integers(0, MAX_ID))


def joined(keys: set[bytes]) -> bytes:
    return b"".join(sorted(keys))


@settings(max_examples=200, deadline=None)
@given(st.sets(order_keys, max_size=600), st.sets(order_keys, max_size=20), st.data())
def test_a_posting_list_is_a_set_in_order(first: set[bytes], more: set[bytes], data: st.DataObject) -> None:
    blocks = change_postings(b"", b"", joined(first), b"")
    assert all(postings_in(value) <= 256 for _, value in blocks)
    assert b"".join(decode_postings(*block) for block in blocks) == joined(first)
    if blocks:
        one = set(split_postings(decode_postings(*blocks[0])))
        gone = set(data.draw(st.lists(st.sampled_from(sorted(one)), max_size=10)))
        changed = change_postings(*blocks[0], joined(more), joined(gone))
        assert b"".join(decode_postings(*block) for block in changed) == joined((one | more) - gone)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sets(st.integers(0, 60), max_size=40), min_size=1, max_size=3), min_size=1, max_size=4))
def test_lists_are_intersected(groups: list[list[set[int]]]) -> None:
    keys = [[{order_key(5, n) for n in numbers} for numbers in group] for group in groups]
    wanted = set.intersection(*(set.union(*group) for group in keys))
    assert intersect_postings([[joined(one) for one in group] for group in keys]) == joined(wanted)


@given(st.binary(min_size=12, max_size=12), st.binary(max_size=60))
def test_a_damaged_block_is_an_error_or_in_order(first: bytes, value: bytes) -> None:
    try:
        found = split_postings(decode_postings(first, value))
    except DataError:
        return
    assert found == sorted(set(found))
    assert len(found[0]) == ORDER_BYTES


@given(uids, uids)
def test_keys_of_uids_sort_like_text_and_none_begins_another(a: str, b: str) -> None:
    one, other = uid_key(a.encode()), uid_key(b.encode())
    assert (one < other) == (a < b)
    assert a == b or not other.startswith(one)


def test_match_keys_of_known_and_other_attributes_differ() -> None:
    keys = {posting_key(level, tag, b"v", b"1.2.3") for level in (2, 3) for tag in (0x00100020, 0x00091001, 0x00200052)}
    assert len(keys) == 6
    assert b"\0" not in posting_key(2, 0x00100020, b"v", b"a\0b")


def test_long_lists_are_read_changed_and_emptied(tmp_path: Path) -> None:
    """Lists of many blocks, by one search key, while studies come and go."""
    from hilum.index.query import parse_query

    index = LmdbIndex(tmp_path / "index")
    for first in range(0, 1500, 300):
        index.apply(list(synthetic_entries(300, first=first)))
    every = {str(row["StudyInstanceUID"]) for row in index.search("study", parse_query("study")).to_dicts()}
    assert len(every) == 1500
    query = parse_query("study", {"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2"})
    assert len(index.search("study", query)) == 1500
    doomed = sorted(every)[::3]
    for uid in doomed[:400]:
        index.remove("study", uid, received_ns=1 << 62)
    assert index.verify() == []
    left = index.search("study", query).to_dicts()
    assert {row["StudyInstanceUID"] for row in left} == every - set(doomed[:400])
    page = index.search("study", parse_query("study", {"SOPClassesInStudy": "1.2.840.*2"}, limit=20, offset=700))
    assert [row["StudyInstanceUID"] for row in page.to_dicts()] == [r["StudyInstanceUID"] for r in left[700:720]] or (
        page.rows == []
    )
    index.close()
