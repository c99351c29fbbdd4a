"""The store of packs: what goes in comes out, and nothing else."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING

import pytest

from hilum.errors import Conflict, DataError, NotFound, Unavailable, UsageError
from hilum.storage.base import BadRecord, Kind, NewRecord, PackSettings, RecordInfo, Tombstone
from hilum.storage.packs import PackStore
from hilum.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARCHIVE = bytes(range(16))
SMALL = PackSettings(pack_bytes=1 << 20, reserve_bytes=0, max_open_files=4)
SIZES = [0, 1, 7, 8, 127, 128, 65535, 65536, 65537, 131072, 200_001, 1 << 20]


def record(payload: bytes, **fields: int) -> NewRecord:
    return NewRecord(Kind.OBJECT, [payload], hashlib.sha256(payload).digest(), **fields)


def open_store(root: Path, settings: PackSettings = SMALL, *, read_only: bool = False) -> PackStore:
    return PackStore.open(root, archive_uuid=ARCHIVE, settings=settings, read_only=read_only)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PackStore]:
    with open_store(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("size", SIZES)
def test_bytes_out_are_bytes_in(store: PackStore, size: int) -> None:
    payload = os.urandom(size)
    [location] = store.append([record(payload)])
    assert location.length == size
    assert store.read(location) == payload
    store.check(location)
    for start in sorted({0, min(1, size), size // 3, size - size // 7, size}):
        for length in sorted({0, min(10, size - start), size - start}):
            part = payload[start : start + length]
            assert store.read(location, start, length) == part
            assert b"".join(store.stream(location, start, length, chunk=100_000)) == part


def test_a_payload_may_come_in_pieces_of_any_buffer(store: PackStore) -> None:
    pieces = [b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b""]
    [location] = store.append([NewRecord(Kind.OBJECT, pieces)])
    assert store.read(location) == b"abcdef"


def test_records_come_back_in_order(store: PackStore) -> None:
    payloads = [os.urandom(n) for n in (5, 70_000, 0)]
    locations = store.append([record(p, received_ns=i + 1, flags=i & 1) for i, p in enumerate(payloads)])
    infos = [r for r in store.records(1, check=True, sha256=True) if isinstance(r, RecordInfo)]
    assert [r.location for r in infos] == locations
    assert [r.sha256 for r in infos] == [hashlib.sha256(p).digest() for p in payloads]
    assert [(r.sequence, r.received_ns, r.flags) for r in infos] == [(1, 1, 0), (2, 2, 1), (3, 3, 0)]
    assert [r.location for r in store.records(1, infos[0].end) if isinstance(r, RecordInfo)] == locations[1:]


@pytest.mark.parametrize("as_path", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_streamed_records(store: PackStore, tmp_path: Path, size: int, as_path: bool) -> None:
    payload = os.urandom(size)
    (tmp_path / "source").write_bytes(payload)
    source = tmp_path / "source" if as_path else io.BytesIO(payload)
    location, digest, crc = store.append_stream(source, size, kind=Kind.OVERLAY, received_ns=9)
    assert digest == hashlib.sha256(payload).digest()
    assert b"".join(store.stream(location)) == payload
    [info] = store.records(location.pack, check=True, sha256=True)
    assert isinstance(info, RecordInfo)
    assert (info.kind, info.crc32c, info.received_ns) == (Kind.OVERLAY, crc, 9)


def test_a_source_that_ends_early_leaves_nothing(store: PackStore) -> None:
    [first] = store.append([record(b"first")])
    size = store.packs()[0].size
    with pytest.raises(DataError, match="ended 95 bytes before"):
        store.append_stream(io.BytesIO(b"12345"), 100)
    assert store.packs()[0].size == size
    [second] = store.append([record(b"second")])
    assert store.read(first) + store.read(second) == b"firstsecond"
    assert all(isinstance(r, RecordInfo) for r in store.records(1))


def test_packs_are_sealed_when_full(store: PackStore) -> None:
    locations = [store.append([record(os.urandom(300_000))])[0] for _ in range(8)]
    assert sorted({loc.pack for loc in locations}) == [1, 2, 3]
    packs = store.packs()
    assert [p.sealed.reason if p.sealed else None for p in packs] == ["full", "full", None]
    assert packs[0].sealed is not None
    assert (packs[0].sealed.records, packs[0].sealed.payload_bytes) == (3, 900_000)
    for location in locations:
        store.check(location)


def test_the_next_store_goes_on_with_the_pack(tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        [one] = first.append([record(b"one")])
    with open_store(tmp_path) as second:
        assert [(r.pack, r.cut, r.error) for r in second.recover()] == [(1, 0, "")]
        [two] = second.append([record(b"two")])
        assert two.pack == one.pack
        assert second.read(one) + second.read(two) == b"onetwo"


def test_two_stores_never_share_a_pack(tmp_path: Path) -> None:
    with open_store(tmp_path) as first, open_store(tmp_path) as second:
        [one] = first.append([record(b"one")])
        [two] = second.append([record(b"two")])
        assert one.pack != two.pack
        assert second.read(one) + first.read(two) == b"onetwo"
        assert second.recover() == []
        assert [p.locked for p in second.packs()] == [True, True]


def test_a_torn_tail_is_cut_and_its_place_not_used_again(tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        kept, torn = first.append([record(b"kept" * 100), record(b"torn" * 100)])
    path = tmp_path / "packs" / "000000000001.pack"
    os.truncate(path, torn.offset + 30)
    with open_store(tmp_path) as second:
        [recovered] = second.recover({})
        assert (recovered.cut, recovered.suspect, recovered.missing) == (158, 0, 0)
        [new] = second.append([record(b"next" * 100)])
        assert new.offset != torn.offset
        assert second.read(kept) == b"kept" * 100
        with pytest.raises(DataError):
            second.read(torn)
        assert [r.location for r in second.records(1) if isinstance(r, RecordInfo)] == [kept, new]


def test_less_than_the_index_knows_is_reported_and_left(tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        _, lost = first.append([record(b"kept" * 100), record(b"lost" * 100)])
        end = first.packs()[0].size
    os.truncate(tmp_path / "packs" / "000000000001.pack", lost.offset + 30)
    with open_store(tmp_path) as second:
        [recovered] = second.recover({1: end})
        assert recovered.missing == end - lost.offset + 128
        assert recovered.cut == 0
        [bad] = [r for r in second.records(1) if isinstance(r, BadRecord)]
        assert bad.offset == lost.offset - 128
        assert second.append([record(b"new")])[0].pack == 2


def test_recovery_with_a_current_index_reads_and_writes_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as first:
        first.append([record(b"one" * 100)] * 3)
        size = first.packs()[0].size
    for _ in range(3):
        with open_store(tmp_path) as again:
            assert [(r.valid_end, r.cut) for r in again.recover({1: size})] == [(size, 0)]
            assert again.packs()[0].size == size
    with open_store(tmp_path) as writing:
        writing.recover({1: size})
        [four] = writing.append([record(b"four")])
        assert (four.pack, writing.read(four)) == (1, b"four")
        writing.seal()
        assert [type(r) for r in writing.records(1)] == [RecordInfo] * 4


def test_one_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        locations = store.append([record(b"a" * 33), record(os.urandom(70_000))])
        store.seal()
    path = tmp_path / "packs" / "000000000001.pack"
    data = bytearray(path.read_bytes())
    positions = [*range(0, 4096, 97), *range(4096, 4096 + 600), *range(5000, len(data) - 500, 997)]
    for position in [*positions, *range(len(data) - 500, len(data))]:
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        with open_store(tmp_path, read_only=True) as damaged:
            found = list(damaged.records(1, check=True, sha256=True))
            info = damaged.packs()[0]
            assert any(isinstance(r, BadRecord) for r in found) or info.damage or not info.sealed, position
            for location in locations:
                header = location.offset - 128
                if header <= position < location.offset + location.length:
                    with pytest.raises(DataError):
                        damaged.read(location)
        data[position] ^= 1 << position % 8


def test_a_payload_full_of_forged_records_does_not_fool_the_walk(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        [first] = store.append([record(b"first")])
    path = tmp_path / "packs" / "000000000001.pack"
    forged = path.read_bytes()[4096:] * 50
    with open_store(tmp_path) as store:
        carrier, last = store.append([record(forged), record(b"last")])
    data = bytearray(path.read_bytes())
    data[carrier.offset - 100] ^= 1
    path.write_bytes(data)
    with open_store(tmp_path, read_only=True) as store:
        good = [r.location for r in store.records(1) if isinstance(r, RecordInfo)]
        bad = [r for r in store.records(1) if isinstance(r, BadRecord)]
        assert good == [first, last]
        assert [(b.offset, b.end) for b in bad] == [(carrier.offset - 128, last.offset - 128)]


def test_another_object_at_the_same_place_is_an_error(store: PackStore) -> None:
    [location] = store.append([record(b"bytes")])
    assert store.read(location, crc32c=next(iter(store.records(1))).crc32c) == b"bytes"  # type: ignore[union-attr]
    with pytest.raises(DataError, match="another object"):
        store.read(location, crc32c=1)


def test_places_without_a_record_are_errors(store: PackStore) -> None:
    [location] = store.append([record(b"bytes" * 1000)])
    for offset, length in [(0, 5), (4224, 1), (4225, 5000), (4232, 5000), (1 << 40, 5), (1 << 62, 5), (4224, 1 << 60)]:
        with pytest.raises(DataError):
            store.read(Location(1, offset, length), 0, 1)
    for start, length in [(-1, 1), (5001, None), (4999, 2), (0, -1)]:
        with pytest.raises(UsageError):
            store.read(location, start, length)
    with pytest.raises(NotFound):
        store.read(Location(77, 4224, 5))


def test_changed_bytes_are_refused_and_leave_nothing(store: PackStore) -> None:
    store.append([record(b"good")])
    size = store.packs()[0].size
    with pytest.raises(DataError, match="changed"):
        store.append([record(b"fine"), record(b"bad", crc32c=1)])
    assert store.packs()[0].size == size


def test_removed_packs_are_not_found_and_their_numbers_not_reused(store: PackStore) -> None:
    [one] = store.append([record(b"one")])
    with pytest.raises(Conflict):
        store.remove(1)
    store.seal()
    assert store.read(one) == b"one"
    store.remove(1)
    with pytest.raises(NotFound):
        store.read(one)
    with pytest.raises(NotFound):
        store.remove(1)
    [two] = store.append([record(b"two")])
    assert two.pack == 2


def test_read_only_stores_do_not_write(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_store(tmp_path, read_only=True)
    with open_store(tmp_path) as store:
        [location] = store.append([record(b"bytes")])
    with open_store(tmp_path, read_only=True) as reading:
        assert reading.read(location) == b"bytes"
        for call in (lambda: reading.append([record(b"x")]), reading.recover, lambda: reading.remove(1)):
            with pytest.raises(Unavailable, match="reading only"):
                call()


def test_packs_of_another_archive_or_number_are_refused(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        [location] = store.append([record(b"bytes")])
    folder = tmp_path / "packs"
    (folder / "000000000009.pack").write_bytes((folder / "000000000001.pack").read_bytes())
    with open_store(tmp_path, read_only=True) as store:
        with pytest.raises(DataError, match="written as number 1"):
            store.read(Location(9, location.offset, location.length))
        assert "number 1" in store.packs()[1].damage
    with (
        PackStore.open(tmp_path, archive_uuid=bytes(16), read_only=True) as other,
        pytest.raises(DataError, match="another archive"),
    ):
        other.read(location)


def test_free_space_is_kept(tmp_path: Path) -> None:
    with (
        open_store(tmp_path, PackSettings(reserve_bytes=1 << 60)) as store,
        pytest.raises(Unavailable, match="kept free") as caught,
    ):
        store.append([record(b"bytes")])
    assert caught.value.code == 201


def test_tombstones_survive_their_encoding() -> None:
    stone = Tombstone("series", ("1.2.3",), (Location(1, 4224, 5), Location(2, 1 << 40, 0)), 123, "prüfen")
    assert Tombstone.decode(stone.encode()) == stone
    for bad in (b"", b"{}", b"[" * 100_000, b"\xff", stone.encode().replace(b'"version":1', b'"version":2')):
        with pytest.raises(DataError):
            Tombstone.decode(bad)
