"""Views hold a mapping each, and nothing when they are gone: no descriptor, no mapping of a file that was deleted."""

from __future__ import annotations

import gc
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from tests.interop.services.conftest import start_server, stop_server
from volume_objects import make_stack, ramp

import hilum
from hilum.volumes.view import read_region

if TYPE_CHECKING:
    from hilum.volumes.view import VolumeView

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")


def mapped_shards(root: Path) -> list[str]:
    """Mappings of files of volumes, deleted ones too."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if f"{root}/volumes/" in line]


def test_views_let_go(tmp_path: Path) -> None:
    with hilum.open(tmp_path / "a") as archive:
        archive.store_many(make_stack(ramp((33, 33, 33)), (0, 0, 0), (0, 0, 1)))
        volume = archive.studies()[0].series[0].volume()
        view = volume.view()
        time.sleep(0.2)  # its syncing opens files
        before = psutil.Process().num_fds()
        for _ in range(30):
            np.testing.assert_array_equal(
                read_region(volume.view(), (1, 2, 3), (4, 5, 6)), ramp((33, 33, 33))[1:5, 2:7, 3:9]
            )
            archive.volumes.forget()
        assert len(mapped_shards(archive.root)) == 1
        archive.volumes.remove(volume.key)
        assert sys.getrefcount(view) == 2
        del view
        gc.collect()
        assert mapped_shards(archive.root) == []
        assert psutil.Process().num_fds() <= before


def test_a_view_needs_nothing_but_itself(tmp_path: Path) -> None:
    def only_the_view() -> VolumeView:
        with hilum.open(tmp_path / "a") as archive:
            archive.store_many(make_stack(ramp((5, 6, 7)), (0, 0, 0), (0, 0, 1)))
            return archive.studies()[0].series[0].volume().view()

    view = only_the_view()
    gc.collect()
    np.testing.assert_array_equal(read_region(view, (0, 0, 0), (5, 6, 7)), ramp((5, 6, 7)))


def test_clients_that_go_away_leave_no_files_open(tmp_path: Path) -> None:
    with hilum.open(tmp_path / "a") as archive:
        archive.store_many(make_stack(ramp((64, 256, 256)), (0, 0, 0), (0, 0, 1)))
        series = archive.studies()[0].series[0]
        path = f"/zarr/studies/{series.study_instance_uid}/series/{series.series_instance_uid}/volume/0/c/0/0/0"
    server = start_server(tmp_path / "a", "--workers", "1")
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", server.port), 30) as client:
                client.sendall(request)
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
        children = psutil.Process(server.process.pid).children(recursive=True)
        deadline = time.monotonic() + 20
        while any(".zarr/" in f.path for child in children for f in child.open_files()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        assert stop_server(server) == 0
