"""``hilum migrate`` with Orthanc (DIMSE and DICOMweb) and DCMTK's dcmqrscp as the archives that are left."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
import pytest
from objects import make_object
from programs import free_port, program, wait_for

import hilum
from hilum.archive.ingest import data_set_offset
from hilum.dimse import client

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("migrate")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
COMMAND = [sys.executable, "-c", "from hilum.cli.main import main; main()", "migrate"]


@dataclass(frozen=True)
class Legacy:
    """An archive to be left, and what is in it: UID to study and data set."""

    port: int
    title: str
    url: str
    objects: dict[str, tuple[str, bytes]]
    move_port: int
    files: dict[str, bytes]

    def elements(self, uid: str) -> pydicom.Dataset:
        return parsed(self.files[uid])

    def dicom(self) -> list[str]:
        return ["dicom", "127.0.0.1", str(self.port), "-aec", self.title, "-aet", "MIGRATE"]


def content(data: bytes) -> bytes:
    return data[data_set_offset(data) :]


def legacy_objects() -> list[bytes]:
    """Some days with several studies, one without a date, one from the last century, real compressed ones."""
    found = [
        make_object(study=s, series=r, instance=i, patient=f"L{s}", date=f"2024010{1 + s % 7}", size=16)
        for s in range(1, 13)
        for r in (1, 2)
        for i in (1, 2, 3)
    ]
    found += [make_object(study=50, instance=i, patient="OLD", date="19700101") for i in (1, 2)]
    found += [make_object(study=51, instance=i, patient="NODATE", date="") for i in (1, 2)]
    return found + [(DEMO / name).read_bytes() for name in ("us-cine.dcm", "mr-shoulder.dcm", "report-sr.dcm")]


def by_uid(objects: list[bytes]) -> dict[str, tuple[str, bytes]]:
    found = {}
    for data in objects:
        ds = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        found[str(ds.SOPInstanceUID)] = (str(ds.StudyInstanceUID), content(data))
    return found


def files_of(objects: list[bytes]) -> dict[str, bytes]:
    return {str(parsed(data).SOPInstanceUID): data for data in objects}


@contextmanager
def orthanc(folder: Path, objects: list[bytes], **settings: Any) -> Iterator[Legacy]:
    ports = {name: free_port() for name in ("http", "dicom", "move")}
    plugins = [DICOMWEB] if Path(DICOMWEB).exists() else []
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "legacy",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "Plugins": plugins,
                "HttpPort": ports["http"],
                "DicomPort": ports["dicom"],
                "DicomAet": "ORTHANC",
                "DicomAlwaysAllowGet": True,
                "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowMove": True,
                "RemoteAccessAllowed": False,
                "StorageCompression": False,
                "DicomModalities": {"us": ["MIGRATE", "127.0.0.1", ports["move"]]},
                **settings,
            }
        )
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program("Orthanc"), str(folder / "orthanc.json")], stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(ports["dicom"])
            wait_for(ports["http"])
            url = f"http://127.0.0.1:{ports['http']}"
            with httpx.Client(base_url=url, timeout=60) as api:
                for data in objects:
                    api.post("/instances", content=data).raise_for_status()
            yield Legacy(
                ports["dicom"], "ORTHANC", f"{url}/dicom-web", by_uid(objects), ports["move"], files_of(objects)
            )
        finally:
            process.terminate()


@contextmanager
def dcmqrscp(folder: Path, objects: list[bytes]) -> Iterator[Legacy]:
    port, move, database = free_port(), free_port(), folder / "database"
    database.mkdir()
    for number, data in enumerate(objects):
        (database / f"{number}.dcm").write_bytes(data)
    names = [str(path) for path in sorted(database.iterdir())]
    subprocess.run([program("dcmqridx"), str(database), *names], check=True, capture_output=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nus = (MIGRATE, localhost, {move})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {database} RW (200, 8192mb) ANY\nAETable END\n"
    )
    command = [program("dcmqrscp"), "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield Legacy(port, "QR", "", by_uid(objects), move, files_of(objects))
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def from_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Legacy]:
    with orthanc(tmp_path_factory.mktemp("orthanc"), legacy_objects()) as legacy:
        yield legacy


@pytest.fixture(scope="module")
def from_dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Legacy]:
    plain = [data for data in legacy_objects() if parsed(data).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"]
    with dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), plain) as legacy:
        yield legacy


def migrate(root: Path, *options: str, status: int = 0) -> tuple[str, dict[str, Any]]:
    report = root.parent / "report.json"
    command = [*COMMAND, *options, "--archive", str(root)]
    if options[0] != "report":
        command += ["--json", str(report), "--csv", str(root.parent / "report.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, json.loads(report.read_text()) if report.exists() else {}


def archived(root: Path) -> dict[str, tuple[str, bytes]]:
    with hilum.open(root, read_only=True) as archive:
        return {i.sop_instance_uid: (i.study_instance_uid, content(i.read_bytes())) for i in archive.instances()}


def elements(root: Path, uid: str) -> pydicom.Dataset:
    with hilum.open(root, read_only=True) as archive:
        return parsed(archive.instance(uid).read_bytes())


def parsed(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=False)


def check(root: Path, legacy: Legacy, report: dict[str, Any], *, exact: bool = False) -> None:
    """Everything is there, and the report says so; DCMTK, of which Orthanc's DIMSE is, writes sequences anew."""
    came = archived(root)
    assert came.keys() == legacy.objects.keys()
    different = [uid for uid, found in came.items() if found != legacy.objects[uid]]
    if not exact:
        assert len(different) < 5
        different = [uid for uid in different if elements(root, uid) != legacy.elements(uid)]
    assert different == []
    studies = {study for study, _ in legacy.objects.values()}
    assert (report["complete"], report["states"]) == (True, {"done": len(studies)})
    sums = report["sums"]
    assert (sums["instances"], sums["stored"]) == (len(legacy.objects), len(legacy.objects))
    assert {study["uid"] for study in report["studies"]} == studies
    assert all(len(study["digest"]) == 64 and not study["differences"] for study in report["studies"])
    with (root.parent / "report.csv").open(newline="") as stream:
        assert sum(int(row["stored"]) for row in csv.DictReader(stream)) == len(legacy.objects)


