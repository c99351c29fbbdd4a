"""Meshes as files: binary STL, Wavefront OBJ, binary glTF 2.0."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from hilum.volumes.mesh import Mesh

__all__ = ["FORMATS", "MEDIA_TYPES"]

_FACET: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_TO_GLTF: Final = (0.001, 0, 0, 0, 0, 0, -0.001, 0, 0, 0.001, 0, 0, 0, 0, 0, 1)
"""Column by column: left to X, superior to Y, anterior to Z; millimetres to metres."""
_FLOAT, _UINT32 = 5126, 5125
_VERTICES, _INDICES = 34962, 34963


def write_stl(mesh: Mesh) -> bytes:
    """Binary STL: LPS, mm; corners of a facet counter-clockwise seen from outside."""
    facets = np.zeros(len(mesh.triangles), _FACET)
    facets["corners"] = mesh.vertices[mesh.triangles]
    a, b, c = (facets["corners"][:, n].astype(np.float64) for n in range(3))
    normals = np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    facets["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    header = b"hilum; units=mm; coordinates=LPS".ljust(80)
    return header + struct.pack("<I", len(facets)) + facets.tobytes()


def write_obj(mesh: Mesh) -> bytes:
    """Wavefront OBJ: LPS, mm, with normals."""
    lines = [f"# hilum; units: mm; coordinates: LPS\no {_plain(mesh.name) or 'surface'}\n"]
    lines.append("v %.4f %.4f %.4f\n" * len(mesh.vertices) % tuple(mesh.vertices.ravel().tolist()))
    lines.append("vn %.3f %.3f %.3f\n" * len(mesh.normals) % tuple(mesh.normals.ravel().tolist()))
    corners = np.repeat(mesh.triangles.astype(np.int64).ravel() + 1, 2)
    lines.append("f %d//%d %d//%d %d//%d\n" * len(mesh.triangles) % tuple(corners.tolist()))
    return "".join(lines).encode()


def _plain(name: str) -> str:
    """A name on one line of printable ASCII."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)


def write_glb(mesh: Mesh) -> bytes:
    """Binary glTF 2.0: positions in mm and LPS; the matrix of the node makes metres of them, Y up (superior)."""
    if not len(mesh.triangles):  # accessors must not be empty
        return _container({"asset": _ASSET, "scene": 0, "scenes": [{"name": mesh.name or "surface"}]}, b"")
    parts = [np.ascontiguousarray(part) for part in (mesh.vertices, mesh.normals, mesh.triangles)]
    views, at = [], 0
    for part, target in zip(parts, (_VERTICES, _VERTICES, _INDICES), strict=True):
        views.append({"buffer": 0, "byteOffset": at, "byteLength": part.nbytes, "target": target})
        at += part.nbytes
    count = len(mesh.vertices)
    red, green, blue = (_linear(value) for value in mesh.colour)
    document = {
        "asset": _ASSET,
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {
                "name": mesh.name or "surface",
                "mesh": 0,
                "matrix": list(_TO_GLTF),
                "extras": {"coordinates": "LPS", "units": "mm"},
            }
        ],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0, "mode": 4}]}
        ],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [red, green, blue, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.6,
                }
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": _FLOAT, "count": count, "type": "VEC3", **_range(mesh.vertices)},
            {"bufferView": 1, "componentType": _FLOAT, "count": count, "type": "VEC3"},
            {"bufferView": 2, "componentType": _UINT32, "count": mesh.triangles.size, "type": "SCALAR"},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": at}],
    }
    return _container(document, b"".join(part.tobytes() for part in parts))


_ASSET: Final = {"version": "2.0", "generator": "hilum"}


def _range(vertices: npt.NDArray[np.float32]) -> dict[str, list[float]]:
    return {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}


def _linear(value: int) -> float:
    """An sRGB component as glTF wants colours: linear, 0 to 1."""
    part = value / 255
    return round(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4, 4)


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


FORMATS: Final[dict[str, Callable[[Mesh], bytes]]] = {"stl": write_stl, "obj": write_obj, "glb": write_glb}
"""How a mesh is written, by the ending of the file."""
MEDIA_TYPES: Final = {"stl": "model/stl", "obj": "model/obj", "glb": "model/gltf-binary"}
