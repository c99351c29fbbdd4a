"""The DICOM port of ``hilum serve`` under load: large objects, crowds, silent peers, and many associations in a row.

    python benchmarks/e2e/load.py --work DIR [--section large crowd silent churn] [--scale 1.0]

``large``: 10 senders at once, each with one multi-frame object of 1 GiB; peak memory of the DICOM process.
``crowd``: 200 associations at once, each sends small objects one after the other; how many each of them got through.
``silent``: 500 connections that say nothing; how long another's association with a C-ECHO takes.
``churn``: 10 000 associations; memory, threads and descriptors of the process before and after.

``--scale 0.01`` makes all of it small, for a look at whether it works. Prints a line for each, appends JSON lines to
``DIR/load.jsonl``, and ends with status 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from benchmarks.data import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN, element, uid

from hilum.dimse.association import Association
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, encode_command, pdus
from hilum.dimse.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.3"
VERIFICATION = "1.2.840.10008.1.1"
MIB = 1 << 20


class Server:
    """``hilum serve`` on an empty archive."""

    def __init__(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "hilum.cli.main", "serve", "--archive", str(root), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--dicom-port", "0", "--workers", "1"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"at port (\d+)", self.process.stdout.readline())
        assert found, "the server did not start"
        self.root, self.port = root, int(found[1])
        # Every process has the socket from before the fork; the one that serves it was forked last.
        self.dicom = max(psutil.Process(self.process.pid).children(), key=lambda child: child.create_time())

    def status(self, key: str) -> int:
        """A value of the DICOM process in KiB."""
        found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{self.dicom.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1])

    def associate(self, title: str = "LOAD", sop_class: str = VERIFICATION) -> Association:
        proposal = Proposal(sop_class, (EXPLICIT_LITTLE_ENDIAN,))
        return Association("127.0.0.1", self.port, calling=title, called="HILUM", proposals=[proposal], timeout_s=300)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.root, ignore_errors=True)


@contextmanager
def server_in(work: Path) -> Iterator[Server]:
    server = Server(work / "load" / "archive")
    try:
        yield server
    finally:
        server.stop()


def header(sop_class: str, number: int, rows: int, frames: int) -> bytes:
    """Data set up to the value of the pixel data."""
    short = struct.Struct("<H").pack
    return b"".join(
        (
            element(0x00080016, "UI", sop_class),
            element(0x00080018, "UI", uid(9, number)),
            element(0x00080060, "CS", "OT"),
            element(0x00100010, "PN", "Load^Test"),
            element(0x00100020, "LO", f"L{number}"),
            element(0x0020000D, "UI", uid(7, number)),
            element(0x0020000E, "UI", uid(8, number)),
            element(0x00280002, "US", short(1)),
            element(0x00280004, "CS", "MONOCHROME2"),
            element(0x00280008, "IS", str(frames)),
            element(0x00280010, "US", short(rows)),
            element(0x00280011, "US", short(rows)),
            element(0x00280100, "US", short(16)),
            element(0x00280101, "US", short(16)),
            element(0x00280102, "US", short(15)),
            element(0x00280103, "US", short(0)),
            struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, rows * rows * 2 * frames),
        )
    )


def request(sop_class: str, number: int) -> dict[int, int | str]:
    return {
        Tag.AFFECTED_SOP_CLASS: sop_class,
        Tag.COMMAND_FIELD: Field.C_STORE,
        Tag.MESSAGE_ID: 1,
        Tag.PRIORITY: 0,
        Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
        Tag.AFFECTED_SOP_INSTANCE: uid(9, number),
    }


def large(server: Server, scale: float) -> dict[str, Any]:
    """Peak memory while 10 objects of 1 GiB arrive at once."""
    frames = max(1, round(2048 * scale))
    frame = os.urandom(512 * 512 * 2)
    statuses: list[int] = []

    def send(number: int) -> None:
        with server.associate(f"LARGE{number}", MULTI_FRAME) as association:
            context = association.context_for(MULTI_FRAME)
            assert context is not None

            def pieces() -> Iterator[bytes]:
                yield header(MULTI_FRAME, number, 512, frames)
                for _ in range(frames):
                    yield frame

            association.send(context, request(MULTI_FRAME, number), pieces())
            statuses.append(association.receive(timeout_s=600).status)

    started = time.monotonic()
    threads = [threading.Thread(target=send, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = server.status("VmHWM") / 1024
    return {
        "objects": len(statuses),
        "mib_each": round(frames / 2),
        "seconds": round(time.monotonic() - started, 1),
        "peak_rss_mib": round(peak),
        "ok": statuses == [0] * 10 and peak < 512,
    }


def crowd(server: Server, scale: float) -> dict[str, Any]:
    """How many objects each of 200 associations got through in the same time."""
    count, seconds = max(4, round(200 * scale)), max(2.0, 20 * scale)
    associations = [server.associate(f"CROWD{n}", CT_IMAGE_STORAGE) for n in range(count)]
    done = [0] * count
    numbers = iter(range(1 << 30))
    poll = select.poll()
    by_descriptor = {}
    for n, association in enumerate(associations):
        by_descriptor[association._socket.fileno()] = n
        poll.register(association._socket, select.POLLIN)

    def send(n: int) -> None:
        number = next(numbers)
        data = header(CT_IMAGE_STORAGE, number, 64, 1) + bytes(64 * 64 * 2)
        for piece in pdus(1, encode_command(request(CT_IMAGE_STORAGE, number)), (data,), 32768):
            associations[n]._socket.sendall(piece)

    for n in range(count):
        send(n)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for descriptor, _ in poll.poll(100):
            n = by_descriptor[descriptor]
            assert associations[n].receive().status == 0
            done[n] += 1
            send(n)
    for association in associations:
        assert association.receive().status == 0
        association.release()
    return {
        "associations": count,
        "per_second": round(sum(done) / seconds),
        "fewest": min(done),
        "median": statistics.median(done),
        "most": max(done),
        "ok": min(done) > 0 and min(done) >= 0.5 * statistics.median(done),
    }


def echo_seconds(server: Server) -> float:
    started = time.perf_counter()
    with server.associate() as association:
        context = association.context_for(VERIFICATION)
        assert context is not None
        command: dict[int, int | str] = {Tag.COMMAND_FIELD: Field.C_ECHO, Tag.AFFECTED_SOP_CLASS: VERIFICATION}
        assert association.request(context, command)[1].status == 0
        return time.perf_counter() - started


def silent(server: Server, scale: float) -> dict[str, Any]:
    """How long an association with a C-ECHO takes beside 500 connections that say nothing."""
    rounds = 50
    before = [echo_seconds(server) for _ in range(rounds)]
    peers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(max(5, round(500 * scale)))]
    beside = [echo_seconds(server) for _ in range(rounds)]
    for peer in peers:
        peer.close()
    delay = statistics.median(beside) - statistics.median(before)
    return {
        "silent": len(peers),
        "alone_ms": round(1000 * statistics.median(before), 2),
        "beside_ms": round(1000 * statistics.median(beside), 2),
        "slowest_ms": round(1000 * max(beside), 2),
        "ok": delay < 0.1,
    }


def churn(server: Server, scale: float) -> dict[str, Any]:
    """What 10 000 associations leave behind."""
    count = max(40, round(10_000 * scale))

    def state() -> tuple[int, int, int]:
        time.sleep(2)
        return server.status("VmRSS"), server.status("Threads"), len(os.listdir(f"/proc/{server.dicom.pid}/fd"))

    def run(times: int) -> None:
        for _ in range(times):
            echo_seconds(server)

    def in_parallel(times: int) -> None:
        threads = [threading.Thread(target=run, args=(times // 4,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    in_parallel(max(40, count // 20))
    before = state()
    in_parallel(count)
    after = state()
    return {
        "associations": count,
        "rss_kib": [before[0], after[0]],
        "threads": [before[1], after[1]],
        "descriptors": [before[2], after[2]],
        "ok": after[1] <= before[1] and after[2] <= before[2] and after[0] < before[0] * 1.05 + 2048,
    }


SECTIONS: dict[str, Callable[[Server, float], dict[str, Any]]] = {
    "large": large,
    "crowd": crowd,
    "silent": silent,
    "churn": churn,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--section", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    ok = True
    for section in options.section:
        with server_in(options.work) as server:
            found = {"section": section, **SECTIONS[section](server, options.scale)}
        ok = ok and found["ok"]
        print(json.dumps(found), flush=True)
        with (options.work / "load.jsonl").open("a") as stream:
            stream.write(json.dumps(found) + "\n")
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