@pytest.mark.parametrize("way", ["get", "move", "dicomweb"])
def test_orthanc(from_orthanc: Legacy, tmp_path: Path, way: str) -> None:
    options = from_orthanc.dicom()
    if way == "move":
        options += ["-aem", "MIGRATE", "--listen", str(from_orthanc.move_port)]
    elif way == "dicomweb":
        if not Path(DICOMWEB).exists():
            pytest.skip("Orthanc's DICOMweb plugin is not installed")
        options = ["dicomweb", from_orthanc.url]
    text, report = migrate(tmp_path / "archive", *options)
    check(tmp_path / "archive", from_orthanc, report, exact=way == "dicomweb")
    assert "complete: everything" in text
    _, report = migrate(tmp_path / "archive", *options)  # nothing is asked for twice
    assert report["sums"]["received"] == len(from_orthanc.objects)
    check(tmp_path / "archive", from_orthanc, report, exact=way == "dicomweb")


@pytest.mark.parametrize("way", ["get", "move"])
def test_dcmqrscp(from_dcmqrscp: Legacy, tmp_path: Path, way: str) -> None:
    options = from_dcmqrscp.dicom()
    if way == "move":
        options += ["-aem", "MIGRATE", "--listen", str(from_dcmqrscp.move_port)]
    _, report = migrate(tmp_path / "archive", *options)
    check(tmp_path / "archive", from_dcmqrscp, report)


def test_peer_with_a_limit(tmp_path: Path) -> None:
    """Orthanc that gives three studies at a time: every study is found, the one without a date too."""
    with orthanc(tmp_path, legacy_objects(), LimitFindResults=3) as legacy:
        _, report = migrate(tmp_path / "archive", *legacy.dicom(), "--from", "2024-01-01", "--to", "2024-12-31")
        dated = [s for s in report["studies"] if s["date"].startswith("2024")]
        assert len(dated) == 12
        assert report["complete"] is False or report["gaps"] == []


