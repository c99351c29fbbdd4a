"""Volume rendering of several volumes in one view, composited sample by sample (PS3.4 FF.2.1.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from hilum import _core
from hilum.errors import UsageError
from hilum.render.palettes import palette_table
from hilum.render.presets import TransferFunction
from hilum.render.renderer import clip_planes, coarse, enlarged
from hilum.volumes.view import affine_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum._core import VolumeView
    from hilum.render.geometry import Camera
    from hilum.render.presets import Shading
    from hilum.render.renderer import Renderer

__all__ = ["FusedVolume", "MaskCrop", "StreamWeights", "palette_transfer", "render_fused"]

_THINNED: Final = 11
"""Every so many entries of a palette are points: 1023 is a multiple of it."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskCrop:
    """What of a volume is there: what lies in voxels of a mask that are not 0, or all but that."""

    renderer: Renderer
    """Of uint8, in the frame of reference of the view."""
    excludes: bool = False

    def fields(self) -> tuple[VolumeView, npt.NDArray[np.float64], bool]:
        """Give what the engine wants."""
        return self.renderer.view, affine_of(self.renderer.view), self.excludes


@dataclass(frozen=True, slots=True, eq=False)
class FusedVolume:
    """A volume of a view, classified for itself. The same volume may be there several times."""

    renderer: Renderer
    transfer: TransferFunction
    shading: Shading | None = None
    clip: Sequence[Sequence[float]] = ()
    """As for `Renderer.project`."""
    crops: Sequence[MaskCrop] = ()
    stream: int = 0
    """Ascending from 0: volumes of one stream lie over each other, the last one on top ("B over A")."""
    matrix: npt.NDArray[np.float64] | None = None
    """4x4 from the frame of reference of the view to that of the volume, if that is another: LPS, mm, affine."""

    def fields(self) -> _core._FusedLayer:
        """Give what the engine wants."""
        view, light, of = self.renderer.view, self.shading, self.transfer
        affine = affine_of(view)
        if self.matrix is not None:
            affine = np.ascontiguousarray(np.linalg.solve(self.matrix, affine))
        tables = np.array(of.colours, np.float64), np.array(of.opacities, np.float64), of.unit
        shading = None if light is None else (light.ambient, light.diffuse, light.specular, light.power)
        crops = [crop.fields() for crop in self.crops]
        return view, affine, self.renderer.cells, tables, shading, clip_planes(self.clip), crops, self.stream


@dataclass(frozen=True, slots=True, eq=False)
class StreamWeights:
    """How a stream is composited with what was before it (PS3.4 FF.2.3.3.2): colours and opacities are summed."""

    first: npt.NDArray[np.float64]
    """Weights from 0 to 1 of what was before, by both opacities: half of the bits of the index each."""
    second: npt.NDArray[np.float64]
    """Of the stream."""

    def fields(self) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give what the engine wants."""
        first, second = (np.ascontiguousarray(table, np.float64) for table in (self.first, self.second))
        return (len(first).bit_length() - 1) // 2, first, second


def palette_transfer(
    palette: str, ends: tuple[float, float], factor: float = 1.0, opacity: float = 0.3
) -> TransferFunction:
    """Make a transfer function of a palette: what is low is nearly clear, as the opacity rises with the third power.

    Parameters
    ----------
    palette : str
        A name of `hilum.render.palettes.PALETTES`.
    ends : (low, high)
        Values that have the first and the last colour.
    factor : float
        From modality values to those, as to SUV.
    opacity : float
        Of 1 mm of the greatest values.

    Raises
    ------
    UsageError
        An unknown palette.
    """
    table = palette_table(palette)[::_THINNED]
    part = np.linspace(0.0, 1.0, len(table))
    values = ((ends[0] + part * (ends[1] - ends[0])) / factor).tolist()
    colours = (table[:, :3] / 255).tolist()
    opacities = (table[:, 3] * part**3 * opacity).clip(0, 1).tolist()
    return TransferFunction(
        tuple((value, r, g, b) for value, (r, g, b) in zip(values, colours, strict=True)),
        tuple(zip(values, opacities, strict=True)),
    )


def render_fused(
    volumes: Sequence[FusedVolume],
    camera: Camera,
    *,
    weights: Sequence[StreamWeights] = (),
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    quality: Literal["final", "interactive"] = "final",
    threads: int = 0,
    skip: bool = True,
) -> npt.NDArray[np.uint8]:
    """Render several volumes: at every sample of a ray each is classified and shaded, then they are composited.

    Parameters
    ----------
    volumes : sequence of FusedVolume
        At most 32.
    camera : Camera
        Opacities that streams are weighted by are of its step.
    weights : sequence of StreamWeights
        One less than there are streams.
    background, quality
        As for `Renderer.render`.
    threads, skip
        As for `Renderer`.

    Returns
    -------
    ndarray
        uint8 ``(rows, columns, 3)``, RGB.

    Raises
    ------
    UsageError
        Streams without weights, transfer functions that are none, numbers that cannot be.
    LimitExceeded
        Too many pixels or samples.
    """
    if quality not in ("final", "interactive"):
        raise UsageError("quality is final or interactive")
    seen = camera if quality == "final" else coarse(camera)
    out = np.empty((*seen.plane.shape, 3), np.uint8)
    _core.raycast_fused(
        [one.fields() for one in volumes], [one.fields() for one in weights], seen.fields(), seen.plane.shape,
        background=background, out=out, threads=threads, skip=skip,
    )  # fmt: skip
    return out if seen is camera else enlarged(out, camera.plane.shape)
