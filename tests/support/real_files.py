"""Where the real DICOM files are that tests and benchmarks may read."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
ABSENT = "no real DICOM files: set HILUM_TEST_DATA to a folder with MANIFEST.csv"


def find_shared_data() -> Path | None:
    """Folder with MANIFEST.csv: ``HILUM_TEST_DATA``, else ``../shared/data`` or ``../../shared/data``."""
    named = os.environ.get("HILUM_TEST_DATA")
    places = [Path(named)] if named else [parent / "shared" / "data" for parent in REPOSITORY.parents[:2]]
    return next((place for place in places if (place / "MANIFEST.csv").is_file()), None)


def extract(name: str, data: Path, target: Path) -> None:
    """Unpack one of the archives of the real files; Python before 3.11.4 has no filters, and these are trusted."""
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(data / "archives" / f"{name}.tar.xz") as tar:
        tar.extractall(target, **safely)  # type: ignore[arg-type]
