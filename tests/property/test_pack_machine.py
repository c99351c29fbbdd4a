"""Random lives of a store of packs against a dict: appends, streams, refusals, takeovers, crashes and flipped bits."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hilum.errors import DataError, NotFound
from hilum.storage.base import BadRecord, Kind, NewRecord, PackSettings, RecordInfo
from hilum.storage.packs import PackStore
from hilum.storage.verify import verify

if TYPE_CHECKING:
    from hilum.types import Location

SETTINGS = PackSettings(pack_bytes=200_000, reserve_bytes=0, max_open_files=2)
MEMORY = "/dev/shm"
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([65535, 65536, 65537]), st.integers(0, 90_000))


class PackMachine(RuleBasedStateMachine):
    """The dict says what was acknowledged and has not been damaged since."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if Path(MEMORY).is_dir() else None))
        self.model: dict[Location, bytes] = {}
        self.damaged: set[Location] = set()
        self.removed: set[int] = set()
        self.counter = self.crashes = 0
        self.known: dict[int, int] = {}
        self.open()

    def open(self) -> None:
        self.store = PackStore.open(self.folder, archive_uuid=bytes(16), settings=SETTINGS)

    def payload(self, size: int) -> bytes:
        self.counter += 1
        return random.Random(self.counter).randbytes(size)

    def path(self, pack: int) -> Path:
        return self.folder / "packs" / f"{pack:012d}.pack"

    def keep(self, location: Location, payload: bytes) -> None:
        assert location not in self.model
        assert location not in self.damaged
        assert location.pack not in self.removed
        self.model[location] = payload

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=5), kind=st.sampled_from(list(Kind)))
    def append(self, sizes: list[int], kind: Kind) -> None:
        payloads = [self.payload(size) for size in sizes]
        new = [NewRecord(kind, [p[:7], p[7:]], hashlib.sha256(p).digest()) for p in payloads]
        for location, payload in zip(self.store.append(new), payloads, strict=True):
            self.keep(location, payload)

    @rule(size=SIZES)
    def stream(self, size: int) -> None:
        payload = self.payload(size)
        location, digest, _ = self.store.append_stream(io.BytesIO(payload), size)
        assert digest == hashlib.sha256(payload).digest()
        self.keep(location, payload)

    @rule(size=st.integers(1, 90_000), missing=st.integers(1, 90_000))
    def stream_that_ends_early(self, size: int, missing: int) -> None:
        with pytest.raises(DataError):
            self.store.append_stream(io.BytesIO(self.payload(size)), size + missing)

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule(index=st.booleans())
    def reopen(self, index: bool) -> None:
        self.store.close()
        if index:
            self.known = {info.number: info.size for info in self.store_packs()}
        self.open()
        for found in self.store.recover(self.known):
            assert (found.cut, found.missing, found.error) == (0, 0, "")
            assert not found.suspect or found.pack in self.damaged_packs()

    def store_packs(self) -> list:
        with PackStore.open(self.folder, archive_uuid=bytes(16), read_only=True) as reading:
            return reading.packs()

    @rule(chance=st.randoms(use_true_random=False), how=st.sampled_from(["record", "stream", "zeros"]))
    def crash_in_an_append(self, chance: random.Random, how: str) -> None:
        """What the disk may hold when the power fails inside of an append: a prefix, or space without bytes."""
        self.crashes += 1
        before = {info.number: info.size for info in self.store.packs()}
        size = chance.randrange(1, 70_000)
        location = self.store.append([NewRecord(1, [self.payload(size)]), NewRecord(1, [self.payload(9)])])[0]
        self.store.close()
        path = self.path(location.pack)
        start = before.get(location.pack, 4096)
        end = path.stat().st_size
        with path.open("r+b") as stream:
            if how == "record":
                stream.truncate(start + chance.randrange(1, size + 128))
            elif how == "stream":
                stream.truncate(start + chance.randrange(129, size + 128) if size > 1 else start + 129)
                stream.seek(start)
                stream.write(bytes(128))
            else:
                stream.truncate(start)
                stream.truncate(end)
        self.open()
        for found in self.store.recover(self.known):
            assert (found.missing, found.error) == (0, "")
            assert not found.suspect or found.pack in self.damaged_packs()
        if location.pack not in self.damaged_packs():
            assert all(isinstance(r, RecordInfo) for r in self.store.records(location.pack))

    def damaged_packs(self) -> set[int]:
        return {location.pack for location in self.damaged}

    @precondition(lambda self: any(len(p) > 0 for p in self.model.values()))
    @rule(chance=st.randoms(use_true_random=False))
    def flip_a_bit(self, chance: random.Random) -> None:
        victims = [location for location in self.model if location.length]
        victim = chance.choice(sorted(victims, key=lambda at: (at.pack, at.offset)))
        position = victim.offset + (
            chance.randrange(-128, 0) if chance.random() < 0.4 else chance.randrange(victim.length)
        )
        with self.path(victim.pack).open("r+b") as stream:
            stream.seek(position)
            [byte] = stream.read(1)
            stream.seek(position)
            stream.write(bytes([byte ^ (1 << chance.randrange(8))]))
        del self.model[victim]
        self.damaged.add(victim)
        if position < victim.offset:
            # The next recovery may have to seal behind it; what was acknowledged must stay.
            self.store.close()
            self.open()
            self.store.recover()

    @precondition(lambda self: any(i.sealed for i in self.store_packs()))
    @rule(chance=st.randoms(use_true_random=False))
    def remove(self, chance: random.Random) -> None:
        pack = chance.choice([info.number for info in self.store_packs() if info.sealed])
        self.store.remove(pack)
        self.removed.add(pack)
        for gone in [location for location in (*self.model, *self.damaged) if location.pack == pack]:
            with pytest.raises(NotFound):
                self.store.read(gone)
            self.model.pop(gone, None)
            self.damaged.discard(gone)

    @invariant()
    def everything_is_there(self) -> None:
        if not hasattr(self, "model"):
            return
        for location, payload in self.model.items():
            assert self.store.read(location) == payload
            middle = len(payload) // 2
            assert self.store.read(location, middle, min(9, len(payload) - middle)) == payload[middle : middle + 9]
        for location in self.damaged:
            with pytest.raises(DataError):
                self.store.read(location)
        found = set()
        for info in self.store.packs():
            found |= {r.location for r in self.store.records(info.number, check=True) if isinstance(r, RecordInfo)}
        assert set(self.model) <= found
        assert not found & self.damaged

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        report = verify(self.store)
        # An append that did not finish stays where it is when damage lies before it.
        assert len({bad.offset for bad in (*report.damaged, *report.unfinished)}) <= len(self.damaged) + self.crashes
        assert all(isinstance(bad, BadRecord) for bad in report.damaged)
        assert bool(report.damaged or report.unfinished) or not self.damaged
        self.store.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)


TestPackMachine = PackMachine.TestCase
TestPackMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
