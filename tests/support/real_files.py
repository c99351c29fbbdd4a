"""Where the real DICOM files are that tests and benchmarks may read."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
ABSENT = "no real DICOM files: set HILUM_TEST_DATA to a folder with MANIFEST.csv"


def find_shared_data() -> Path | None:
    """Folder with MANIFEST.csv: ``HILUM_TEST_DATA``, else ``../shared/data`` or ``../../shared/data``."""
    named = os.environ.get("HILUM_TEST_DATA")
    places = [Path(named)] if named else [parent / "shared" / "data" for parent in REPOSITORY.parents[:2]]
    return next((place for place in places if (place / "MANIFEST.csv").is_file()), None)
