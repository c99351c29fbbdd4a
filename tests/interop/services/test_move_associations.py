"""C-MOVE on several associations to its destination, and to one that is not there at first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from objects import make_object
from programs import free_port
from pynetdicom import AE, evt
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.dimse import client
from hilum.dimse.client import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("move_associations_server")
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("parallel") / "archive"
    with hilum.open(root) as archive:
        archive.store_many([make_object(study=1, instance=i, patient="M1") for i in range(1, 25)])
    environment = {
        "HILUM__DIMSE__PEERS": f"DEST 127.0.0.1:{port}",
        "HILUM__DIMSE__MOVE_ASSOCIATIONS": "3",
        "HILUM__DIMSE__MOVE_RETRIES": "4",
    }
    running = start_server(root, "--workers", "1", environment=environment)
    yield running
    assert stop_server(running) == 0


class Destination:
    """A storage SCP that notes what came on which association."""

    def __init__(self, *, lose_first: bool = False) -> None:
        self.came: dict[str, int] = {}
        self.at_once = 0
        self._here: set[int] = set()
        self._lock = threading.Lock()
        self._lose = lose_first

    def store(self, event: Any) -> int:
        with self._lock:
            self._here.add(id(event.assoc))
            self.at_once = max(self.at_once, len(self._here))
            if self._lose:
                self._lose = False
                event.assoc.dul.socket.socket.close()
                return 0
            uid = str(event.request.AffectedSOPInstanceUID)
            self.came[uid] = self.came.get(uid, 0) + 1
        time.sleep(0.02)
        return 0

    def listen(self, port: int) -> Any:
        ae = AE(ae_title="DEST")
        ae.add_supported_context(CT, [EXPLICIT, "1.2.840.10008.1.2"])
        return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)])


def move(server: Any) -> client.Counts:
    with hilum.open(server.root, read_only=True) as archive:
        (study,) = archive.studies()
    remote = Remote("127.0.0.1", server.dicom_port, timeout_s=60)
    return client.move(remote, "DEST", "study", {"StudyInstanceUID": study.study_instance_uid})


def test_several_associations_send_each_instance_once(server: Any, port: int) -> None:
    destination = Destination()
    scp = destination.listen(port)
    try:
        counts = move(server)
    finally:
        scp.shutdown()
    assert (counts.status, counts.completed, counts.failed) == (0, 24, 0)
    assert destination.at_once == 3
    assert len(destination.came) == 24
    assert set(destination.came.values()) == {1}


def test_destination_that_comes_late(server: Any, port: int) -> None:
    destination = Destination()
    started: list[Any] = []
    timer = threading.Timer(1.5, lambda: started.append(destination.listen(port)))
    timer.start()
    try:
        counts = move(server)
    finally:
        timer.join()
        started[0].shutdown()
    assert (counts.status, counts.completed, counts.failed) == (0, 24, 0)


def test_association_that_is_lost_is_renewed(server: Any, port: int) -> None:
    destination = Destination(lose_first=True)
    scp = destination.listen(port)
    try:
        counts = move(server)
    finally:
        scp.shutdown()
    assert (counts.status, counts.completed, counts.failed) == (0, 24, 0)
    assert len(destination.came) == 24
