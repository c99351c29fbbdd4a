"""C-FIND, C-GET and C-MOVE over the network of one machine, beside DCMTK's ``dcmqrscp`` and Orthanc.

``test_find`` asks an index of ``HILUM_BENCH_STUDIES`` invented studies (20 000 unless said) and takes every answer;
Orthanc gets an object for each of them by HTTP, 200 where the benchmarks run as plain tests. ``test_get`` and
``test_move`` fetch one study of ``HILUM_BENCH_INSTANCES`` CT slices (200 unless said; the figures of
docs/benchmarks.md are of 2 000). ``extra_info`` has the server's CPU for each request and each instance.

Traps: the client is Python and takes a core of its own, so with two cores read the CPU of the server beside the rate;
the page cache is warm; peers run with ``TCP_NODELAY=1``, as in ``../shared/peers``; Orthanc's index is SQLite;
``dcmqrscp`` forks for each association, its children's CPU is counted when they have ended.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pydicom
import pytest
from benchmarks.data import CT_IMAGE_STORAGE, instance_bytes

import hilum
from hilum.dimse.association import Association, Message
from hilum.dimse.identifier import Element, encode
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.proposal import Proposal
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

STUDIES = int(os.environ.get("HILUM_BENCH_STUDIES", "20000"))
INSTANCES = int(os.environ.get("HILUM_BENCH_INSTANCES", "200"))
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
EXPLICIT = "1.2.840.10008.1.2.1"
PEERS = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    called: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """CPU of the process, its living children and those that have ended."""
        total = sum(self.process.cpu_times()[:4])
        return total + sum(sum(child.cpu_times()[:4]) for child in self.process.children(recursive=True))

    def associate(self, *proposals: Proposal) -> Association:
        return Association(
            "127.0.0.1", self.port, calling="BENCH", called=self.called, proposals=proposals, timeout_s=300
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nobody listens")


def dcmtk(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if found is None:
        pytest.skip(f"DCMTK's {name} is not installed")
    return found


def serve(root: Path, sink: int) -> Iterator[Server]:
    command = [sys.executable, "-m", "hilum.cli.main", "serve", "--archive", str(root), "--port", "0", "--workers", "1"]
    environment = {
        **os.environ,
        "HILUM__DIMSE__PEERS": f"SINK 127.0.0.1:{sink}",
        "HILUM__DIMSE__MOVE_ASSOCIATIONS": "1",
    }
    with subprocess.Popen(
        [*command, "--dicom-port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        found = re.search(r"at port (\d+)", process.stdout.readline())
        assert found
        yield Server(int(found[1]), "HILUM", psutil.Process(process.pid))
        process.terminate()


def serve_orthanc(folder: Path, sink: int, objects: Iterable[bytes]) -> Iterator[Server]:
    """Orthanc with these objects."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("Orthanc is not installed")
    port, web = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": web,
        "DicomPort": port,
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"sink": ["SINK", "127.0.0.1", sink]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": PEERS}
    with subprocess.Popen([program, str(folder / "orthanc.json")], **quiet) as process:  # type: ignore[call-overload]
        wait_for(port)
        wait_for(web)
        connection = http.client.HTTPConnection("127.0.0.1", web, timeout=60)
        for data in objects:
            connection.request("POST", "/instances", data, {"Content-Type": "application/dicom"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
        connection.close()
        yield Server(port, "ORTHANC", psutil.Process(process.pid))
        process.terminate()


def object_of(study: dict[str, Any], number: int) -> bytes:
    """One small object of an invented study."""
    ds = pydicom.Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("PatientName", "PatientID", "StudyDate", "StudyTime", "StudyInstanceUID", "AccessionNumber"):
        setattr(ds, keyword, str(study.get(keyword) or ""))
    ds.SOPClassUID, ds.Modality = CT_IMAGE_STORAGE, str(study.get("ModalitiesInStudy") or "CT").partition("\\")[0]
    ds.SeriesInstanceUID, ds.SOPInstanceUID = f"1.2.3.{number}.1", f"1.2.3.{number}.1.1"
    out = io.BytesIO()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="module", params=["hilum", "orthanc"])
def index_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("find")
    with hilum.open(folder / "archive") as archive:
        entries = synthetic_entries(STUDIES)
        while batch := list(itertools.islice(entries, 5000)):
            archive.index.apply(batch)
        if request.param == "orthanc":
            most = 200 if request.config.getoption("benchmark_disable") else STUDIES
            studies = archive.search("study", {}, limit=most).to_dicts()
    if request.param == "hilum":
        yield from serve(folder / "archive", 1)
        return
    yield from serve_orthanc(folder, 1, (object_of(study, number) for number, study in enumerate(studies)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slices")
    pixels = (np.arange(512 * 512, dtype=np.uint16) % 4096).reshape(512, 512)
    for number in range(1, INSTANCES + 1):
        (folder / f"{number}.dcm").write_bytes(instance_bytes(1, 1, number, pixels))
    return folder


@pytest.fixture(scope="module")
def study(files: Path) -> str:
    return str(pydicom.dcmread(next(files.iterdir()), stop_before_pixels=True).StudyInstanceUID)


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """DCMTK's storescp, which throws away what it gets."""
    port = free_port()
    command = [dcmtk("storescp"), "--ignore", "--fork", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=PEERS) as process:
        wait_for(port)
        yield port
        process.terminate()


@pytest.fixture(scope="module", params=["hilum", "dcmqrscp", "orthanc"])
def archive_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, files: Path, sink: int
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "hilum":
        with hilum.open(folder / "archive") as archive:
            archive.import_paths([files])
        yield from serve(folder / "archive", sink)
        return
    if request.param == "orthanc":
        yield from serve_orthanc(folder, sink, (path.read_bytes() for path in files.iterdir()))
        return
    port, database = free_port(), folder / "database"
    database.mkdir()
    for path in files.iterdir():
        shutil.copy(path, database / path.name)
    names = [str(path) for path in sorted(database.iterdir())]
    for at in range(0, len(names), 500):
        subprocess.run([dcmtk("dcmqridx"), str(database), *names[at : at + 500]], check=True, capture_output=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nsink = (SINK, localhost, {sink})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {database} RW (200, 8192mb) ANY\nAETable END\n"
    )
    command = [dcmtk("dcmqrscp"), "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=PEERS) as process:
        wait_for(port)
        yield Server(port, "QR", psutil.Process(process.pid))
        for child in psutil.Process(process.pid).children():
            child.terminate()
        process.terminate()


def keys_of(kind: str, random_: random.Random) -> tuple[Element, ...]:
    patient, name, date = "", "", ""
    if kind == "patient_id":
        patient = f"P{random_.randrange(STUDIES // 2):08d}"
    elif kind == "name_prefix":
        name = random_.choice(["Smith*", "Garc*", "Nowakova*", "Russomann^J*"])
    else:
        month, day = random_.randrange(1, 13), random_.randrange(1, 21)
        year = random_.randrange(2016, 2025)
        date = f"{year}{month:02d}{day:02d}-{year}{month:02d}{day + 6:02d}"
    return (
        Element(0x00080020, "DA", date),
        Element(0x00080052, "CS", "STUDY"),
        Element(0x00080061, "CS"),
        Element(0x00100010, "PN", name),
        Element(0x00100020, "LO", patient),
        Element(0x0020000D, "UI"),
        Element(0x00201208, "IS"),
    )


@pytest.mark.informational
@pytest.mark.parametrize("kind", ["patient_id", "week", "name_prefix"])
def test_find(benchmark: Any, index_server: Server, kind: str) -> None:
    """One C-FIND at the study level with seven keys, all its answers taken; one association for all."""
    random_ = random.Random(kind)
    answers = [0]
    with index_server.associate(Proposal(FIND, (EXPLICIT,))) as association:
        context = association.context_for(FIND)
        assert context is not None
        command = {Tag.COMMAND_FIELD: Field.C_FIND, Tag.AFFECTED_SOP_CLASS: FIND, Tag.PRIORITY: 0}

        def run() -> None:
            _, message = association.request(context, dict(command), (encode(keys_of(kind, random_), EXPLICIT),))
            while message.status == 0xFF00:
                answers[0] += 1
                message = association.receive()
            assert message.status == 0

        run()
        before, answers[0] = index_server.cpu_seconds(), 0
        rounds = 50
        benchmark.pedantic(run, rounds=rounds)
        if benchmark.stats is not None:
            benchmark.extra_info["per_second"] = round(1 / benchmark.stats.stats.median)
            benchmark.extra_info["answers"] = round(answers[0] / rounds, 1)
            spent = index_server.cpu_seconds() - before
            benchmark.extra_info["server_cpu_us"] = round(spent / rounds * 1e6)
            benchmark.extra_info["server_cpu_us_per_answer"] = round(spent / max(answers[0], 1) * 1e6)


class _Nowhere:
    """A sink that forgets what is written."""

    def write(self, data: Any) -> int:
        return len(data)


def report(benchmark: Any, server: Server, before: float, rounds: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["instances_per_second"] = round(INSTANCES / benchmark.stats.stats.median)
        spent = server.cpu_seconds() - before
        benchmark.extra_info["server_cpu_us_per_instance"] = round(spent / rounds / INSTANCES * 1e6)


@pytest.mark.informational
def test_get(benchmark: Any, archive_server: Server, study: str) -> None:
    """C-GET of the study on one association; what comes is thrown away."""
    identifier = (Element(0x00080052, "CS", "STUDY"), Element(0x0020000D, "UI", study))
    sink: Any = _Nowhere()

    def run() -> None:
        count = 0
        proposals = (Proposal(GET, (EXPLICIT,)), Proposal(CT_IMAGE_STORAGE, (EXPLICIT,), as_scp=True))
        with archive_server.associate(*proposals) as association:
            context = association.context_for(GET)
            assert context is not None
            command: dict[int, int | str] = {
                Tag.COMMAND_FIELD: Field.C_GET,
                Tag.AFFECTED_SOP_CLASS: GET,
                Tag.PRIORITY: 0,
                Tag.MESSAGE_ID: 1,
                Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
            }
            association.send(context, command, (encode(identifier, EXPLICIT),))
            while True:
                message: Message = association.receive(lambda _message: sink)
                if message.command.get(Tag.COMMAND_FIELD) == Field.C_STORE:
                    count += 1
                    association.send(message.context, response_to(message.command, 0))
                elif message.status != 0xFF00:
                    break
        assert (message.status, count) == (0, INSTANCES)

    before = archive_server.cpu_seconds()
    benchmark.pedantic(run, rounds=3)
    report(benchmark, archive_server, before, 3)


@pytest.mark.informational
def test_move(benchmark: Any, archive_server: Server, study: str) -> None:
    """C-MOVE of the study on one association to ``storescp --ignore``."""
    identifier = (Element(0x00080052, "CS", "STUDY"), Element(0x0020000D, "UI", study))

    def run() -> None:
        with archive_server.associate(Proposal(MOVE, (EXPLICIT,))) as association:
            context = association.context_for(MOVE)
            assert context is not None
            command: dict[int, int | str] = {
                Tag.COMMAND_FIELD: Field.C_MOVE,
                Tag.AFFECTED_SOP_CLASS: MOVE,
                Tag.PRIORITY: 0,
                Tag.MOVE_DESTINATION: "SINK",
            }
            _, message = association.request(context, command, (encode(identifier, EXPLICIT),))
            while message.status == 0xFF00:
                message = association.receive()
            assert (message.status, message.command[Tag.COMPLETED]) == (0, INSTANCES)

    before = archive_server.cpu_seconds()
    benchmark.pedantic(run, rounds=3)
    report(benchmark, archive_server, before, 3)
