"""A real server: ``hilum serve`` as its own processes, on free ports, over the sample studies of the repository."""

from __future__ import annotations

import dataclasses
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pynetdicom.dimse import DIMSEServiceProvider

import hilum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parent.parent.parent.parent
DEMO = REPOSITORY / "tests" / "data" / "demo"


@dataclasses.dataclass(frozen=True)
class LiveServer:
    """A running server."""

    root: Path
    port: int
    dicom_port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"


def start_server(root: Path, *options: str, environment: dict[str, str] | None = None) -> LiveServer:
    """Start a server and wait until it says where it is."""
    command = [
        sys.executable,
        "-m",
        "hilum.cli.main",
        "serve",
        "--archive",
        str(root),
        "--port",
        "0",
        "--dicom-port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        readable, _, _ = select.select([process.stdout], [], [], 0.5)
        if readable:
            line = process.stdout.readline()
            found = re.search(r"http://[^:]+:(\d+)/.* at port (\d+)", line)
            assert found, f"unexpected first line: {line!r}"
            return LiveServer(root, int(found[1]), int(found[2]), process)
        assert process.poll() is None, f"the server ended with status {process.returncode}"
    process.kill()
    raise AssertionError("the server did not start")


def stop_server(server: LiveServer) -> int:
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(20)
    assert server.process.stdout is not None
    server.process.stdout.close()
    return status


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    root = tmp_path_factory.mktemp("live") / "archive"
    with hilum.open(root) as archive:
        archive.import_paths([DEMO])
    server = start_server(
        root,
        "--workers",
        "2",
        "--access-log",
        str(root.parent / "access.log"),
        environment={"HILUM__HTTP__CORS_ORIGINS": "*"},
    )
    yield server
    assert stop_server(server) == 0


@pytest.fixture(scope="module")
def archive(live_server: LiveServer) -> Iterator[hilum.Archive]:
    """The archive of the live server, for reading."""
    with hilum.open(live_server.root, read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def largest_ct(archive: hilum.Archive) -> hilum.Series:
    """The largest CT of the sample studies."""
    found = [series for study in archive.studies() for series in study.series if series.modality == "CT"]
    return max(found, key=lambda one: one.number_of_instances)


@pytest.fixture(scope="module")
def served_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[list[bytes]], LiveServer]]:
    """Start a server over the sample studies and some objects; it lives as long as the tests of a module."""
    started: list[LiveServer] = []

    def serve(objects: list[bytes]) -> LiveServer:
        root = tmp_path_factory.mktemp("served") / "archive"
        with hilum.open(root) as archive:
            archive.import_paths([DEMO])
            for data in objects:
                archive.store(data)
        started.append(start_server(root))
        return started[-1]

    yield serve
    for server in started:
        assert stop_server(server) == 0


@pytest.fixture
def web(live_server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live_server.dicomweb, timeout=60, headers={"Accept": "*/*"}) as client:
        yield client


@pytest.fixture(autouse=True)
def keep_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close a race of pynetdicom as a requestor: it ends in an answer without Status, or in a timeout after 30 s.

    ``send_c_store`` and the like pause the association's reactor, but a reactor that was just past the pause takes the
    response off the queue before the sender looks for it.
    """
    stock = DIMSEServiceProvider.get_msg

    def get_msg(provider: DIMSEServiceProvider, block: bool = False) -> Any:
        reads = block or provider.assoc._reactor_checkpoint.is_set()
        return stock(provider, block) if reads else (None, None)

    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", get_msg)


@pytest.fixture
def start() -> Iterator[object]:
    """Start servers of one's own; they are stopped at the end."""
    yield from _starting()


@pytest.fixture(scope="module")
def serve_module() -> Iterator[object]:
    """As `start`, for servers that all tests of a module share."""
    yield from _starting()


def _starting() -> Iterator[object]:
    started: list[LiveServer] = []

    def run(root: Path, *options: str, **environment: str) -> LiveServer:
        server = start_server(root, *options, environment=environment)
        started.append(server)
        return server

    yield run
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        if server.process.stdout is not None:
            server.process.stdout.close()
