"""Starts hilum and Orthanc on loopback ports, empty or on a given archive, and stops only what it started."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"no answer from {url}")


@dataclass
class Server:
    """One running server; use as a context manager."""

    name: str
    command: list[str]
    base: str
    dicom_web: str
    ready: str
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self.base + self.ready, self.process)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def hilum(root: Path, work: Path, workers: int = 2) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "hilum.cli.main", "serve", "--archive", str(root), "--port", str(port),
               "--dicom-port", str(free_port()), "--workers", str(workers)]  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    return Server("hilum", command, base, "/dicom-web", "/readyz", work / "hilum.log")


def orthanc_binary() -> Path | None:
    """Debian's binary itself, or None."""
    listed = subprocess.run(["dpkg", "-L", "orthanc"], capture_output=True, text=True, check=False).stdout.split()
    found = [Path(line) for line in listed if line.endswith("bin/Orthanc")]
    named = shutil.which("Orthanc")
    return found[0] if found else Path(named) if named else None


def orthanc(work: Path) -> Server:
    binary = orthanc_binary()
    if binary is None:
        raise SystemExit("no Orthanc here: apt-get install orthanc orthanc-dicomweb orthanc-gdcm")
    plugins: list[str] = []
    for package, library in (("orthanc-dicomweb", "libOrthancDicomWeb.so"), ("orthanc-gdcm", "libOrthancGdcm.so")):
        files = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False).stdout.split()
        plugins += [name for name in files if name.endswith(library)]
    port = free_port()
    data = work / "orthanc"
    data.mkdir(parents=True, exist_ok=True)
    configuration = work / "orthanc.json"
    configuration.write_text(json.dumps({
        "StorageDirectory": str(data), "IndexDirectory": str(data), "HttpPort": port, "DicomPort": free_port(),
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": plugins,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, "Gdcm": {"Enable": True},
    }))  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    return Server("orthanc", [str(binary), str(configuration)], base, "/dicom-web", "/system", work / "orthanc.log")
