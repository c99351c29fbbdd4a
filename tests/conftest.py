"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def find_shared_data() -> Path | None:
    """Folder of real DICOM files: ``HILUM_TEST_DATA``, else ``../shared/data`` beside the repository."""
    named = os.environ.get("HILUM_TEST_DATA")
    if named:
        return Path(named)
    for base in (REPOSITORY.parent, REPOSITORY.parent.parent):
        if (base / "shared" / "data" / "MANIFEST.csv").is_file():
            return base / "shared" / "data"
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Skip where the real files are not beside the repository."""
    found = find_shared_data()
    if found is None or not (found / "MANIFEST.csv").is_file():
        pytest.skip("no real DICOM files: set HILUM_TEST_DATA to a folder with MANIFEST.csv")
    return found


@pytest.fixture(scope="session")
def manifest(shared_data: Path) -> list[dict[str, str]]:
    """Rows of MANIFEST.csv for files that are not inside an archive, each with ``file`` set to its full path."""
    with (shared_data / "MANIFEST.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "!" not in row["path"]]
    return [{**row, "file": str(shared_data / row["path"])} for row in rows]
