"""Private memory of a process that renders a mapped CT of 3 000 slices: `python benchmarks/render_memory.py`.

Writes 1.6 GB of bricks to a temporary directory, cuts a plane, and renders volume and projection. Pages of the mapped
file belong to the page cache and are shared by all workers: what counts is RssAnon.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from hilum import _core
from hilum.render import PRESETS, Renderer, camera, plane
from hilum.volumes.view import map_shard

SLICES, EDGE = 3000, 512
BRICK = 32
LAYERS, ACROSS = -(-SLICES // BRICK), EDGE // BRICK


def write_shard(path: Path) -> None:
    """Bricks of a body with noise, the same layer again and again."""
    rng = np.random.default_rng(3)
    y, x = np.meshgrid(*[np.linspace(-1, 1, EDGE)] * 2, indexing="ij", sparse=True)
    body = np.where((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, 45, -1000) + np.where(x**2 + (y - 0.4) ** 2 < 0.02, 400, 0)
    layer = np.rint(body + rng.normal(0, 14, (BRICK, EDGE, EDGE))).astype("<i2")
    bricks = layer.reshape(BRICK, ACROSS, BRICK, ACROSS, BRICK).transpose(1, 3, 0, 2, 4).tobytes()
    size = 2 * BRICK**3
    count = LAYERS * ACROSS**2
    index = np.stack([np.arange(count, dtype="<u8") * size, np.full(count, size, "<u8")], axis=1).tobytes()
    with path.open("wb") as file:
        for _ in range(LAYERS):
            file.write(bricks)
        file.write(index + _core.crc32c(index).to_bytes(4, "little"))


def private_mebibytes() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bricks"
        write_shard(path)
        ranges = np.full((LAYERS, ACROSS, ACROSS, 2), (-1100, 600), np.float32)
        view = map_shard(path, (SLICES, EDGE, EDGE), "int16", ranges, affine=np.diag([0.7, 0.7, 0.3, 1]), fill=-1000)
        renderer = Renderer(view)
        eye = camera(view, (-0.57, 0.82, 0.0), shape=(512, 512), spacing=1.8, step=0.7)
        print(f"mapped           {private_mebibytes():6.0f} MiB")
        renderer.mpr(plane(view, (0.6, -0.4, 0.66), shape=(512, 512), spacing=1.5))
        print(f"oblique plane    {private_mebibytes():6.0f} MiB")
        renderer.render(eye, PRESETS["ct-bone"])
        print(f"volume rendering {private_mebibytes():6.0f} MiB")
        renderer.project(eye)
        print(f"MIP              {private_mebibytes():6.0f} MiB")


if __name__ == "__main__":
    main()
