"""Surfaces: closed, of the right size, and files that say what they hold."""

from __future__ import annotations

import json
import resource
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measured_volumes import store_series

import hilum
from hilum.errors import Conflict, LimitExceeded, Unavailable, UsageError
from hilum.volumes.masks import Mask, Segment
from hilum.volumes.mesh import Mesh, Surface, make_mesh
from hilum.volumes.regions import Box
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from pathlib import Path

AFFINE = np.array([[0, 0, 2.0, -40], [0.7, 0, 0, 10], [0, 1.1, 0, 5], [0, 0, 0, 1]])


def ball(radius: float = 18.0, affine: np.ndarray = AFFINE) -> np.ndarray:
    """Distance to the border of a ball in the middle, mm: positive inside."""
    k, j, i = np.indices((30, 50, 70))
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    centre = affine[:3, :3] @ [34.6, 24.4, 14.7] + affine[:3, 3]
    return np.asarray(radius - np.linalg.norm(points - centre, axis=-1), np.float32)


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize("faces", [0, 3000, 300])
def test_a_ball_is_closed_and_as_large_as_it_should_be(flip: float, faces: int) -> None:
    affine = AFFINE @ np.diag([1.0, flip, 1.0, 1.0])
    mesh = make_mesh(from_array(ball(affine=affine), affine=affine), 0.0, Surface(faces=faces))
    assert mesh.is_closed and len(mesh.vertices) - len(mesh.triangles) // 2 == 2
    assert faces == 0 or faces - 2 <= len(mesh.triangles) <= faces < mesh.triangles_before
    assert mesh.volume_ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.03 if faces == 300 else 0.005)
    assert mesh.area_mm2 == pytest.approx(4 * np.pi * 18**2, rel=0.02 if faces == 300 else 0.005)
    centre = affine[:3, :3] @ [34.6, 24.4, 14.7] + affine[:3, 3]
    outwards = (mesh.vertices - centre) / np.linalg.norm(mesh.vertices - centre, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", mesh.normals, outwards).min() > 0.9


def test_error_bounds_how_far_a_surface_moves() -> None:
    view = from_array(ball(), affine=AFFINE)
    counts = []
    for error in (0.01, 0.1, 0.5):
        mesh = make_mesh(view, 0.0, Surface(error=error))
        centre = AFFINE[:3, :3] @ [34.6, 24.4, 14.7] + AFFINE[:3, 3]
        assert np.abs(np.linalg.norm(mesh.vertices - centre, axis=1) - 18).max() < 0.05 + 4 * error
        counts.append(len(mesh.triangles))
    assert counts[0] > 2 * counts[1] > 4 * counts[2]


def test_below_region_and_open_border() -> None:
    view = from_array(ball(), affine=AFFINE)
    outside = make_mesh(view, 0.0, Surface(), below=True)
    whole = 30 * 50 * 70 * abs(np.linalg.det(AFFINE[:3, :3])) / 1000
    assert outside.is_closed
    assert outside.volume_ml == pytest.approx(whole - 4 / 3 * np.pi * 18**3 / 1000, rel=0.005)
    centre = AFFINE[:3, :3] @ [34.6, 24.4, 14.7] + AFFINE[:3, 3]
    half = Box((centre[0] + 50.0, *centre[1:].tolist()), (100.0, 100.0, 100.0))
    cut = make_mesh(view, 0.0, Surface(), region=half)
    assert cut.is_closed
    assert cut.volume_ml == pytest.approx(2 / 3 * np.pi * 18**3 / 1000, rel=0.06)
    hole = make_mesh(from_array(np.ones((4, 4, 4), np.uint8)), 0.5, Surface(closed=False))
    assert len(hole.triangles) == 0


def test_files_hold_the_mesh(tmp_path: Path) -> None:
    mesh = make_mesh(from_array(ball(), affine=AFFINE), 0.0, Surface(faces=500), name="left lung")
    mesh.save(tmp_path / "a.stl")
    stl = (tmp_path / "a.stl").read_bytes()
    assert not stl.startswith(b"solid") and len(stl) == 84 + 50 * len(mesh.triangles)
    facets = np.frombuffer(stl[84:], np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")]))
    np.testing.assert_array_equal(facets["v"], mesh.vertices[mesh.triangles])
    lines = mesh.to_bytes("obj").decode().splitlines()
    vertices = [list(map(float, line.split()[1:])) for line in lines if line.startswith("v ")]
    np.testing.assert_allclose(vertices, mesh.vertices, atol=1e-4)
    corners = [[int(c.split("//")[0]) - 1 for c in line.split()[1:]] for line in lines if line.startswith("f ")]
    np.testing.assert_array_equal(corners, mesh.triangles)
    glb = mesh.to_bytes("glb")
    magic, version, length, size, kind = struct.unpack("<4sIII4s", glb[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(glb), b"JSON")
    document = json.loads(glb[20 : 20 + size])
    matrix = np.array(document["nodes"][0]["matrix"]).reshape(4, 4).T
    # left, posterior, superior of patients: +X, -Z, +Y in metres
    np.testing.assert_allclose(matrix @ [1000, 2000, 3000, 1], [1, 3, -2, 1])
    assert document["nodes"][0]["name"] == "left lung"
    with pytest.raises(UsageError, match="stl, obj, glb"):
        mesh.save(tmp_path / "a.ply")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    mesh = make_mesh(from_array(ball(), affine=AFFINE), 0.0, Surface())
    target = tmp_path / "a.stl"
    target.write_bytes(b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(Unavailable, match=r"a\.stl: File too large"):
            mesh.save(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["a.stl"]
    assert target.read_bytes() == b"before"


def test_nothing_is_a_mesh_too() -> None:
    mesh = make_mesh(from_array(np.zeros((3, 3, 3), np.uint8)), 0.5, Surface(faces=10, smooth=2, largest=1))
    assert len(mesh.triangles) == 0 and mesh.is_closed and mesh.volume_ml == 0.0
    for form in ("stl", "obj", "glb"):
        assert mesh.to_bytes(form)


def test_a_volume_of_an_archive(tmp_path: Path) -> None:
    voxels = np.full((12, 40, 40), 1024, np.uint16)
    voxels[3:9, 10:30, 8:28] = 1424
    with hilum.open(tmp_path / "archive") as archive:
        volume = store_series(archive, voxels, oblique=True)
        mesh = volume.mesh(threshold=200)
        assert mesh.is_closed
        assert mesh.volume_ml == pytest.approx(6 * 20 * 20 * 2.0 * 0.5 * 0.75 / 1000, rel=0.02)
        centre = (volume.affine @ [17.5, 19.5, 5.5, 1])[:3]
        np.testing.assert_allclose((mesh.vertices.min(0) + mesh.vertices.max(0)) / 2, centre, atol=0.01)
        segment = Mask(
            Segment(3, "box", (9, 8, 7)), np.full((2, 6, 8), 200, np.uint8), volume.affine, "", 255, "OCCUPANCY"
        )
        part = volume.mesh(segment=segment, smooth=0)
        assert (part.name, part.colour, part.is_closed) == ("box", (9, 8, 7), True)
        flags = volume.mesh(segment=voxels > 1100, faces=200)
        assert flags.is_closed and len(flags.triangles) <= 200
        coarse = volume.mesh(threshold=200, level=1)
        assert coarse.volume_ml == pytest.approx(mesh.volume_ml, rel=0.15)
        with pytest.raises(UsageError, match="threshold or of a segment"):
            volume.mesh()
        with pytest.raises(UsageError, match="finite"):
            volume.mesh(threshold=float("nan"))
        with pytest.raises(UsageError, match="no level"):
            volume.mesh(threshold=1, level=9)
        other = Mask(segment.segment, segment.voxels, volume.affine, "1.2.3")
        with pytest.raises(Conflict):
            volume.mesh(segment=other)


def test_a_surface_of_too_many_vertices_is_refused() -> None:
    noise = (np.indices((200, 200, 200)).sum(0) % 2).astype(np.uint8)
    with pytest.raises(LimitExceeded, match="more than 16777216 vertices"):
        make_mesh(from_array(noise), 0.5, Surface())
    for wrong in ({"faces": -1}, {"error": float("nan")}, {"smooth": -1}):
        with pytest.raises(UsageError):
            Surface(**wrong)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded):
        Surface(smooth=100000)


def test_meshes_are_values() -> None:
    mesh = make_mesh(from_array(ball(), affine=AFFINE), 0.0, Surface())
    assert isinstance(mesh, Mesh) and repr(mesh).startswith("<hilum Mesh")
    with pytest.raises(ValueError, match="read-only"):
        mesh.vertices[0] = 0
