"""The demo studies are what their attribution says: same bytes, open licences, small."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "data" / "demo"
LARGEST = 12_000_000
OPEN_LICENCES = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "PDDL-1.0"}
NOT_STUDIES = {"ATTRIBUTION.md", "SHA256SUMS"}


def attribution() -> dict[str, dict[str, str]]:
    rows = [line.strip("| \n").split(" | ") for line in (DEMO / "ATTRIBUTION.md").read_text().splitlines()]
    names = ("file", "what", "source", "source_path", "licence", "sha256")
    table = [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]
    return {row["file"]: row for row in table if len(row["sha256"]) == 64}


def members() -> dict[str, tuple[str, str]]:
    """Name ``archive!member`` to (sha256, path in the source)."""
    lines = (DEMO / "SHA256SUMS").read_text().splitlines()
    return {name: (digest, source) for digest, name, source in (line.split("  ") for line in lines)}


def studies() -> list[Path]:
    files = [path for path in sorted(DEMO.rglob("*")) if path.is_file()]
    return [path for path in files if path.name not in NOT_STUDIES and path.parent.name != "LICENSES"]


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= LARGEST


def test_every_file_has_a_row_and_every_row_a_file() -> None:
    assert {str(path.relative_to(DEMO)) for path in studies()} == set(attribution())


@pytest.mark.parametrize("name", sorted(attribution()))
def test_bytes_are_those_of_the_source(name: str) -> None:
    assert hashlib.sha256((DEMO / name).read_bytes()).hexdigest() == attribution()[name]["sha256"]


def test_licences_are_open_and_their_texts_are_here() -> None:
    licences = {row["licence"] for row in attribution().values()}
    assert licences <= OPEN_LICENCES
    for licence in licences:
        assert (DEMO / "LICENSES" / f"{licence}.txt").stat().st_size > 500


def test_members_of_archives_are_those_of_the_source() -> None:
    listed = members()
    found = {}
    for path in studies():
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    found[f"{path.name}!{name}"] = hashlib.sha256(archive.read(name)).hexdigest()
    assert found == {name: digest for name, (digest, _source) in listed.items()}


def test_files_are_identical_to_the_shared_ones(shared_data: Path) -> None:
    """Licence and hash agree with the manifest that the files were taken from."""
    with (shared_data / "MANIFEST.csv").open(newline="") as stream:
        by_source: dict[tuple[str, str], dict[str, str]] = {}
        for row in csv.DictReader(stream):
            by_source[row["source_path"], row["sha256"]] = row
    for name, row in attribution().items():
        if not name.endswith(".zip"):
            original = by_source[row["source_path"], row["sha256"]]
            assert (original["source"], original["licence"]) == (row["source"], row["licence"])
    for digest, source in members().values():
        assert by_source[source, digest]["licence"] in OPEN_LICENCES
