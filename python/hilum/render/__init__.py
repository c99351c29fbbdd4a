"""Rendering of volumes: planes and slabs (MPR), curved planes, projections, volume rendering.

Everything is in patient coordinates: LPS, mm. The engine is ``core/render``; the same request gives the same bytes
however many threads there are, on every processor.
"""

from __future__ import annotations

from hilum.render.geometry import Camera, Plane, camera, plane
from hilum.render.presets import PRESETS, Preset, Shading, TransferFunction
from hilum.render.renderer import Renderer, Slice

__all__ = [
    "PRESETS",
    "Camera",
    "Plane",
    "Preset",
    "Renderer",
    "Shading",
    "Slice",
    "TransferFunction",
    "camera",
    "plane",
]
