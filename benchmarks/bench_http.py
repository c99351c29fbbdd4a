"""DICOMweb over HTTP: searches, frames, rendered images and metadata by keep-alive connections, on the same machine.

Each round is ``REQUESTS`` requests over ``CONNECTIONS`` connections of one event loop; ``extra_info`` has requests/s
and the worker processes' CPU per request. The client is Python and takes a core of its own: with two cores the rate is
at most what is left, so read ``cpu_us`` first. ``benchmarks/e2e`` does the same with wrk, other servers beside it.

Traps: the page cache is warm; the same requests repeat, but only ``metadata`` is answered from a cache of bodies.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from benchmarks.data import instance_bytes, uid

import hilum

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDIES = int(os.environ.get("HILUM_BENCH_STUDIES", "300"))
SLICES = 500 if STUDIES >= 1000 else 50
REQUESTS = 2000 if STUDIES >= 1000 else 200
CONNECTIONS = 16


@dataclass(frozen=True)
class Server:
    """A running server and its workers."""

    port: int
    workers: list[psutil.Process]

    def cpu_seconds(self) -> float:
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("http") / "archive"
    small, large = np.zeros((64, 64), np.uint16), (np.arange(512 * 512, dtype=np.uint16) % 4096).reshape(512, 512)
    with hilum.open(root) as archive:
        for start in range(0, STUDIES, 500):
            archive.store_many(instance_bytes(n, 1, 1, small) for n in range(start, min(start + 500, STUDIES)))
        for start in range(0, SLICES, 50):
            archive.store_many(instance_bytes(STUDIES, 1, n, large) for n in range(start + 1, start + 51))
    command = [sys.executable, "-m", "hilum.cli.main", "serve", "--archive", str(root), "--port", "0", "--no-dicom"]
    with subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 120)[0], "the server did not start"
        port = re.search(r":(\d+)/", process.stdout.readline())
        assert port
        yield Server(int(port[1]), psutil.Process(process.pid).children())
        process.terminate()
        process.wait(20)


async def _client(port: int, requests: list[bytes]) -> int:
    """Send requests one after the other on one connection; the bytes of the bodies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    received = 0
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head[:200]
        length = re.search(rb"content-length: (\d+)", head)
        if length:
            received += len(await reader.readexactly(int(length[1])))
    writer.close()
    await writer.wait_closed()
    return received


def _round(port: int, paths: list[str], accept: str) -> int:
    template = "GET /dicom-web{} HTTP/1.1\r\nHost: a\r\nAccept: {}\r\n\r\n"
    requests = [template.format(path, accept).encode() for path in paths]

    async def main() -> int:
        lanes = [_client(port, requests[lane::CONNECTIONS]) for lane in range(CONNECTIONS)]
        return sum(await asyncio.gather(*lanes))

    return asyncio.run(main())


INSTANCE = f"/studies/{uid(1, STUDIES)}/series/{uid(2, STUDIES, 1)}/instances/"
NATIVE = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def _paths(case: str) -> tuple[list[str], str]:
    numbers = range(REQUESTS)
    if case == "patient_id":
        return [f"/studies?PatientID=P{n % STUDIES:07d}" for n in numbers], "application/dicom+json"
    if case == "week":
        return [f"/studies?StudyDate=202401{n % 20 + 1:02d}-202401{n % 20 + 7:02d}&limit=50" for n in numbers], "*/*"
    if case == "name_prefix":
        return [f"/studies?PatientName={'ABCDEFGHIJ'[n % 10]}*&limit=50" for n in numbers], "*/*"
    if case == "list_page":
        return [f"/studies?limit=50&offset={n % 5 * 50}" for n in numbers], "*/*"
    if case == "metadata":
        return [INSTANCE.replace("/instances/", "/metadata")] * (REQUESTS // 20), "*/*"
    tail = {"frames": "/frames/1", "rendered": "/rendered"}[case]
    accept = NATIVE if case == "frames" else "image/jpeg"
    return [f"{INSTANCE}{uid(3, STUDIES, 1, n % SLICES + 1)}{tail}" for n in numbers], accept


@pytest.mark.informational
@pytest.mark.parametrize("case", ["patient_id", "week", "name_prefix", "list_page", "frames", "rendered", "metadata"])
def test_requests(benchmark: Any, server: Server, case: str) -> None:
    paths, accept = _paths(case)
    cpu = server.cpu_seconds()
    started = time.perf_counter()
    rounds = 0

    def action() -> int:
        nonlocal rounds
        rounds += 1
        return _round(server.port, paths, accept)

    received = benchmark.pedantic(action, rounds=3, warmup_rounds=1)
    done = rounds * len(paths)
    benchmark.extra_info["requests_per_s"] = round(done / (time.perf_counter() - started))
    benchmark.extra_info["cpu_us"] = round((server.cpu_seconds() - cpu) / done * 1e6)
    benchmark.extra_info["bytes_per_request"] = received // len(paths)
