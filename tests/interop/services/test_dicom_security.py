"""TLS on the DICOM port, rules for peers, and why something was refused (SEC-1, ACQ-15, P46, P47)."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
import pytest
from objects import make_object
from programs import program
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from rejections import answer_to

import hilum
from hilum.archive.incoming import Incoming
from hilum.config import DimseSettings
from hilum.dimse import client
from hilum.dimse.client import Remote
from hilum.dimse.query import FindService
from hilum.dimse.server import DimseServer
from hilum.dimse.services import Services
from hilum.dimse.storage import StoreHandler
from hilum.dimse.tls import client_context, server_context
from hilum.errors import Denied, HilumError, Unavailable
from hilum.server import bind

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

VERIFICATION = "1.2.840.10008.1.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


class Certificates:
    """An authority with certificates, and a stranger's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.make("ca", "authority", None)
        self.make("other-ca", "strangers", None)
        self.make("server", "hilum", "ca", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.make("friend", "FRIEND", "ca")
        self.make("stranger", "STRANGER", "other-ca")

    def make(self, name: str, common_name: str, issuer: str | None, extension: str = "") -> None:
        openssl = program("openssl")
        key, certificate = str(self.folder / f"{name}.key"), str(self.folder / f"{name}.pem")
        command = [openssl, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={common_name}"]
        if issuer is None:
            subprocess.run([*command, "-x509", "-days", "2", "-out", certificate], check=True, capture_output=True)
            return
        request, extensions = str(self.folder / f"{name}.csr"), self.folder / f"{name}.ext"
        extensions.write_text(extension or f"subjectAltName=DNS:{common_name}")
        subprocess.run([*command, "-out", request], check=True, capture_output=True)
        ca = ["-CA", str(self[issuer]), "-CAkey", str(self.folder / f"{issuer}.key"), "-CAcreateserial"]
        sign = [openssl, "x509", "-req", "-in", request, *ca, "-days", "2", "-extfile", str(extensions)]
        subprocess.run([*sign, "-out", certificate], check=True, capture_output=True)

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def environment(self, **more: str) -> dict[str, str]:
        names = {"TLS_CERTIFICATE": self["server"], "TLS_KEY": self.folder / "server.key", "TLS_TRUSTED": self["ca"]}
        return {**{f"HILUM__DIMSE__{key}": str(value) for key, value in names.items()}, **more}

    def context(self, name: str) -> ssl.SSLContext:
        return client_context(self["ca"], self[name], self.folder / f"{name}.key")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def refusals(server: Any) -> list[dict[str, Any]]:
    time.sleep(0.2)
    found: list[dict[str, Any]] = httpx.get(f"{server.url}/api/dicom/refusals").json()
    return found


def test_mutual_tls_and_titles(start: Any, tmp_path: Path, certificates: Certificates) -> None:
    environment = certificates.environment(HILUM__DIMSE__TLS_BIND_TITLES="true")
    server = start(tmp_path / "archive", "--workers", "1", **environment)
    port = server.dicom_port
    good = Remote("127.0.0.1", port, calling="FRIEND", tls=certificates.context("friend"))
    assert client.echo(good) < 5
    path = tmp_path / "one.dcm"
    path.write_bytes(make_object(size=512))
    assert client.store(good, [path]) == 1
    (study,) = client.find(good, "study", {"StudyInstanceUID": ""})
    folder = tmp_path / "came"
    folder.mkdir()
    counts = client.get(good, "study", {"StudyInstanceUID": study["StudyInstanceUID"]}, folder)
    assert (counts.completed, counts.failed) == (1, 0)
    with pytest.raises(Denied, match="calling AE title not recognized"):
        client.echo(Remote("127.0.0.1", port, calling="OTHER", tls=certificates.context("friend")))
    with pytest.raises(HilumError):
        client.echo(Remote("127.0.0.1", port, calling="STRANGER", tls=certificates.context("stranger")))
    with pytest.raises(HilumError):
        client.echo(Remote("127.0.0.1", port, calling="FRIEND", tls=client_context(certificates["ca"])))
    with pytest.raises(Unavailable):
        client.echo(Remote("127.0.0.1", port, calling="FRIEND"))
    context = client_context(certificates["other-ca"], certificates["friend"], certificates.folder / "friend.key")
    with pytest.raises(Unavailable, match="no connection"):
        client.echo(Remote("127.0.0.1", port, calling="FRIEND", tls=context))
    assert client.echo(good) < 5
    reasons = {(item["service"], item["peer"]): item["reason"] for item in refusals(server)}
    assert "certificate does not name" in reasons["associate", "OTHER"]
    assert ("tls", "") in reasons


def test_old_tls_is_refused(start: Any, tmp_path: Path, certificates: Certificates) -> None:
    server = start(tmp_path / "archive", "--workers", "1", **certificates.environment())
    openssl = program("openssl")
    identity = ["-cert", str(certificates["friend"]), "-key", str(certificates.folder / "friend.key")]
    connect = [openssl, "s_client", "-connect", f"127.0.0.1:{server.dicom_port}", *identity, "-brief"]
    for options, works in (
        (["-tls1_2"], True),
        (["-tls1_3"], True),
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
        (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], False),
        (["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"], False),
    ):
        done = subprocess.run([*connect, *options], input=b"", capture_output=True, timeout=30, check=False)
        assert (b"Protocol version" in done.stdout + done.stderr) is works, options


def test_dcmtk_over_tls(start: Any, tmp_path: Path, certificates: Certificates) -> None:
    with hilum.open(tmp_path / "archive") as archive:
        archive.store_many([make_object(instance=n, size=256) for n in range(20)])
    server = start(tmp_path / "archive", "--workers", "1", **certificates.environment())
    tls = ["+tls", str(certificates.folder / "friend.key"), str(certificates["friend"]), "+cf", str(certificates["ca"])]
    where = ["127.0.0.1", str(server.dicom_port)]
    done = subprocess.run([program("echoscu"), *tls, *where], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for profile in ("+py", "+px", "+pz"):  # non-downgrading BCP 195, BCP 195, extended BCP 195
        done = subprocess.run([program("echoscu"), *tls, profile, *where], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, (profile, done.stderr)
    path = tmp_path / "large.dcm"
    path.write_bytes(make_object(study=2, size=256, frames=30))
    command = [program("storescu"), *tls, *where, str(path)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    command = [program("findscu"), *tls, "-v", "-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID", *where]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert (done.stdout + done.stderr).count(b"Find Response:") == 21


def test_the_fall_back_speaks_tls_too(tmp_path: Path, certificates: Certificates) -> None:
    """pynetdicom's own server, which is used when its version is not a known one, with the same certificates."""
    path = tmp_path / "one.dcm"
    path.write_bytes(make_object(size=256))
    tls = ["+tls", str(certificates.folder / "friend.key"), str(certificates["friend"]), "+cf", str(certificates["ca"])]
    port_tls = server_context(certificates["server"], certificates.folder / "server.key", certificates["ca"])
    with hilum.open(tmp_path / "archive") as archive:
        (listener,) = bind("127.0.0.1", 0)
        services = Services({"find": FindService(archive, "HILUM")})
        incoming = Incoming(tmp_path / "archive" / "incoming")
        server = DimseServer(
            DimseSettings(), listener, StoreHandler(archive), incoming, services=services, tls=port_tls, stock=True
        )
        server.start()
        try:
            where = ["127.0.0.1", str(server.port)]
            store = [program("storescu"), *tls, *where, str(path)]
            assert subprocess.run(store, capture_output=True, timeout=60, check=False).returncode == 0
            assert len(archive.instances()) == 1
            good = Remote("127.0.0.1", server.port, calling="FRIEND", tls=certificates.context("friend"))
            assert len(list(client.find(good, "study", {"StudyInstanceUID": ""}))) == 1
            for stranger in (client_context(certificates["ca"]), certificates.context("stranger"), None):
                with pytest.raises(HilumError):
                    client.echo(Remote("127.0.0.1", server.port, calling="FRIEND", tls=stranger))
            assert client.echo(good) < 5
        finally:
            server.stop(1.0)


def test_p47_frozen_handshakes_do_not_delay_others(start: Any, tmp_path: Path, certificates: Certificates) -> None:
    server = start(tmp_path / "archive", "--workers", "1", **certificates.environment())
    frozen = [socket.create_connection(("127.0.0.1", server.dicom_port)) for _ in range(100)]
    try:
        for peer in frozen[::2]:
            peer.sendall(bytes((22, 3, 1, 2, 0)))
        good = Remote("127.0.0.1", server.dicom_port, tls=certificates.context("friend"))
        started = time.monotonic()
        client.echo(good)
        assert time.monotonic() - started < 5
    finally:
        for peer in frozen:
            peer.close()


def test_move_to_a_peer_with_tls(start: Any, tmp_path: Path, certificates: Certificates) -> None:
    with hilum.open(tmp_path / "one") as archive:
        archive.store_many([make_object(instance=n, patient="TLS") for n in range(3)])
    other = start(tmp_path / "two", "--workers", "1", "--aet", "TWO", **certificates.environment())
    peers = f"TWO 127.0.0.1:{other.dicom_port} tls"
    server = start(tmp_path / "one", "--workers", "1", **certificates.environment(HILUM__DIMSE__PEERS=peers))
    remote = Remote("127.0.0.1", server.dicom_port, tls=certificates.context("friend"))
    counts = client.move(remote, "TWO", "patient", {"PatientID": "TLS"}, root="patient")
    assert (counts.status, counts.completed) == (0, 3)


def test_p37_one_ae_cannot_take_all_associations(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__DIMSE__MAX_ASSOCIATIONS_PER_AE="2")
    contexts = [build_context(VERIFICATION)]

    def call(title: str) -> Any:
        return AE(ae_title=title).associate("127.0.0.1", server.dicom_port, contexts)

    greedy = [call("GREEDY") for _ in range(2)]
    assert [assoc.is_established for assoc in greedy] == [True, True]
    assert answer_to("GREEDY", server.dicom_port, contexts) == "2 3 2"
    other = call("OTHER")
    assert other.send_c_echo().Status == 0
    for assoc in (*greedy, other):
        assoc.release()
    assert refusals(server)[0]["reason"] == "too many associations at once"


def test_rules_for_peers_and_why_not(start: Any, tmp_path: Path) -> None:
    peers = (
        "STORER 127.0.0.1 services=echo,store",
        "READER 127.0.0.1 services=echo,find",
        "ELSEWHERE 192.0.2.9 check-address",
        "HERE 127.0.0.1 check-address",
    )
    root = tmp_path / "archive"
    config = tmp_path / "hilum.toml"
    config.write_text(f"[dimse]\nknown_peers_only = true\npeers = [{', '.join(repr(p) for p in peers)}]\n")
    server = start(root, "--workers", "1", "--config", str(config))
    ds = pydicom.dcmread(io.BytesIO(make_object()))
    contexts = [build_context(ds.SOPClassUID, "1.2.840.10008.1.2.1"), build_context(STUDY_FIND)]

    def tried(title: str) -> tuple[int, int]:
        assoc = AE(ae_title=title).associate("127.0.0.1", server.dicom_port, contexts)
        assert assoc.is_established
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = ""
        try:
            stored = assoc.send_c_store(ds).Status
            return stored, list(assoc.send_c_find(identifier, STUDY_FIND))[-1][0].Status
        finally:
            assoc.release()

    assert tried("STORER") == (0x0000, 0xA700)
    assert tried("READER") == (0x0124, 0x0000)
    assert tried("HERE") == (0x0000, 0x0000)
    assert answer_to("ELSEWHERE", server.dicom_port, contexts) == "1 1 3"
    assert answer_to("NOBODY", server.dicom_port, contexts) == "1 1 3"
    found = {(item["peer"], item["service"]): item["reason"] for item in refusals(server)}
    assert found.keys() == {
        ("STORER", "find"),
        ("READER", "store"),
        ("ELSEWHERE", "associate"),
        ("NOBODY", "associate"),
    }
    assert "another address" in found["ELSEWHERE", "associate"]
    command = [sys.executable, "-c", "from hilum.cli.main import main; main()", "refusals", "NOBODY"]
    shown = subprocess.run([*command, "--archive", str(root)], capture_output=True, text=True, timeout=60, check=True)
    assert "NOBODY at 127.0.0.1  associate: the calling AE title is not in dimse.peers" in shown.stdout
    figures = httpx.get(f"{server.url}/metrics").text
    assert 'hilum_dimse_refusals_total{peer="ELSEWHERE",service="associate"} 1.0' in figures
    assert 'hilum_dimse_refusals_total{peer="",service="associate"} 1.0' in figures
    assert 'hilum_dimse_refusals_total{peer="READER",service="store"} 1.0' in figures


@pytest.mark.parametrize(
    "environment",
    [
        {"HILUM__DIMSE__PEERS": "X"},
        {"HILUM__DIMSE__TLS_CERTIFICATE": "/nowhere.pem"},
        {"HILUM__DIMSE__TLS_CERTIFICATE": "/nowhere.pem", "HILUM__DIMSE__TLS_KEY": "/nowhere.key"},
        {"HILUM__DIMSE__TLS_BIND_TITLES": "true"},
    ],
)
def test_mistakes_in_settings_are_told_at_once(tmp_path: Path, environment: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-c",
        "from hilum.cli.main import main; main()",
        "serve",
        "--archive",
        str(tmp_path / "a"),
    ]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "dimse." in done.stderr or "nowhere" in done.stderr
