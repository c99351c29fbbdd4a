"""Whole pages lost, where LMDB alone would end the process: ``hilum verify`` says so and lives."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import hilum
from hilum.errors import DataError
from hilum.index.check import structural_damage
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096
CHILD = r"""
import sys
from pathlib import Path
from hilum.errors import HilumError
from hilum.index.check import structural_damage
from hilum.index.lmdb_index import LmdbIndex
folder = Path(sys.argv[1])
data = folder / "data.mdb"
whole = data.read_bytes()
for page in range(2, len(whole) // 4096):
    data.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
    found = structural_damage(folder)
    if not found:
        index = LmdbIndex(folder, read_only=True)
        found = index.verify()
        index.close()
    print(page, "damaged" if found else "sound", flush=True)
data.write_bytes(whole)
"""


def test_a_lost_page_is_reported_or_was_not_in_use(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index", map_bytes=1 << 20)
    for first in range(0, 60, 20):
        index.apply(list(synthetic_entries(20, first=first)))
    index.close()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "index"], capture_output=True, text=True, check=False, timeout=300
    )
    assert child.returncode == 0, child.stderr[-2000:]
    outcomes = dict(line.split() for line in child.stdout.splitlines())
    assert len(outcomes) == (tmp_path / "index" / "data.mdb").stat().st_size // PAGE - 2
    assert list(outcomes.values()).count("damaged") > 20


def test_verify_reports_a_lost_inner_page(tmp_path: Path) -> None:
    from hilum.archive.lifecycle import refuse_damaged_index

    root = tmp_path / "archive"
    with hilum.open(root):
        pass
    shutil.rmtree(root / "index")
    index = LmdbIndex(root / "index")
    index.apply(list(synthetic_entries(200)))
    pages = index._env.info()["last_pgno"] + 1
    index.close()
    refuse_damaged_index(root)
    data = root / "index" / "data.mdb"
    whole = data.read_bytes()
    branches = [n for n in range(2, pages) if whole[n * PAGE + 10] == 1]  # P_BRANCH of a page's flags
    data.write_bytes(whole[: branches[0] * PAGE] + bytes(PAGE) + whole[(branches[0] + 1) * PAGE :])
    assert structural_damage(root / "index")
    with pytest.raises(DataError, match="hilum index rebuild"):
        refuse_damaged_index(root)
    for command in (["verify"], ["index", "verify"]):
        done = subprocess.run(
            [sys.executable, "-m", "hilum.cli.main", *command, "--archive", root],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode > 0, "neither a signal nor success"
        assert "hilum index rebuild" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_sound_index_is_verified_while_others_write(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index", map_bytes=1 << 20)
    index.apply(list(synthetic_entries(50)))
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom pathlib import Path\nfrom hilum.index.lmdb_index import LmdbIndex\n"
            "from hilum.index.synthetic import synthetic_entries\nindex = LmdbIndex(Path(sys.argv[1]))\n"
            "for n in range(60, 360):\n    index.apply(list(synthetic_entries(1, first=n)))\nindex.close()",
            tmp_path / "index",
        ]
    )
    rounds = 0
    while writer.poll() is None:
        assert index.verify() == []
        assert structural_damage(tmp_path / "index") == []
        rounds += 1
    assert writer.returncode == 0
    assert rounds > 1
    index.close()
