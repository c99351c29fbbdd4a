"""Folders of metrics: a killed server's is removed by the next one, those of living servers and others' files stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from hilum.web.samples import samples_folder

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import os, sys, time
from hilum.web.samples import samples_folder
with samples_folder() as folder:
    if sys.argv[1] == "fork" and os.fork():
        print(folder, flush=True)
        time.sleep(60)
    if sys.argv[1] == "fork":
        time.sleep(0.1)
        print(os.getpid(), flush=True)
    else:
        print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def start(temporary: Path, how: str = "alone") -> tuple[subprocess.Popen[str], str]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, how],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, server.stdout.readline().strip().rsplit("/", 1)[-1]


def end(server: subprocess.Popen[str]) -> None:
    with server:
        server.kill()


def test_the_folder_of_a_killed_server_is_removed_and_that_of_a_living_one_stays(temporary: Path) -> None:
    killed, dead = start(temporary)
    living, alive = start(temporary)
    end(killed)
    (temporary / dead / "counter_1.db").write_bytes(b"x")
    with samples_folder() as own:
        assert {path.name for path in temporary.iterdir()} == {alive, own.name}
    assert {path.name for path in temporary.iterdir()} == {alive}
    end(living)


def test_a_child_that_outlives_its_parent_keeps_the_folder(temporary: Path) -> None:
    parent, folder = start(temporary, "fork")
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    with samples_folder():
        assert (temporary / folder).is_dir()
    os.kill(child, signal.SIGKILL)
    parent.stdout.read()  # until the child has closed it
    parent.stdout.close()
    with samples_folder():
        assert not (temporary / folder).exists()


def test_what_is_not_known_to_be_a_dead_servers_stays(temporary: Path) -> None:
    (temporary / "hilum-metrics-unlocked").mkdir()
    (temporary / "hilum-metrics-file").write_bytes(b"")
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "locked").touch()
    (temporary / "hilum-metrics-link").symlink_to(elsewhere)
    before = {path.name for path in temporary.iterdir()}
    with samples_folder():
        pass
    assert {path.name for path in temporary.iterdir()} == before
    assert (elsewhere / "locked").exists()
