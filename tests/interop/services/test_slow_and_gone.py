"""Peers that drip, vanish and stay silent, many at once, and a disk that is slow (P32 to P36)."""

from __future__ import annotations

import dataclasses
import socket
import statistics
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from objects import CT, make_object, uid

import hilum
from hilum.archive.incoming import Incoming
from hilum.archive.ingest import data_set_offset
from hilum.config import DimseSettings
from hilum.dimse import client
from hilum.dimse import server as dimse_server
from hilum.dimse.association import Association
from hilum.dimse.client import Remote
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, encode_command
from hilum.dimse.proposal import Proposal, association_request
from hilum.dimse.server import DimseServer
from hilum.dimse.storage import StoreHandler
from hilum.server import bind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.archive.archive import Archive

pytestmark = pytest.mark.xdist_group("live_server")
EXPLICIT = "1.2.840.10008.1.2.1"
PROPOSALS = [Proposal(CT, (EXPLICIT,)), Proposal("1.2.840.10008.1.1", (EXPLICIT,))]
_TCP_REPAIR = 19


@contextmanager
def serving(root: Path, stores: Any = None, memory: int = 32 << 20, **options: Any) -> Iterator[tuple[Any, Archive]]:
    """A DICOM port in this process; `stores` makes of the archive what takes the objects."""
    with hilum.open(root) as archive:
        (listener,) = bind("127.0.0.1", 0)
        settings = dataclasses.replace(DimseSettings(), **options)
        incoming = Incoming(root / "incoming", memory_bytes=memory, spool_above_bytes=1 << 20)
        store = StoreHandler(archive if stores is None else stores(archive))
        server = DimseServer(settings, listener, store, incoming)
        server.start()
        try:
            yield server, archive
        finally:
            server.stop(1.0)


def associate(port: int, title: str = "RAW") -> Association:
    return Association("127.0.0.1", port, calling=title, called="HILUM", proposals=PROPOSALS)


def fragment(context: int, control: int, data: bytes) -> bytes:
    length = len(data) + 2
    return b"\4\0" + (length + 4).to_bytes(4, "big") + length.to_bytes(4, "big") + bytes((context, control)) + data


def store_request(number: int) -> bytes:
    return encode_command(
        {
            Tag.AFFECTED_SOP_CLASS: CT,
            Tag.COMMAND_FIELD: Field.C_STORE,
            Tag.MESSAGE_ID: 1,
            Tag.PRIORITY: 0,
            Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
            Tag.AFFECTED_SOP_INSTANCE: uid(3, number, 1, 1),
        }
    )


def drip(peer: socket.socket, data: bytes, seconds: float) -> float:
    """Send a byte now and then; gives the time until the server has had enough."""
    peer.settimeout(0.2)
    began = time.monotonic()
    for byte in data:
        try:
            peer.sendall(bytes((byte,)))
            if not (answer := peer.recv(64)) or answer[:1] == b"\x07":
                break
        except TimeoutError:
            pass
        except OSError:
            break
        if time.monotonic() - began > seconds:
            break
    return time.monotonic() - began


def test_p33_a_request_that_drips_is_closed_in_time(live_server: Any) -> None:
    with socket.create_connection(("127.0.0.1", live_server.dicom_port)) as peer:
        assert 8 < drip(peer, association_request("SLOW", "HILUM", PROPOSALS, 16384), 30) < 13


def test_p33_a_pdu_that_drips_is_closed_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimse_server, "_PDU_S", 2.0)  # of 30, so that the test need not wait for it
    with serving(tmp_path / "archive") as (server, archive):
        slow = associate(server.port)
        took = drip(slow._socket, fragment(1, 3, store_request(1)), 20)
        slow.abort()
        assert 1.5 < took < 6
        # whole PDUs may come one by one: the time is of each of them
        patient = associate(server.port)
        for part in (fragment(1, 1, store_request(2)[:20]), fragment(1, 3, store_request(2)[20:])):
            time.sleep(1.4)
            patient._socket.sendall(part)
        whole = make_object(study=2)
        patient._socket.sendall(fragment(1, 2, whole[data_set_offset(whole) :]))
        assert patient.receive().status == 0
        patient.release()
        assert [found.sop_instance_uid for found in archive.instances()] == [uid(3, 2, 1, 1)]


def test_p32_five_hundred_silent_peers_delay_nobody(live_server: Any) -> None:
    silent = [socket.create_connection(("127.0.0.1", live_server.dicom_port)) for _ in range(500)]
    try:
        remote = Remote("127.0.0.1", live_server.dicom_port)
        times = []
        for _ in range(31):
            began = time.perf_counter()
            client.echo(remote)  # with its association
            times.append(time.perf_counter() - began)
        assert statistics.median(times) < 0.1, times
    finally:
        for peer in silent:
            peer.close()


def dicom_memory(server: Any) -> int:
    """RSS of the processes of a server."""
    return sum(child.memory_info().rss for child in psutil.Process(server.process.pid).children(recursive=True))


