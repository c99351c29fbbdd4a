"""``hilum serve`` as a program: exposure, signals, workers that die, archives that cannot be opened."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from hilum.config import DimseSettings, HttpSettings, Settings
from hilum.errors import UsageError
from hilum.server import check_exposure

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("live_server")


def serve(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hilum.cli.main", "serve", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "pacs.example"])
def test_p45_other_addresses_need_tls_and_token_or_the_flag(host: str, tmp_path: Path) -> None:
    answer = serve("--archive", str(tmp_path / "a"), "--host", host)
    assert answer.returncode == 2
    assert "--insecure" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("http", "dimse", "allowed"),
    [
        (HttpSettings(), DimseSettings(), True),
        (HttpSettings(host="localhost"), DimseSettings(host="::1"), True),
        (HttpSettings(host="127.0.0.2"), DimseSettings(), True),
        (HttpSettings(host="0.0.0.0", token="t"), DimseSettings(), False),
        (HttpSettings(), DimseSettings(host="0.0.0.0"), False),
        (HttpSettings(), DimseSettings(host="0.0.0.0", enabled=False), True),
        (HttpSettings(host="0.0.0.0", insecure=True), DimseSettings(host="0.0.0.0"), True),
    ],
)
def test_p45_exposure_table(http: HttpSettings, dimse: DimseSettings, allowed: bool) -> None:
    settings = Settings(http=http, dimse=dimse)
    if allowed:
        check_exposure(settings)
    else:
        with pytest.raises(UsageError):
            check_exposure(settings)


def test_address_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = serve("--archive", str(tmp_path / "a"), "--port", str(other.getsockname()[1]), "--no-dicom")
    assert answer.returncode != 0
    assert "cannot listen on 127.0.0.1" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_archive_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "hilum.json").write_text('{"format": 999, "uuid": "00000000-0000-0000-0000-000000000000"}')
    answer = serve("--archive", str(tmp_path), "--port", "0", "--dicom-port", "0")
    assert answer.returncode != 0
    assert "format" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_sigterm_drains_and_ends_at_once_when_idle(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "2")
    children = psutil.Process(server.process.pid).children()
    assert len(children) == 3
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == "ready\n"
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(12) == 0
    assert time.monotonic() - started < 10
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_worker_that_dies_is_started_again(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1")
    time.sleep(5.1)  # later than what counts as a failed start
    before = {child.pid for child in psutil.Process(server.process.pid).children()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200:
                break
        except httpx.HTTPError:
            time.sleep(0.2)
    after = {child.pid for child in psutil.Process(server.process.pid).children()}
    assert len(after) == len(before)
    assert not before & after


def test_workers_end_when_the_supervisor_is_killed(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1")
    children = psutil.Process(server.process.pid).children()
    server.process.kill()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive


def test_token_is_asked_of_every_request(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__HTTP__TOKEN="secret-token")
    with httpx.Client(base_url=server.url) as client:
        for path in ("/", "/dicom-web/studies", "/api/version", "/metrics", "/wado", "/api/docs"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
        good = {"Authorization": "Bearer secret-token"}
        assert client.get("/dicom-web/studies", headers=good).status_code == 204
        assert client.get("/dicom-web/studies", auth=("anyone", "secret-token")).status_code == 204
        assert client.get("/healthz").status_code == 200
        preflight = {"Origin": "http://a", "Access-Control-Request-Method": "GET"}
        assert client.options("/dicom-web/studies", headers=preflight).status_code == 204


def test_cors_for_named_origins_only(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__HTTP__CORS_ORIGINS="https://viewer.example")
    with httpx.Client(base_url=server.url) as client:
        named = client.get("/dicom-web/studies", headers={"Origin": "https://viewer.example"})
        assert named.headers["access-control-allow-origin"] == "https://viewer.example"
        assert named.headers["vary"] == "Origin"
        other = client.get("/dicom-web/studies", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
