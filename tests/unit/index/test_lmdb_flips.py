"""One flipped bit anywhere in the index file is found by the check, or changes nothing (P9). No crash either way."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from hilum.index.base import REPLACES
from hilum.index.check import check_structure
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import make_entry, synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path

FLIPS = int(os.environ.get("HILUM_FLIPS", "240"))

CHILD = r"""
import random, shutil, sys
from pathlib import Path
from hilum.errors import HilumError
from hilum.index.check import check_structure
from hilum.index.environment import DATABASES
from hilum.index.lmdb_index import LmdbIndex

def dump(index):
    with index._env.read() as txn:
        return {name: list(txn.new_cursor(name).iternext()) for name in DATABASES}

good, work, first, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
data = bytearray((good / "data.mdb").read_bytes())
index = LmdbIndex(good, read_only=True)
whole = dump(index)
index.close()
for number in range(first, last):
    print("begin", number, flush=True)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    place = random.Random(number).randrange(len(data) * 8)
    data[place // 8] ^= 1 << place % 8
    (work / "data.mdb").write_bytes(data)
    data[place // 8] ^= 1 << place % 8
    try:
        found = check_structure(work)
        if not found:
            index = LmdbIndex(work)
            try:
                found = index.verify()
                if not found and dump(index) != whole:
                    found = None
            finally:
                index.close()
    except HilumError as error:
        found = [str(error)]
    print("end", number, "silent" if found is None else "found" if found else "same", flush=True)
"""


def make(path: Path) -> None:
    index = LmdbIndex(path, map_bytes=1 << 20)
    index.apply(list(synthetic_entries(40, series=2, instances=3)), packs={1: 9})
    index.apply([
        make_entry("1.1", "1.1.1", "1.1.1.1", content=b"a", received_ns=1),
        make_entry("1.1", "1.1.1", "1.1.1.1", content=b"b", received_ns=2, flags=REPLACES),
    ])  # fmt: skip
    index.remove("instance", index.instances("1.1")[0].sop_instance_uid, received_ns=0)
    assert index.verify() == []
    index.close()


def test_flipped_bits_are_found_or_change_nothing(tmp_path: Path) -> None:
    make(tmp_path / "good")
    assert check_structure(tmp_path / "good") == []
    outcomes: dict[int, str] = {}
    number = 0
    while number < FLIPS:
        child = subprocess.run(
            [sys.executable, "-c", CHILD, tmp_path / "good", tmp_path / "work", str(number), str(FLIPS)],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        lines = [line.split() for line in child.stdout.splitlines()]
        outcomes.update({int(line[1]): line[2] for line in lines if line[0] == "end"})
        begun = max((int(line[1]) for line in lines if line[0] == "begin"), default=number)
        if child.returncode:
            assert child.returncode < 0, child.stderr[-2000:]
            outcomes[begun] = "signal"
        number = begun + 1
    counts = {kind: list(outcomes.values()).count(kind) for kind in ("found", "same", "silent", "signal")}
    assert len(outcomes) == FLIPS
    assert counts["silent"] == 0, [n for n, kind in outcomes.items() if kind == "silent"]
    assert counts["signal"] == 0, [n for n, kind in outcomes.items() if kind == "signal"]
    assert counts["found"] > FLIPS // 5, counts


def test_a_damaged_record_is_refused_when_it_is_read(tmp_path: Path) -> None:
    import pytest

    from hilum.errors import DataError

    make(tmp_path / "index")
    path = tmp_path / "index" / "data.mdb"
    index = LmdbIndex(tmp_path / "index")
    study = str(index.search("study", parse_query("study", limit=1)).to_dicts()[0]["StudyInstanceUID"])
    digests = [record.sha256 for record in index.instances(study)]
    index.close()
    data = bytearray(path.read_bytes())
    for digest in digests:
        at = data.find(digest)
        while at >= 0:
            data[at] ^= 1
            at = data.find(digest, at + 1)
    path.write_bytes(data)
    index = LmdbIndex(tmp_path / "index")
    with pytest.raises(DataError, match="instance") as caught:
        index.instances(study)
    assert caught.value.code == 13
    assert any("instance" in finding for finding in index.verify())
    index.close()