def test_p34_what_peers_claim_takes_no_memory(live_server: Any) -> None:
    before = dicom_memory(live_server)
    claims = [
        b"\1\0" + (0xFFFFFFF0).to_bytes(4, "big") + bytes(1 << 20),  # A-ASSOCIATE-RQ of 4 GiB
        b"\1\0" + (200_000).to_bytes(4, "big") + bytes(150_000),  # a long one that does not end
    ]
    peers = [socket.create_connection(("127.0.0.1", live_server.dicom_port)) for _ in range(64)]
    for number, peer in enumerate(peers):
        peer.settimeout(1)
        with suppress(OSError):  # it may be closed already
            peer.sendall(claims[number % 2])
    associations = [associate(live_server.dicom_port, f"CLAIM{n % 8}") for n in range(32)]
    for number, association in enumerate(associations):
        # an element of 4 GiB, in a PDU as long as is allowed, of which little comes
        head = b"\4\0" + (262_000).to_bytes(4, "big") + (261_996).to_bytes(4, "big") + b"\1\2"
        claimed = b"\xe0\x7f\x10\x00OW\0\0\xf0\xff\xff\xff"
        association._socket.sendall(fragment(1, 3, store_request(number)) + head + claimed)
    time.sleep(1)
    grown = dicom_memory(live_server) - before
    for each in (*peers, *(association._socket for association in associations)):
        each.close()
    assert grown < 64 << 20
    assert client.echo(Remote("127.0.0.1", live_server.dicom_port)) < 5


@pytest.mark.parametrize("part", [b"", b"x"], ids=["empty", "one byte"])
def test_fragments_without_end_are_aborted(tmp_path: Path, part: bytes) -> None:
    with serving(tmp_path / "archive") as (server, archive):
        association = associate(server.port)
        with suppress(OSError):
            association._socket.sendall(fragment(1, 3, store_request(1)))
            for _ in range(300):
                association._socket.sendall(fragment(1, 0, part) * 1000)
        assert server._gate.wait(20)  # by the server: nobody has closed it here
        association.abort()
        assert list(archive.instances()) == []
        assert not list((tmp_path / "archive" / "incoming").glob("*"))


def test_p35_peers_that_vanish_without_a_word_free_their_places(tmp_path: Path) -> None:
    with serving(tmp_path / "archive", idle_seconds=1.0, max_associations=40) as (server, archive):
        threads = threading.active_count()
        gone = [associate(server.port) for _ in range(40)]
        assert server._gate.active == 40
        for number, association in enumerate(gone):
            if number % 2:
                association._socket.sendall(fragment(1, 3, store_request(number)) + fragment(1, 0, b"1234"))
            try:
                association._socket.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
            except PermissionError:
                pytest.skip("closing a connection without a packet needs CAP_NET_ADMIN")
            association._socket.close()
        assert server._gate.wait(10)
        assert threading.active_count() <= threads
        with associate(server.port):
            pass
        assert list(archive.instances()) == []
        assert not list((tmp_path / "archive" / "incoming").glob("*"))


class SlowDisk:
    """Takes objects at five megabytes a second, one after the other."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._turn = threading.Lock()

    def store_scanned(self, scan: Any, data: Any, *, source: str = "") -> Any:
        with self._turn:
            size = data.stat().st_size if hasattr(data, "stat") else len(memoryview(data))
            time.sleep(size / 5e6)
        return self._archive.store_scanned(scan, data, source=source)


def test_p36_a_slow_disk_and_sixteen_senders(tmp_path: Path) -> None:
    """Nobody is aborted, what waits lies in files, and everything that was acknowledged is there."""
    senders, each = 16, 3
    folders = []
    for number in range(senders):
        folder = tmp_path / f"from-{number}"
        folder.mkdir()
        for instance in range(each):
            frames = 14 if instance == 0 else 1  # 1.8 MB, and two of 130 kB
            made = make_object(study=number, instance=instance, size=256, frames=frames)
            (folder / f"{instance}.dcm").write_bytes(made)
        folders.append(folder)
    with serving(tmp_path / "archive", SlowDisk, memory=8 << 20) as (server, archive):
        before = psutil.Process().memory_info().rss
        most, stop = [0], threading.Event()

        def watch() -> None:
            while not stop.wait(0.05):
                most[0] = max(most[0], psutil.Process().memory_info().rss - before)

        results: list[client.StoreOutcome] = []
        watcher = threading.Thread(target=watch)
        watcher.start()
        sending = [
            threading.Thread(
                target=client.store,
                args=(Remote("127.0.0.1", server.port), sorted(folder.iterdir())),
                kwargs={"outcome": results.append},
            )
            for folder in folders
        ]
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join()
        stop.set()
        watcher.join()
        assert [result.status for result in results] == [0] * (senders * each)
        assert archive.statistics().instances == senders * each
        assert most[0] < 200 << 20
        assert not list((tmp_path / "archive" / "incoming").glob("*"))
