"""Tiles by HTTP: `hilum serve` beside wsidicom and large_image behind Starlette and uvicorn, one worker each.

    python benchmarks/e2e/tiles.py --work DIR [--rounds 5] [--requests 200]

The slide has 4096x4096 pixels in JPEG tiles of 256x256 (4:2:2, noise). Every server has its default caches. Requests go
over one connection that is kept; what is counted is the processor time of the server process for each, and the median
time to the answer. Servers take turns in each round.

- first: tiles that are as they are stored, each asked for once. hilum sends them as they are, as `wsidicom-bytes` does;
  the others encode.
- stored: such tiles at random, most of them not for the first time.
- rendered: parts at no tile's corner, each asked for once. The first round fills the caches of decoded tiles.
- again: the same parts once more.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import servers
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

from slides import ROOT, halved, tissue, write_slide  # noqa: E402

import hilum  # noqa: E402

SIDE, TILE = 4096, 256
PEERS = ("wsidicom", "wsidicom-bytes", "large_image")


def prepare(work: Path) -> None:
    if (work / "archive").exists():
        return
    (work / "slide").mkdir(parents=True)
    noise = np.random.default_rng(1).integers(-12, 13, (SIDE, SIDE, 1))
    pixels = np.clip(tissue(SIDE, SIDE).astype(int) + noise, 0, 255).astype(np.uint8)
    for number in (1, 2, 3):
        write_slide(work / "slide" / f"{number}.dcm", pixels, number=number, tile=TILE, jpeg=True)
        pixels = halved(pixels)
    with hilum.open(work / "archive") as archive:
        archive.import_paths([work / "slide"])


def peer(name: str, work: Path) -> servers.Server:
    port = servers.free_port()
    command = [sys.executable, "-m", "uvicorn", "tile_peers:app", "--app-dir", str(HERE), "--port", str(port),
               "--no-access-log", "--log-level", "warning"]  # fmt: skip
    environment = ["env", f"PEER={name}", f"SLIDE={work / 'slide'}"]
    return servers.Server(name, environment + command, f"http://127.0.0.1:{port}", "", "/0,0,256", work / f"{name}.log")


def address(server: servers.Server, x: int, y: int) -> str:
    if server.name == "hilum":
        return f"/iiif/3/{ROOT}.1/{x},{y},{TILE},{TILE}/{TILE},{TILE}/0/default.jpg"
    return f"/{x},{y},{TILE}"


def processor_s(process: psutil.Process) -> float:
    """Of a process and its children, to the nanosecond."""
    processes = [process, *process.children(recursive=True)]
    files = [file for one in processes for file in Path(f"/proc/{one.pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def ask(server: servers.Server, places: list[tuple[int, int]]) -> tuple[float, float, bytes]:
    """Microseconds of the server's processor for a request, median microseconds to the answer, the last answer."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    connection = http.client.HTTPConnection(server.base.removeprefix("http://"), timeout=60)
    connection.connect()
    taken, body, before = [], b"", processor_s(process)
    for x, y in places:
        start = time.perf_counter()
        connection.request("GET", address(server, x, y))
        answer = connection.getresponse()
        body = answer.read()
        taken.append(time.perf_counter() - start)
        if answer.status != 200:
            raise SystemExit(f"{server.name}: {answer.status}")
    used = processor_s(process) - before
    connection.close()
    return used / len(places) * 1e6, statistics.median(taken) * 1e6, body


def places_of(what: str, count: int, number: int, rounds: int) -> list[tuple[int, int]]:
    last = SIDE // TILE - 1
    if what == "first":
        every = [(x * TILE, y * TILE) for x in range(last) for y in range(last)]
        random.Random(0).shuffle(every)
        return every[number::rounds]
    drawn = random.Random(2 * number + (what == "stored"))
    if what == "stored":
        return [(drawn.randrange(last) * TILE, drawn.randrange(last) * TILE) for _ in range(count)]
    return [(drawn.randrange(SIDE - TILE) // 2 * 2 + 1, drawn.randrange(SIDE - TILE)) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("HILUM_THREADS", "1")
    prepare(options.work)
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with contextlib.ExitStack() as running:
        started = [running.enter_context(servers.hilum(options.work / "archive", options.work, workers=1))]
        started += [running.enter_context(peer(name, options.work)) for name in PEERS]
        for number in range(options.rounds):
            for what in ("first", "stored", "rendered", "again"):
                places = places_of(what, options.requests, number, options.rounds)
                pictures = []
                for server in started:
                    if server.name == "wsidicom-bytes" and what not in ("first", "stored"):
                        continue
                    processor, taken, body = ask(server, places)
                    figures.setdefault((what, server.name), []).append((processor, taken))
                    pictures.append(np.asarray(Image.open(io.BytesIO(body))).astype(int))
                assert all(np.abs(picture - pictures[0]).mean() < 4 for picture in pictures)
    print("| what | server | µs of processor time | µs to the answer |\n|---|---|---:|---:|")
    for (what, name), values in figures.items():
        processor, taken = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"| {what} | {name} | {processor:,.0f} | {taken:,.0f} |")


if __name__ == "__main__":
    main()
