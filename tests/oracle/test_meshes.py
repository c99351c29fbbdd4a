"""Surfaces and numbers of real series against VTK, SciPy, SimpleITK and trimesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from real_files import extract

import hilum
from hilum.volumes.mesh import Mesh, Surface, make_mesh
from hilum.volumes.regions import Box
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def volume(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Voxels, affine and rescale of a thorax."""
    root = tmp_path_factory.mktemp("thorax")
    extract("lidc_idri_0314_z20_119", shared_data, root / "files")
    with hilum.open(root / "archive") as archive:
        archive.import_paths([root / "files"])
        found = archive.studies()[0].series[0].volume()
        yield found


def flying_edges(voxels: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(voxels).ravel(), deep=1))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, threshold)
    edges.Update()
    found = edges.GetOutput()
    return vtk_to_numpy(found.GetPoints().GetData()), vtk_to_numpy(found.GetPolys().GetData()).reshape(-1, 4)[:, 1:]


def area_of(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices[triangles[:, n]].astype(float) for n in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_noise_has_the_triangles_of_flying_edges(seed: int, closed: bool) -> None:
    """Every configuration occurs: as many vertices and triangles means the same topology."""
    voxels = np.random.default_rng(seed).normal(0, 100, (35, 40, 66)).astype(np.float32)
    mesh = make_mesh(from_array(voxels), 7.5, Surface(closed=closed))
    vertices, triangles = flying_edges(np.pad(voxels, 1, constant_values=-1e6) if closed else voxels, 7.5)
    assert (len(mesh.vertices), len(mesh.triangles)) == (len(vertices), len(triangles))
    if not closed:
        order = [np.lexsort(np.round(points, 2).T) for points in (mesh.vertices, vertices)]
        assert np.abs(mesh.vertices[order[0]].mean(0) - vertices[order[1]].mean(0)).max() < 1e-3
        assert area_of(mesh.vertices, mesh.triangles) == pytest.approx(area_of(vertices, triangles), rel=0.02)


def test_bones_are_those_of_flying_edges(volume: hilum.Volume) -> None:
    mesh = volume.mesh(threshold=200, closed=False)
    vertices, triangles = flying_edges(volume.to_numpy(), 200 - volume.intercept)
    assert (len(mesh.vertices), len(mesh.triangles)) == (len(vertices), len(triangles))
    placed = vertices @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    assert area_of(mesh.vertices, mesh.triangles) == pytest.approx(area_of(placed, triangles), rel=1e-3)
    np.testing.assert_allclose(mesh.vertices.min(0), placed.min(0), atol=0.01)
    np.testing.assert_allclose(mesh.vertices.max(0), placed.max(0), atol=0.01)


def test_a_decimated_spine_stays_where_it_was(volume: hilum.Volume) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    centre = volume.affine @ [256, 300, 50, 1]
    part = Box((float(centre[0]), float(centre[1]), float(centre[2])), (120.0, 120.0, 60.0))
    whole = volume.mesh(threshold=200, region=part, largest=1)
    less = volume.mesh(threshold=200, region=part, largest=1, faces=len(whole.triangles) // 10)
    assert whole.is_closed and less.is_closed
    assert less.volume_ml == pytest.approx(whole.volume_ml, rel=0.02)
    euler = [len(m.vertices) - len(m.triangles) // 2 for m in (whole, less)]
    assert euler[0] == euler[1]
    near, _ = spatial.cKDTree(points_on(whole)).query(less.vertices)
    back, _ = spatial.cKDTree(points_on(less)).query(whole.vertices)
    assert np.quantile(near, 0.99) < 0.5 and near.max() < 2.0
    # Points on the large triangles of the decimated surface are about a millimetre apart: that adds to the distance.
    assert np.quantile(back, 0.99) < 1.5 and back.max() < 4.0


def points_on(mesh: Mesh) -> np.ndarray:
    """Vertices and points within triangles."""
    corners = mesh.vertices[mesh.triangles]
    weights = np.random.default_rng(1).dirichlet([1, 1, 1], 12)
    return np.concatenate([mesh.vertices, *(np.einsum("n,tnk->tk", w, corners) for w in weights)])


@pytest.mark.parametrize("form", ["stl", "obj", "glb"])
def test_trimesh_reads_the_files(volume: hilum.Volume, tmp_path: Path, form: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = volume.mesh(threshold=200, largest=1, faces=20000, level=1)
    mesh.save(tmp_path / f"a.{form}")
    read = trimesh.load(tmp_path / f"a.{form}", force="mesh")
    scale = 1e-3 if form == "glb" else 1.0
    assert read.is_watertight and read.is_winding_consistent
    assert read.volume == pytest.approx(mesh.volume_ml * 1000 * scale**3, rel=1e-3)
    assert read.area == pytest.approx(mesh.area_mm2 * scale**2, rel=1e-3)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    if form == "glb":
        low, high = np.array([low[0], low[2], -high[1]]), np.array([high[0], high[2], -low[1]])
    np.testing.assert_allclose(read.bounds, np.array([low, high]) * scale, atol=1e-3)


def test_numbers_are_those_of_simpleitk(volume: hilum.Volume) -> None:
    sitk = pytest.importorskip("SimpleITK")
    mask = volume.values() > 150
    image = sitk.GetImageFromArray(volume.values())
    measure = sitk.LabelStatisticsImageFilter()
    measure.Execute(image, sitk.GetImageFromArray(mask.astype(np.uint8)))
    found = volume.measure(mask)
    assert (found.count, found.minimum, found.maximum) == (
        measure.GetCount(1),
        measure.GetMinimum(1),
        measure.GetMaximum(1),
    )
    assert found.mean == pytest.approx(measure.GetMean(1), rel=1e-9)
    assert found.sd == pytest.approx(measure.GetSigma(1) * np.sqrt((found.count - 1) / found.count), rel=1e-6)
