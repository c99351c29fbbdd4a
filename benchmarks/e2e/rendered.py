"""Rendered volumes over HTTP: the first image of a cold series, then oblique planes and a turning 3D view.

    python benchmarks/e2e/rendered.py --work DIR [--planes 300] [--views 100]

A CT of 500 slices of 512x512 in JPEG lossless (1.2.840.10008.1.2.4.70) lies in packs. One client asks one request after
another, like a person who drags: each plane and each view is another one. Prints what the client waits, median and
slowest twentieth; the server's two workers have the same cores as the client.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import time
from pathlib import Path

import httpx
import servers
import workload
from compare import run_hilum

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def archive_of(work: Path) -> Path:
    """The series in JPEG lossless, imported."""
    root = work / "rendered-root"
    if not root.exists():
        plain, files = work / "rendered-plain", work / "series500-lossless"
        run_hilum("import", "--archive", str(plain), "--json", str(workload.series_folder(work)))
        run_hilum("export", "--archive", str(plain), "--transfer-syntax", JPEG_LOSSLESS, str(files))
        run_hilum("import", "--archive", str(root), "--json", str(files))
        shutil.rmtree(plain)
    return root


def series_of(client: httpx.Client) -> str:
    (found,) = client.get("/dicom-web/series", params={"Modality": "CT"}).json()
    study, series = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    return f"/dicom-web/studies/{study}/series/{series}"


def waited(client: httpx.Client, path: str, **params: str) -> float:
    """Milliseconds until the whole answer is there."""
    start = time.perf_counter()
    answer = client.get(path, params=params, headers={"Accept": "image/jpeg"})
    if answer.status_code != 200:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:200]}")
    return 1000 * (time.perf_counter() - start)


def look(angle: float, centre: list[float]) -> dict[str, str]:
    """A viewpoint on an inclined circle around the middle of the volume."""
    away = math.cos(angle) * 300, math.sin(angle) * 300, 120.0
    position = [c + a for c, a in zip(centre, away, strict=True)]
    return {
        "viewpointposition": ",".join(f"{v:.3f}" for v in position),
        "viewpointlookat": ",".join(f"{v:.3f}" for v in centre),
        "viewpointup": "0,0,1",
        "viewport": "512,512",
    }


def report(what: str, times: list[float]) -> None:
    times = sorted(times)
    slow = times[min(len(times) - 1, math.ceil(len(times) * 0.95) - 1)]
    print(f"{what:28s} median {statistics.median(times):7.1f} ms   p95 {slow:7.1f} ms   ({len(times)} requests)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--planes", type=int, default=300)
    parser.add_argument("--views", type=int, default=100)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    root = archive_of(options.work)
    for bricks in root.glob("volumes*"):  # what an earlier run has made
        shutil.rmtree(bricks)
    with servers.hilum(root, options.work) as server, httpx.Client(base_url=server.base, timeout=120) as client:
        series = series_of(client)
        report("first plane, cold", [waited(client, f"{series}/renderedmpr", orientation="a", viewport="512,512")])
        told = client.get(f"{series}/renderedmpr", params={"renderedvolumetricmetadata": "yes"}).json()
        centre = told["00701604"]["Value"]
        turns = [index * 2 * math.pi / 97 for index in range(max(options.planes, options.views))]
        for angle in turns[:10]:  # both workers map the bricks
            waited(client, f"{series}/renderedmpr", **look(angle + 1, centre))
            waited(client, f"{series}/rendered3d", **look(angle + 1, centre))
        planes = [waited(client, f"{series}/renderedmpr", **look(a, centre)) for a in turns[: options.planes]]
        report("oblique plane, 512x512", planes)
        views = [
            waited(client, f"{series}/rendered3d", interactive="yes", **look(a, centre)) for a in turns[: options.views]
        ]
        report("3D interactive, 512x512", views)
        final = [waited(client, f"{series}/rendered3d", **look(a, centre)) for a in turns[: options.views // 4]]
        report("3D final, 512x512", final)


if __name__ == "__main__":
    main()
