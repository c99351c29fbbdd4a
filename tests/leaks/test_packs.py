"""The store of packs in threads, in forks and over time: no descriptor, no memory, no lock is left behind."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hilum.errors import DataError, NotFound
from hilum.storage.base import NewRecord, PackSettings, RecordInfo
from hilum.storage.packs import PackStore

SETTINGS = PackSettings(pack_bytes=1 << 20, reserve_bytes=0, max_open_files=3)


def open_store(root: Path) -> PackStore:
    return PackStore.open(root, archive_uuid=bytes(16), settings=SETTINGS)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def in_child(action: object) -> int:
    """Exit status of a fork that runs `action`."""
    child = os.fork()
    if child == 0:
        try:
            action()  # type: ignore[operator]
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def test_descriptors_and_memory_stay(tmp_path: Path) -> None:
    payload = os.urandom(300_000)
    with open_store(tmp_path) as store:
        locations = [store.append([NewRecord(1, [payload])])[0] for _ in range(12)]
    before, memory = 0, 0
    for round in range(60):
        with open_store(tmp_path) as store:
            store.recover()
            for location in locations:
                assert store.read(location, 7, 100) == payload[7:107]
            with pytest.raises(DataError):
                store.read(type(locations[0])(1, 4232, 99))
            list(store.records(1, check=True))
            assert store._reader.open_files() <= 3
        if round == 10:
            before, memory = descriptors(), resident()
    assert descriptors() == before
    assert resident() - memory < 8 << 20


def test_many_threads_write_and_read(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:

        def work(number: int) -> None:
            payload = os.urandom(5000 + number)
            for _ in range(10):
                [location] = store.append([NewRecord(1, [payload])])
                assert store.read(location) == payload

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(24)))
        records = [r for info in store.packs() for r in store.records(info.number, check=True, sha256=True)]
        assert len(records) == 240
        assert all(isinstance(r, RecordInfo) for r in records)


def test_a_pack_is_removed_while_it_is_read(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        payload = os.urandom(200_000)
        [location] = store.append([NewRecord(1, [payload])])
        store.seal()
        outcomes: list[str] = []

        def read() -> None:
            for _ in range(300):
                try:
                    assert store.read(location) == payload
                    outcomes.append("read")
                except NotFound:
                    outcomes.append("not found")

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.01)
        store.remove(location.pack)
        for thread in threads:
            thread.join()
        assert len(outcomes) == 1200
        with pytest.raises(NotFound):
            store.read(location)


def test_a_fork_reads_on_and_writes_its_own_pack(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        [location] = store.append([NewRecord(1, [b"parent"])])

        def child() -> None:
            assert store.read(location) == b"parent"
            [own] = store.append([NewRecord(1, [b"child"])])
            assert own.pack != location.pack
            assert store.read(own) == b"child"
            store.close()

        assert in_child(child) == 0
        assert store.append([NewRecord(1, [b"again"])])[0].pack == location.pack
        assert [p.locked for p in store.packs()] == [True, False]


def test_forks_while_threads_append_and_read(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        stop = threading.Event()
        payload = os.urandom(40_000)

        def work() -> None:
            while not stop.is_set():
                [location] = store.append([NewRecord(1, [payload])])
                assert store.read(location) == payload

        def child() -> None:
            signal.alarm(20)
            [location] = store.append([NewRecord(1, [payload])])
            assert store.read(location) == payload
            store.close()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            statuses = [in_child(child) for _ in range(12)]
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert statuses == [0] * 12
        for info in store.packs():
            assert all(isinstance(r, RecordInfo) for r in store.records(info.number, check=True))


def test_the_lock_of_a_dead_writer_is_gone_at_once(tmp_path: Path) -> None:
    def child() -> None:
        store = open_store(tmp_path)
        store.append([NewRecord(1, [b"child"])])
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(child) == signal.SIGKILL
    with open_store(tmp_path) as store:
        [location] = store.append([NewRecord(1, [b"parent"])])
        assert location.pack == 1


def test_a_large_object_is_streamed_in_little_memory(tmp_path: Path) -> None:
    """A quarter of a GiB here; the bound does not depend on the size."""
    source = tmp_path / "source"
    with source.open("wb") as stream:
        stream.truncate(256 << 20)
        stream.write(b"start")

    def child() -> None:
        store = PackStore.open(tmp_path, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        location, _, _ = store.append_stream(source, 256 << 20)
        with source.open("rb") as stream:
            again, _, _ = store.append_stream(stream, 64 << 20)
        assert sum(len(piece) for piece in store.stream(location)) == 256 << 20
        assert store.read(again, 0, 5) == b"start"
        store.check(location)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 << 10

    assert in_child(child) == 0


def test_more_packs_than_descriptors(tmp_path: Path) -> None:
    def child() -> None:
        store = PackStore.open(
            tmp_path, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0, max_open_files=1000)
        )
        locations = []
        for number in range(40):
            locations += store.append([NewRecord(1, [bytes([number])])])
            store.seal()
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 10, 4096))
        for number, location in enumerate(locations):
            assert store.read(location) == bytes([number])

    assert in_child(child) == 0
