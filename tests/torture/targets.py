"""What is tortured: packs alone, a whole archive, its DICOM port. Each can ingest, and check what was acknowledged."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tests.torture.objects import CT, EXPLICIT, make_object, random_size

from hilum.errors import HilumError
from hilum.storage.base import BadRecord, Kind, NewRecord, PackSettings
from hilum.storage.packs import PackStore
from hilum.types import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hilum.archive.archive import Archive
    from hilum.config import Settings

ARCHIVE_UUID = bytes(range(1, 17))
_THREADS = 6
"""Of one writer: at any moment several objects are answered, or just about to be."""
_SENDERS = 4
"""The same for associations."""


@dataclass
class Verdict:
    """What a check found."""

    asked: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    """Acknowledgements of what is not there, not found by search, or has other bytes, and which of these."""
    problems: list[str] = field(default_factory=list)
    """Anything else that must not be: damage without cause, an archive that does not open."""
    cut: int = 0
    """Unfinished appends that recovery cut off."""
    unfinished: int = 0
    """Damaged ends that recovery left in place because they might have been acknowledged."""


class Target(Protocol):
    name: str
    starts_slowly: bool
    """Its first acknowledgement takes longer than a round should."""

    def prepare(self, root: Path) -> None: ...

    def ingest(self, root: Path, writer: int, limit: int, acknowledge: Callable[[str], None]) -> None: ...

    def check(self, root: Path, acknowledged: Sequence[str], *, thorough: bool) -> Verdict: ...


class Packs:
    """`PackStore` by itself; the log of acknowledgements says where each record is."""

    name = "packs"
    starts_slowly = False
    settings = PackSettings(pack_bytes=24 << 20, reserve_bytes=0)

    def prepare(self, root: Path) -> None:
        root.mkdir()

    def _open(self, root: Path) -> PackStore:
        return PackStore.open(root, archive_uuid=ARCHIVE_UUID, settings=self.settings)

    def ingest(self, root: Path, writer: int, limit: int, acknowledge: Callable[[str], None]) -> None:
        chance = random.Random(writer)
        store = self._open(root)
        store.recover()
        while limit > 0:
            payloads = [chance.randbytes(random_size(chance)) for _ in range(chance.choice([1, 1, 4, 20]))]
            hashes = [hashlib.sha256(p).digest() for p in payloads]
            if chance.random() < 0.05:
                big = chance.randbytes(chance.randrange(1, 3 << 20))
                where, digest, _ = store.append_stream(io.BytesIO(big), len(big))
                locations, hashes = [where], [digest]
                limit -= len(big)
            else:
                new = [NewRecord(Kind.OBJECT, [p], h) for p, h in zip(payloads, hashes, strict=True)]
                locations = store.append(new)
                limit -= sum(map(len, payloads))
            for at, digest in zip(locations, hashes, strict=True):
                acknowledge(f"{at.pack} {at.offset} {at.length} {digest.hex()}")
        store.close()

    def check(self, root: Path, acknowledged: Sequence[str], *, thorough: bool) -> Verdict:
        verdict = Verdict()
        with self._open(root) as store:
            for found in store.recover():
                verdict.cut += found.cut > 0
                if found.error or found.missing:
                    verdict.problems.append(f"pack {found.pack}: {found.error} {found.missing} missing")
            for line in acknowledged:
                verdict.asked += 1
                pack, offset, length, digest = line.split()
                try:
                    payload = store.read(Location(int(pack), int(offset), int(length)))
                except HilumError as error:
                    verdict.lost[line] = str(error)
                    continue
                if hashlib.sha256(payload).hexdigest() != digest:
                    verdict.lost[line] = "other bytes"
            for info in store.packs():
                records = store.records(info.number, check=thorough, sha256=thorough) if not info.damage else ()
                bad = [r for r in records if isinstance(r, BadRecord)]
                verdict.unfinished += sum(r.unfinished for r in bad)
                verdict.problems += [f"pack {r.pack} at {r.offset}: {r.reason}" for r in bad if not r.unfinished]
                if info.damage:
                    verdict.problems.append(f"pack {info.number}: {info.damage}")
        return verdict


class WholeArchive:
    """`hilum.open`: stored by several threads, found again by search."""

    name = "archive"
    starts_slowly = False

    def prepare(self, root: Path) -> None:
        import hilum

        hilum.open(root, settings=self._settings()).close()

    def _settings(self) -> Settings:
        import dataclasses

        from hilum.config import Settings

        settings = Settings()
        storage = dataclasses.replace(settings.storage, pack_bytes=24 << 20, reserve_bytes=1 << 20)
        index = dataclasses.replace(settings.index, map_bytes=8 << 20)
        ingest = dataclasses.replace(settings.ingest, stream_above_bytes=1 << 20)
        return dataclasses.replace(settings, storage=storage, index=index, ingest=ingest)

    def ingest(self, root: Path, writer: int, limit: int, acknowledge: Callable[[str], None]) -> None:
        import hilum

        archive = hilum.open(root, settings=self._settings())
        left = [limit]
        numbers = iter(range(1 << 30))
        guard = threading.Lock()

        def work(thread: int) -> None:
            chance = random.Random(writer * 100 + thread)
            while left[0] > 0:
                how = chance.choice(["one"] * 12 + ["many"] * 4 + ["import", "large"])
                count = {"one": 1, "many": 10, "import": 20, "large": 1}[how]
                with guard:
                    wanted = [next(numbers) for _ in range(count)]
                sizes = [1 << 21 if how == "large" else random_size(chance) for _ in wanted]
                made = [make_object(writer, n, chance.randbytes(size)) for n, size in zip(wanted, sizes, strict=True)]
                self._store(archive, root.parent / f"incoming-{writer}-{thread}", how, [data for _, data in made])
                for uid, data in made:
                    left[0] -= len(data)
                    acknowledge(f"{uid} {hashlib.sha256(data).hexdigest()}")

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        archive.close()

    @staticmethod
    def _store(archive: Archive, folder: Path, how: str, objects: list[bytes]) -> None:
        if how == "one":
            archive.store(objects[0])
            return
        if how == "many":
            failed = [r for r in archive.store_many(objects) if isinstance(r, HilumError)]
            if failed:
                raise failed[0]
            return
        folder.mkdir()
        for number, data in enumerate(objects):
            (folder / f"{number}.dcm").write_bytes(data)
        if how == "large":
            archive.store_file(folder / "0.dcm")  # above stream_above_bytes
        elif not (report := archive.import_paths([folder])).ok:
            raise RuntimeError(f"the import failed: {report.problems[:1]}")
        shutil.rmtree(folder)

    def check(self, root: Path, acknowledged: Sequence[str], *, thorough: bool) -> Verdict:
        import hilum

        verdict = Verdict()
        with hilum.open(root, create=False, settings=self._settings()) as archive:
            listed = {instance.sop_instance_uid: instance for instance in archive.instances()}
            for line in acknowledged:
                verdict.asked += 1
                uid, digest = line.split()
                if uid not in listed:
                    verdict.lost[line] = "not found by search"
                    continue
                try:
                    data = archive.instance(uid).read_bytes()
                except HilumError as error:
                    verdict.lost[line] = str(error)
                    continue
                if hashlib.sha256(data).hexdigest() != digest:
                    verdict.lost[line] = "other bytes"
            if thorough:
                verdict.problems += archive.verify().problems
        return verdict


class Dimse:
    """The DICOM port under DCMTK's ``storescu``: acknowledged is what the sender was told is stored."""

    name = "dimse"
    starts_slowly = True

    def __init__(self) -> None:
        self._archive = WholeArchive()

    def prepare(self, root: Path) -> None:
        self._archive.prepare(root)

    def ingest(self, root: Path, writer: int, limit: int, acknowledge: Callable[[str], None]) -> None:
        import dataclasses

        import hilum
        from hilum.archive.incoming import Incoming
        from hilum.dimse.server import DimseServer
        from hilum.dimse.storage import StoreHandler
        from hilum.server import bind

        settings = self._archive._settings()
        archive = hilum.open(root, settings=settings)
        incoming = Incoming(root / "incoming", spool_above_bytes=1 << 20)
        (listener,) = bind("127.0.0.1", 0)
        dimse = dataclasses.replace(settings.dimse, idle_seconds=5.0)
        server = DimseServer(dimse, listener, StoreHandler(archive), incoming)
        server.start()
        left = [limit]
        numbers = iter(range(1 << 30))
        guard = threading.Lock()

        def work(thread: int) -> None:
            chance = random.Random(writer * 100 + thread)
            folder = root.parent / f"outgoing-{writer}-{thread}"
            while left[0] > 0:
                sizes = [1 << 21 if chance.random() < 0.03 else random_size(chance) for _ in range(20)]
                with guard:
                    wanted = [next(numbers) for _ in sizes]
                made = [make_object(writer, n, chance.randbytes(size)) for n, size in zip(wanted, sizes, strict=True)]
                self._send(server.port, folder, made, acknowledge)
                left[0] -= sum(sizes)

        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(work, range(_SENDERS)))
        server.stop()
        archive.close()

    @staticmethod
    def _send(port: int, folder: Path, made: list[tuple[str, bytes]], acknowledge: Callable[[str], None]) -> None:
        from hilum.archive.ingest import data_set_offset
        from hilum.dicom.receiving import part10_prefix

        folder.mkdir(exist_ok=True)
        paths = [folder / f"{number}.dcm" for number in range(len(made))]
        for path, (_, data) in zip(paths, made, strict=True):
            path.write_bytes(data)
        waiting = iter(made)
        command = [storescu(), "-v", "127.0.0.1", str(port), *map(str, paths)]
        with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as sender:
            assert sender.stdout is not None
            for line in sender.stdout:
                if "Received Store Response" not in line:
                    continue
                uid, data = next(waiting)
                if "(Success)" not in line:
                    raise RuntimeError(f"an object was refused: {line}")
                stored = part10_prefix(CT, uid, EXPLICIT) + data[data_set_offset(data) :]
                acknowledge(f"{uid} {hashlib.sha256(stored).hexdigest()}")
        if sender.returncode:
            raise RuntimeError(f"storescu ended with status {sender.returncode}")
        shutil.rmtree(folder)

    def check(self, root: Path, acknowledged: Sequence[str], *, thorough: bool) -> Verdict:
        return self._archive.check(root, acknowledged, thorough=thorough)


def storescu() -> str:
    """DCMTK's sender; pynetdicom has another of the same name."""
    found = shutil.which("storescu", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if found is None:
        raise RuntimeError("DCMTK's storescu is not installed")
    return found


TARGETS: dict[str, Target] = {target.name: target for target in (Packs(), WholeArchive(), Dimse())}
