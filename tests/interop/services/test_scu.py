"""hilum as requestor: against itself, DCMTK and Orthanc, from the command line and from Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from objects import make_object
from programs import free_port, storescp, wait_for
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.archive.ingest import data_set_offset
from hilum.dimse import client
from hilum.dimse.client import Remote
from hilum.errors import Denied, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("scu_server")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"ORTHANC": free_port(), "HTTP": free_port()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("scu") / "archive"
    with hilum.open(root) as archive:
        archive.import_paths([DEMO])
        archive.store_many([make_object(study=7, instance=i, patient="SCU7", size=64) for i in range(1, 31)])
    peers = f"ORTHANC 127.0.0.1:{ports['ORTHANC']}"
    running = start_server(root, "--workers", "1", environment={"HILUM__DIMSE__PEERS": peers})
    yield running
    assert stop_server(running) == 0


@pytest.fixture
def remote(server: Any) -> Remote:
    return Remote("127.0.0.1", server.dicom_port, called="HILUM", calling="TESTER")


def hilum_command(*arguments: str, ok: bool = True) -> str:
    command = [sys.executable, "-c", "from hilum.cli.main import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def data_sets(archive_root: Path, **keys: str) -> dict[str, bytes]:
    with hilum.open(archive_root, read_only=True) as archive:
        found = {i.sop_instance_uid: i.read_bytes() for i in archive.instances(**keys)}
    return {uid: data[data_set_offset(data) :] for uid, data in found.items()}


def file_data_sets(folder: Path) -> dict[str, bytes]:
    found = {path.name.removesuffix(".dcm"): path.read_bytes() for path in folder.iterdir()}
    return {uid: data[data_set_offset(data) :] for uid, data in found.items()}


def test_echo(server: Any, remote: Remote) -> None:
    assert client.echo(remote) < 5
    where = ("127.0.0.1", str(server.dicom_port))
    assert "answers in" in hilum_command("echo", *where, "-aec", "HILUM", "-aet", "ME")


def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match="no connection"):
        client.echo(Remote("127.0.0.1", free_port()))
    assert "no connection" in hilum_command("echo", "127.0.0.1", str(free_port()), ok=False)


def test_rejection_says_why(start: Any, tmp_path: Path) -> None:
    running = start(tmp_path / "archive", "--workers", "1", HILUM__DIMSE__CALLING_AE_TITLES="FRIEND")
    with pytest.raises(Denied, match="calling AE title not recognized"):
        client.echo(Remote("127.0.0.1", running.dicom_port, calling="STRANGER"))
    assert client.echo(Remote("127.0.0.1", running.dicom_port, calling="FRIEND")) < 5


def test_title_that_is_none(remote: Remote) -> None:
    with pytest.raises(UsageError, match="AE title"):
        client.echo(Remote("127.0.0.1", remote.port, called="MUCH TOO LONG A TITLE"))


def test_find(server: Any, remote: Remote) -> None:
    keys = {"PatientID": "SCU7", "NumberOfStudyRelatedInstances": ""}
    (study,) = client.find(remote, "study", keys)
    assert study["NumberOfStudyRelatedInstances"] == "30"
    assert study["SpecificCharacterSet"] == "ISO_IR 192"
    images = list(client.find(remote, "instance", {"StudyInstanceUID": study["StudyInstanceUID"]}, root="patient"))
    assert len({image["SOPInstanceUID"] for image in images}) == 30
    assert len(list(client.find(remote, "instance", {"PatientID": "SCU7"}, limit=4))) == 4
    where = ("127.0.0.1", str(server.dicom_port))
    shown = hilum_command("find", *where, "-S", "-k", "0008,0052=STUDY", "-k", "0010,0020=SCU7", "-k", "StudyDate")
    assert "PatientID=SCU7" in shown
    found = json.loads(hilum_command("find", *where, "--json", "-k", "PatientID=SCU7").split("answers")[0])
    assert found[0]["StudyInstanceUID"] == study["StudyInstanceUID"]
    with pytest.raises(Unavailable, match="C000"):
        list(client.find(remote, "study", {"StudyDate": "soon"}))
    with pytest.raises(UsageError, match="NoSuchThing"):
        list(client.find(remote, "study", {"NoSuchThing": ""}))


@pytest.mark.parametrize("associations", [1, 3])
def test_get(server: Any, remote: Remote, tmp_path: Path, associations: int) -> None:
    counts = client.get(remote, "patient", {"PatientID": "SCU7"}, tmp_path, root="patient", associations=associations)
    assert (counts.completed, counts.failed, counts.remaining, counts.status) == (30, 0, 0, 0)
    assert file_data_sets(tmp_path) == data_sets(server.root, patient_id="SCU7")


def test_get_takes_what_is_stored_compressed_as_it_is(server: Any, remote: Remote, tmp_path: Path) -> None:
    with hilum.open(server.root, read_only=True) as archive:
        studies = [s.study_instance_uid for s in archive.studies(modalities_in_study="US")]
    for study in studies:
        client.get(remote, "study", {"StudyInstanceUID": study}, tmp_path)
    stored = data_sets(server.root, modality="US")
    came = file_data_sets(tmp_path)
    assert came
    assert all(stored[uid] == data for uid, data in came.items())


def test_get_is_cancelled(remote: Remote, tmp_path: Path) -> None:
    stop = threading.Event()
    came: list[Path] = []
    shown: list[int] = []

    def received(path: Path) -> None:
        came.append(path)
        time.sleep(0.02)
        if len(came) == 5:
            stop.set()

    keys = {"PatientID": "SCU7"}
    counts = client.get(
        remote,
        "patient",
        keys,
        tmp_path,
        root="patient",
        progress=lambda counts: shown.append(counts.remaining),
        received=received,
        stop=stop,
    )
    assert counts.status == 0xFE00
    assert 5 <= len(came) < 30
    assert shown == [29 - number for number in range(len(came))]


def test_store_is_stopped(server: Any, tmp_path: Path) -> None:
    remote, stop = Remote("127.0.0.1", server.dicom_port), threading.Event()
    paths = [tmp_path / f"{number}.dcm" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(make_object(study=8, instance=number, patient="SCU8"))
    done: list[client.StoreOutcome] = []

    def outcome(one: client.StoreOutcome) -> None:
        done.append(one)
        if len(done) == 3:
            stop.set()

    assert client.store(remote, paths, outcome=outcome, stop=stop) == 3


def test_get_resumes(server: Any, tmp_path: Path) -> None:
    where = ("127.0.0.1", str(server.dicom_port))
    options = ("-k", "PatientID=SCU7", "--level", "PATIENT", "-P", "-od", str(tmp_path))
    assert "30 completed" in hilum_command("get", *where, *options)
    for path in sorted(tmp_path.iterdir())[:4]:
        path.unlink()
    assert "4 completed" in hilum_command("get", *where, *options, "--resume")
    assert len(list(tmp_path.iterdir())) == 30


def test_get_into_an_archive(server: Any, tmp_path: Path) -> None:
    where = ("127.0.0.1", str(server.dicom_port))
    options = ("-k", "PatientID=SCU7", "--archive", str(tmp_path / "mine"), "-od", str(tmp_path / "files"))
    hilum_command("get", *where, *options)
    assert data_sets(tmp_path / "mine") == data_sets(server.root, patient_id="SCU7")
    assert list((tmp_path / "files").iterdir()) == []


def test_store_from_the_command_line(start: Any, tmp_path: Path) -> None:
    running = start(tmp_path / "archive", "--workers", "1")
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.dcm").write_bytes(make_object(study=number // 10, instance=number))
    (folder / "readme.txt").write_text("this is no DICOM file")
    command = ("store", "127.0.0.1", str(running.dicom_port), str(folder), "-j", "3")
    ledger = ("--ledger", str(tmp_path / "sent"))
    shown = hilum_command(*command, *ledger)
    assert "40 stored" in shown
    assert "0 failed, 1 in folders are not DICOM" in shown
    shown = hilum_command(*command[:3], str(folder / "readme.txt"), ok=False)
    assert "0 stored" in shown
    assert "1 failed" in shown
    (folder / "last.dcm").write_bytes(make_object(study=9, instance=99))
    shown = hilum_command(*command, *ledger)
    assert "1 stored" in shown
    assert "40 sent before" in shown
    assert len(data_sets(running.root)) == 41


def test_every_demonstration_file_by_dcmtks_storescp(tmp_path: Path) -> None:
    port = free_port()
    came = tmp_path / "came"
    files = sorted(DEMO.glob("*.dcm"))
    with storescp(port, came, "+xa"):
        results: list[Any] = []
        stored = client.store(Remote("127.0.0.1", port), files, outcome=results.append)
    assert len(results) == len(files)
    assert stored == len(list(came.iterdir()))
    assert all("does not take" in r.error for r in results if not r.ok)
    sent = [path.read_bytes() for path in files]
    expected = {data[data_set_offset(data) :] for data in sent}
    got = {data[data_set_offset(data) :] for data in (path.read_bytes() for path in came.iterdir())}
    assert got <= expected
    assert len(got) > len(files) // 2


@contextmanager
def orthanc(folder: Path, ports: dict[str, int], dicom_port: int) -> Iterator[Remote]:
    """Orthanc with hilum as its modality."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("Orthanc is not installed")
    settings = {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": ports["HTTP"],
        "DicomPort": ports["ORTHANC"],
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "RemoteAccessAllowed": False,
        "DicomModalities": {"hilum": ["HILUM", "127.0.0.1", dicom_port], "tester": ["TESTER", "127.0.0.1", dicom_port]},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log, subprocess.Popen([program, str(path)], stdout=log, stderr=log) as process:
        try:
            wait_for(ports["ORTHANC"])
            yield Remote("127.0.0.1", ports["ORTHANC"], called="ORTHANC", calling="HILUM")
        finally:
            process.terminate()


def test_orthanc_both_ways(server: Any, remote: Remote, ports: dict[str, int], tmp_path: Path) -> None:
    """C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET from us to Orthanc, then the same from Orthanc to us."""
    with orthanc(tmp_path, ports, server.dicom_port) as peer:
        assert client.echo(peer) < 5
        counts = client.move(remote, "ORTHANC", "patient", {"PatientID": "SCU7"}, root="patient")
        assert (counts.status, counts.completed, counts.failed) == (0, 30, 0)
        (study,) = client.find(peer, "study", {"PatientID": "SCU7", "StudyInstanceUID": ""})
        files = tmp_path / "files"
        files.mkdir()
        client.get(peer, "study", {"StudyInstanceUID": study["StudyInstanceUID"]}, files)
        assert len(list(files.iterdir())) == 30
        own = tmp_path / "own.dcm"
        own.write_bytes(make_object(study=77, patient="FROM-ORTHANC"))
        assert client.store(peer, [own]) == 1
        again = client.move(peer, "HILUM", "patient", {"PatientID": "FROM-ORTHANC"}, root="patient")
        assert again.status == 0
        assert len(data_sets(server.root, patient_id="FROM-ORTHANC")) == 1

        api = httpx.Client(base_url=f"http://127.0.0.1:{ports['HTTP']}", timeout=60)
        assert api.post("/modalities/hilum/echo", json={}).status_code == 200
        query = api.post("/modalities/hilum/query", json={"Level": "Study", "Query": {"PatientID": "SCU7"}}).json()
        answers = api.get(f"/queries/{query['ID']}/answers").json()
        assert len(answers) == 1
        identity = api.post("/tools/lookup", content="SCU7").json()[0]["ID"]
        api.delete(f"/patients/{identity}")
        api.post(f"/queries/{query['ID']}/retrieve", content="ORTHANC").raise_for_status()
        assert api.get("/statistics").json()["CountInstances"] == 31
        api.close()
    with hilum.open(server.root) as archive:
        archive.delete("study", [s.study_instance_uid for s in archive.studies(patient_id="FROM-ORTHANC")])
