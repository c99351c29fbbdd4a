"""``hilum mesh``, and segments of objects in the archive."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measured_volumes import store_series
from objects import uid
from structure_sets import make_structure_set
from typer.testing import CliRunner

import hilum
from hilum.archive.measured import SurfaceTurn, find_segment
from hilum.cli.main import app
from hilum.errors import NotFound, Unavailable, UsageError

if TYPE_CHECKING:
    from pathlib import Path

SERIES = uid(2, 1, 1)


def square(z: float) -> list[tuple[float, float, float]]:
    return [(-6.0, 9.0, z), (0.0, 9.0, z), (0.0, 15.0, z), (-6.0, 15.0, z)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    voxels = np.full((12, 40, 40), 1024, np.uint16)
    voxels[3:9, 10:30, 8:28] = 1424
    folder = tmp_path / "archive"
    with hilum.open(folder) as archive:
        store_series(archive, voxels)
        structures = make_structure_set({7: [("CLOSED_PLANAR", square(30.0 + 2 * k)) for k in range(2, 7)]})
        structures.save_as(tmp_path / "rs.dcm", enforce_file_format=True)
        archive.store_file(tmp_path / "rs.dcm")
    return folder


def test_a_surface_is_written(root: Path, tmp_path: Path) -> None:
    stl = tmp_path / "a.stl"
    answer = CliRunner().invoke(
        app, ["mesh", SERIES, str(stl), "--archive", str(root), "--threshold", "200", "--faces", "200", "--json"]
    )
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["closed"] and told["volume_ml"] == pytest.approx(1.8, rel=0.05)
    assert struct.unpack("<I", stl.read_bytes()[80:84])[0] == told["triangles"] <= 200 < told["triangles_before"]
    for options in (["--threshold", "5000"], [], ["--threshold", "1", "--segment", "1.2,3"], ["--segment", "x"]):
        refused = CliRunner().invoke(app, ["mesh", SERIES, str(stl), "--archive", str(root), *options])
        assert isinstance(refused.exception, NotFound if len(options) > 2 or "5000" in options else UsageError)
    with pytest.raises(UsageError, match="ending"):
        CliRunner().invoke(app, ["mesh", SERIES, "a.ply", "--archive", str(root)], catch_exceptions=False)


def test_a_region_of_a_structure_set(root: Path, tmp_path: Path) -> None:
    with hilum.open(root, read_only=True) as archive:
        volume = archive.series_volume(uid(1, 1), SERIES)
        instance = next(i for i in archive.instances() if i.record.sop_class_uid.endswith("481.3"))
        mask = find_segment(archive, instance.sop_instance_uid, 7, volume.grid)
        found = volume.measure(mask)
        wanted = mask.on(volume.grid).voxels > 0
        assert found.count == np.count_nonzero(wanted) > 100
        assert found.mean == pytest.approx(volume.values()[wanted].mean())
        mesh = volume.mesh(segment=mask)
        assert mesh.is_closed and mesh.volume_ml == pytest.approx(6 * 6 * 10 / 1000, rel=0.15)
        with pytest.raises(NotFound):
            find_segment(archive, instance.sop_instance_uid, 8, volume.grid)
        with pytest.raises(NotFound):
            find_segment(archive, "1.2.3", 1, volume.grid)
        uid_of = instance.sop_instance_uid
    glb = tmp_path / "b.glb"
    answer = CliRunner().invoke(
        app, ["mesh", SERIES, str(glb), "--archive", str(root), "--segment", f"{uid_of},7", "--error", "0.2"]
    )
    assert answer.exit_code == 0, answer.output
    assert glb.read_bytes()[:4] == b"glTF"


def test_one_surface_at_a_time() -> None:
    turn = SurfaceTurn(wait_s=0.01)
    with turn(), pytest.raises(Unavailable), turn():
        pass
    full = SurfaceTurn(wait_s=60, waiting=0)
    with full(), pytest.raises(Unavailable, match="several"), full():
        pass
    for free in (turn, full):
        with free():
            pass
