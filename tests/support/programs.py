"""Programs that are not ours, and ports for them."""

from __future__ import annotations

import shutil
import socket

import pytest

# Not the environment's: pynetdicom installs programs of DCMTK's names beside Python.
FOLDERS = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/opt/homebrew/bin"


def program(name: str) -> str:
    """Path of an installed program; without it the test is skipped."""
    found = shutil.which(name, path=FOLDERS)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
