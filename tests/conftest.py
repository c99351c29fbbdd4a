"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from real_files import ABSENT, find_shared_data

if TYPE_CHECKING:
    from pathlib import Path

# How quickly examples are made, and run, says how busy the machine is.
settings.register_profile("hilum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hilum")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Skip where the real files are not beside the repository."""
    found = find_shared_data()
    if found is None:
        pytest.skip(ABSENT)
    return found


@pytest.fixture(scope="session")
def manifest(shared_data: Path) -> list[dict[str, str]]:
    """Rows of MANIFEST.csv for files that are not inside an archive, each with ``file`` set to its full path."""
    with (shared_data / "MANIFEST.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "!" not in row["path"]]
    return [{**row, "file": str(shared_data / row["path"])} for row in rows]