def test_dry_run_stores_nothing(from_dcmqrscp: Legacy, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    hilum.open(root).close()
    text, report = migrate(root, *from_dcmqrscp.dicom(), "--dry-run")
    assert "would be retrieved" in text
    assert report["sums"]["instances"] == len(from_dcmqrscp.objects)
    assert archived(root) == {}
    assert not (root / "migrations").exists()


def test_only_some(from_dcmqrscp: Legacy, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    options = [*from_dcmqrscp.dicom(), "-k", "PatientID=L3"]
    _, report = migrate(root, *options)
    assert (report["complete"], report["sums"]["stored"]) == (True, 6)
    migrate(root, *from_dcmqrscp.dicom(), status=2)  # the ledger is of other keys
    listed, _ = migrate(root, "report")
    assert listed.split()[0].startswith("QR@127.0.0.1")
    migrate(root, "report", listed.split()[0])


@pytest.mark.parametrize("way", ["get", "move", "dicomweb"])
def test_killed_in_the_middle_and_resumed(tmp_path: Path, way: str) -> None:
    """kill -9, twice; then everything is there once, byte for byte, and no study that was done was asked for again."""
    objects = [
        make_object(study=s, series=r, instance=i, patient=f"K{s}", date=f"202402{1 + s % 28:02d}", size=64)
        for s in range(1, 25)
        for r in (1, 2)
        for i in (1, 2, 3, 4)
    ]
    with orthanc(tmp_path, objects) as legacy:
        options = legacy.dicom()
        if way == "move":
            options += ["-aem", "MIGRATE", "--listen", str(legacy.move_port)]
        elif way == "dicomweb":
            if not Path(DICOMWEB).exists():
                pytest.skip("Orthanc's DICOMweb plugin is not installed")
            options = ["dicomweb", legacy.url]
        root = tmp_path / "archive"
        done_before = 0
        for least in (4, 12):
            with subprocess.Popen(
                [*COMMAND, *options, "--archive", str(root)],
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            ) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    done_before += ": done" in line
                    if done_before >= least:
                        os.kill(process.pid, signal.SIGKILL)
                        break
            assert process.returncode == -signal.SIGKILL
        _, report = migrate(root, *options)
        check(root, legacy, report)
        assert report["sums"]["before"] < len(objects) // 4  # what a killed run had stored of its studies in the works
        first = [study for study in report["studies"] if study["attempts"] == 1]
        assert len(first) == 24


def test_what_is_missing_is_explained(from_orthanc: Legacy, tmp_path: Path) -> None:
    """C-MOVE to a title that nobody listens at: nothing comes, every instance is a difference, status 1."""
    text, report = migrate(
        tmp_path / "archive",
        *from_orthanc.dicom(),
        "-aem",
        "MIGRATE",
        "-k",
        "PatientID=L3",
        "--attempts",
        "1",
        status=1,
    )
    assert report["states"] == {"different": 1}
    (study,) = report["studies"]
    assert len(study["differences"]) == 6
    assert "status" in study["note"]
    assert "not complete" in text


def test_what_the_peer_cannot_give_is_explained(tmp_path: Path) -> None:
    """dcmqrscp sends nothing that is stored compressed unless it is started so: named, counted, status 1."""
    objects = [make_object(patient="A"), (DEMO / "us-cine.dcm").read_bytes()]
    with dcmqrscp(tmp_path, objects) as legacy:
        text, report = migrate(tmp_path / "archive", *legacy.dicom(), "--attempts", "1", status=1)
    assert report["states"] == {"done": 1, "different": 1}
    assert "A702" in next(study["note"] for study in report["studies"] if study["state"] == "different")
    assert "not in the archive" in text


def test_peer_that_is_not_there(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    migrate(root, "dicom", "127.0.0.1", str(free_port()), "--patience", "0", status=1)
    text, _ = migrate(root, "dicomweb", f"http://127.0.0.1:{free_port()}/dicom-web", "--patience", "0", status=1)
    assert "the crawl was not finished" in text


def test_get_from_an_archive_that_is_asked_level_by_level(from_dcmqrscp: Legacy, tmp_path: Path) -> None:
    """dcmqrscp refuses relational queries and tells no SOP classes."""
    study = pydicom.dcmread(io.BytesIO(make_object(study=3)), stop_before_pixels=True).StudyInstanceUID
    remote = client.Remote("127.0.0.1", from_dcmqrscp.port, called="QR")
    counts = client.get(remote, "study", {"StudyInstanceUID": study}, tmp_path)
    assert (counts.status, counts.completed, len(list(tmp_path.iterdir()))) == (0, 6, 6)
