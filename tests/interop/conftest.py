"""Fixtures of the viewer's tests: a server with the demo studies and a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pydicom
import pytest
from tests.support.chromium import Chromium, Page, browser, find_browser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEMO = Path(__file__).parent.parent / "data" / "demo"
COMMAND = [sys.executable, "-c", "from hilum.cli.main import main; main()"]
SHOTS = os.environ.get("HILUM_VIEWER_SHOTS", "")
PAYLOAD = "<script>alert(1)</script>"
PAYLOADS = {
    "PatientName": f"{PAYLOAD}^</b><img src onerror/alert(2)>",
    "PatientID": "'\"><svg onload=alert(3)>",
    "AccessionNumber": "<svg onload=al(4)>",
    "StudyDescription": "javascript:alert(5)//<iframe srcdoc='<script>alert(5)</script>'>",
    "SeriesDescription": "{{7*7}}${alert(6)}<details open ontoggle=alert(6)>",
    "InstitutionName": "<body onload=alert(7)>",
    "ReferringPhysicianName": "<math><a xlink:href=javascript:alert(8)>x",
    "ProtocolName": "<input autofocus onfocus=alert(9)>",
    "BodyPartExamined": "<B ONCLICK=A()>",
    "Manufacturer": "</style><script>alert(10)</script>",
}


@dataclass(frozen=True)
class Site:
    """A running server."""

    url: str

    def studies(self, **keys: str) -> list[str]:
        """UIDs of the studies that match."""
        answer = httpx.get(f"{self.url}dicom-web/studies", params=keys, headers={"Accept": "application/dicom+json"})
        found = answer.json() if answer.status_code == 200 else []
        return [study["0020000D"]["Value"][0] for study in found]

    def study(self, patient_id: str, **keys: str) -> str:
        """Address of the viewer for the study of a patient of the demo."""
        (uid,) = self.studies(PatientID=patient_id, **keys)
        return f"{self.url}#/study/{uid}"


def hostile_object(folder: Path) -> Path:
    """A real MR whose texts are attempts to run script (P53)."""
    dataset = pydicom.dcmread(DEMO / "mr-shoulder.dcm")
    dataset.add(pydicom.DataElement(0x00324000, "LT", "<img src=x onerror=alert(1)>"))
    with warnings.catch_warnings(action="ignore"):
        for keyword, value in PAYLOADS.items():
            setattr(dataset, keyword, value)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, f"{dataset[keyword].value[:50]}.53")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = folder / "hostile.dcm"
    with warnings.catch_warnings(action="ignore"):
        dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """``hilum serve`` on the demo studies and a hostile one; ``HILUM_VIEWER_URL`` names a server that already runs."""
    running = os.environ.get("HILUM_VIEWER_URL")
    if running:
        yield Site(running)
        return
    folder = tmp_path_factory.mktemp("viewer")
    with served(folder, [DEMO, hostile_object(folder)]) as started:
        yield started


@contextmanager
def served(folder: Path, objects: Sequence[Path]) -> Iterator[Site]:
    """``hilum serve`` on an archive of these objects below the folder."""
    archive = ["--archive", str(folder / "archive")]
    subprocess.run([*COMMAND, "import", *archive, *map(str, objects)], check=True, capture_output=True, timeout=120)
    serve = [*COMMAND, "serve", *archive, "--port", "0", "--no-dicom", "--workers", "1"]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log) as server,
    ):
        try:
            yield Site(_address(server))
        finally:
            server.terminate()


def _address(server: subprocess.Popen[bytes]) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        match = re.search(rb"http://[\d.]+:(\d+)", line)
        if match:
            return f"http://127.0.0.1:{int(match[1])}/"
    raise AssertionError("the server ended without naming its address")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests."""
    executable = find_browser()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    with browser(executable) as process:
        yield process


def checked(page: Page, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Hand out a tab; afterwards nothing may have gone wrong in it or left for another host."""
    yield page
    if SHOTS:
        page.screenshot(Path(SHOTS) / f"{request.node.name}.png")
    foreign = [url for url in page.requests if not url.startswith((site.url, "blob:", "data:", "about:"))]
    errors = [error for error in page.errors if not any(word in error for word in page.expected_errors)]
    page.close()
    assert foreign == []
    assert errors == []
    assert page.dialogs == []


@pytest.fixture
def desktop(chromium: Chromium, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab of 1400 x 900."""
    yield from checked(chromium.page(1400, 900), site, request)


@pytest.fixture
def phone(chromium: Chromium, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab like a phone of 390 x 844."""
    yield from checked(chromium.page(390, 844, scale=2, phone=True), site, request)
