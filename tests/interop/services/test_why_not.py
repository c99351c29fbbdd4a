"""Why not: each way to be refused is told to the administrator with its reason (ADM-9)."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from objects import CT, make_object
from programs import program
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role

import hilum

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("live_server")
VERIFICATION = "1.2.840.10008.1.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def server(serve_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("why") / "archive"
    with hilum.open(root) as archive:
        archive.store_many([make_object(instance=n, patient="WHY") for n in range(2)])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but it does not listen
        yield serve_module(
            root,
            "--workers",
            "1",
            HILUM__DIMSE__PEERS=f"NOBODY 127.0.0.1:{nobody.getsockname()[1]}",
            HILUM__DIMSE__MOVE_RETRIES="0",
            HILUM__DIMSE__IDLE_SECONDS="1",
        )


def why(server: Any, peer: str) -> dict[str, str]:
    """Reasons by service."""
    for _ in range(100):
        found = httpx.get(f"{server.url}/api/dicom/refusals", params={"peer": peer}).json()
        if found:
            return {item["service"]: item["reason"] for item in reversed(found)}
        time.sleep(0.05)
    raise AssertionError("nothing was told")


def named(level: str, **keys: str) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(ds, keyword, value)
    return ds


def study(server: Any) -> str:
    with hilum.open(server.root, read_only=True) as archive:
        return archive.studies()[0].study_instance_uid


def test_a_query_without_level(server: Any) -> None:
    assoc = AE(ae_title="W1").associate("127.0.0.1", server.dicom_port, [build_context(STUDY_FIND)])
    assert next(assoc.send_c_find(named(""), STUDY_FIND))[0].Status == 0xA900
    assoc.release()
    assert why(server, "W1") == {"find": "Query/Retrieve Level is missing (status A900)"}


@pytest.mark.parametrize(
    ("title", "destination", "reason"),
    [
        ("W2", "NOWHERE", "the move destination is not known (status A801)"),
        ("W3", "NOBODY", "Connection refused (status A702)"),
    ],
)
def test_a_move(server: Any, title: str, destination: str, reason: str) -> None:
    assoc = AE(ae_title=title).associate("127.0.0.1", server.dicom_port, [build_context(STUDY_MOVE)])
    list(assoc.send_c_move(named("STUDY", StudyInstanceUID=study(server)), destination, STUDY_MOVE))
    assoc.release()
    assert why(server, title)["move"].endswith(reason)


@pytest.mark.parametrize(
    ("title", "contexts", "reason"),
    [
        ("W4", [], "the receiver takes no objects of this SOP class (status A702)"),
        (
            "W5",
            [build_context(CT, "1.2.840.10008.1.2.4.50")],
            "an object cannot be given in any transfer syntax that the receiver takes (status A702)",
        ),
    ],
)
def test_a_get(server: Any, title: str, contexts: list[Any], reason: str) -> None:
    roles = [build_role(CT, scp_role=True)] if contexts else []
    assoc = AE(ae_title=title).associate(
        "127.0.0.1", server.dicom_port, [build_context(STUDY_GET), *contexts], ext_neg=roles
    )
    list(assoc.send_c_get(named("STUDY", StudyInstanceUID=study(server)), STUDY_GET))
    assoc.release()
    assert why(server, title) == {"get": reason}


def test_a_class_that_is_not_offered(server: Any) -> None:
    contexts = [build_context(WORKLIST), build_context(VERIFICATION)]
    assoc = AE(ae_title="W6").associate("127.0.0.1", server.dicom_port, contexts)
    assert [cx.abstract_syntax for cx in assoc.rejected_contexts] == [WORKLIST]
    assoc.release()
    assert why(server, "W6")["associate"].endswith(f"SOP class {WORKLIST}")


def test_an_association_that_is_idle(server: Any) -> None:
    assoc = AE(ae_title="W7").associate("127.0.0.1", server.dicom_port, [build_context(VERIFICATION)])
    assert "dimse.idle_seconds" in why(server, "W7")["associate"]
    assoc.abort()


def test_what_is_no_dimse_message(server: Any) -> None:
    assoc = AE(ae_title="W8").associate("127.0.0.1", server.dicom_port, [build_context(VERIFICATION)])
    assoc.dul.socket.socket.sendall(b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x63\x03")
    assert why(server, "W8")["associate"].startswith("aborted: ")
    assoc.abort()


def test_what_is_no_association_request(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.dicom_port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        peer.settimeout(10)
        assert peer.recv(100)[:1] == b"\x07"
    for _ in range(100):
        found = httpx.get(f"{server.url}/api/dicom/refusals", params={"peer": "127.0.0.1"}).json()
        if any(item["reason"] == "what came is no association request" for item in found):
            return
        time.sleep(0.05)
    raise AssertionError(found)


def test_dcmtk_needs_no_explanation(server: Any) -> None:
    """What is served leaves nothing behind."""
    command = [program("echoscu"), "-aet", "W9", "127.0.0.1", str(server.dicom_port)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    time.sleep(0.3)
    assert httpx.get(f"{server.url}/api/dicom/refusals", params={"peer": "W9"}).json() == []
