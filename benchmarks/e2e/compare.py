"""hilum beside its peers on one machine, in one run, on the same objects: import, query, frames, memory.

    python benchmarks/e2e/compare.py --work DIR [--section import query retrieve memory] [--runs 5] [--seconds 3]

Peers: `cp -r` + `sync` for import; Orthanc from Debian where it is installed (with its default: every file forced to
disk). The load generator is wrk (Debian). Every figure is the median of ``--runs`` runs, the spread beside it. Prints a
table and appends JSON lines to ``DIR/results.jsonl``. Clients run on the same cores as the servers, as the published
figures of the peers did.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import servers
import workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HERE = Path(__file__).parent


class Report:
    """Collects figures, prints medians."""

    def __init__(self, work: Path) -> None:
        self.file = work / "results.jsonl"
        self.figures: dict[tuple[str, str, str], list[float]] = {}

    def add(self, section: str, what: str, who: str, value: float, **more: Any) -> None:
        self.figures.setdefault((section, what, who), []).append(value)
        with self.file.open("a") as stream:
            stream.write(json.dumps({"section": section, "what": what, "who": who, "value": value, **more}) + "\n")

    def table(self) -> None:
        print("| section | what | who | median | min | max |\n|---|---|---|---:|---:|---:|")
        for (section, what, who), values in self.figures.items():
            middle = statistics.median(values)
            print(f"| {section} | {what} | {who} | {middle:,.1f} | {min(values):,.1f} | {max(values):,.1f} |")


def timed(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def run_hilum(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hilum.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"hilum {arguments[0]} failed: {done.stderr[-500:]}")


def copy_and_sync(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    os.sync()


def post_all(base: str, files: Iterable[Path], threads: int) -> None:
    host = base.removeprefix("http://")
    batches = [list(files)[k::threads] for k in range(threads)]

    def send(batch: list[Path]) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        for path in batch:
            connection.request("POST", "/instances", path.read_bytes())
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"Orthanc answered {answer.status}")
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, batches))


def size_of(folder: Path) -> int:
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def section_import(report: Report, work: Path, runs: int) -> None:
    """Bulk import of 2 000 CT (525 kB) and of 20 000 small instances (64x64)."""
    for name, folder in (
        ("2000 CT", workload.ct_folder(work)),
        ("20000 small", workload.small_folder(work)),
    ):
        files = workload.files_of(folder)
        total = sum(p.stat().st_size for p in files)
        for _ in range(runs):
            copy, root = work / "copy", work / "import-root"
            for old in (copy, root):
                shutil.rmtree(old, ignore_errors=True)
            os.sync()
            report.add(
                "import",
                name + ", instances/s",
                "cp -r + sync",
                len(files) / timed(lambda f=folder, c=copy: copy_and_sync(f, c)),
            )
            shutil.rmtree(copy)
            os.sync()
            seconds = timed(lambda f=folder, r=root: run_hilum("import", "--archive", str(r), "--json", str(f)))
            packs, index = size_of(root / "packs"), size_of(root / "index")
            report.add("import", name + ", instances/s", "hilum", len(files) / seconds)
            report.add("disk", name + ", packs / input", "hilum", packs / total)
            report.add("disk", name + ", index bytes / instance", "hilum", index / len(files))
            shutil.rmtree(root)
        if servers.orthanc_binary() and "CT" in name:
            for _ in range(runs):
                shutil.rmtree(work / "orthanc", ignore_errors=True)
                with servers.orthanc(work) as peer:
                    seconds = timed(lambda f=files, b=peer.base: post_all(b, f[:400], 4))
                    report.add(
                        "import", name + ", instances/s", "Orthanc (4 upload threads, 400 of them)", 400 / seconds
                    )


def wrk(
    server: servers.Server, paths: list[str], accept: str, connections: int, seconds: int, work: Path
) -> dict[str, Any]:
    fetch(server, paths[0], accept)  # wrk counts only what is above 399 as refused
    listing = work / "paths.txt"
    listing.write_text("\n".join(paths) + "\n")
    load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "--latency"]
    script = ["-s", str(HERE / "requests.lua"), server.base, "--", str(listing), accept]
    done = subprocess.run([*load, *script], capture_output=True, text=True, check=False)
    line = next((x for x in done.stdout.splitlines() if x.startswith("JSON ")), None)
    if line is None:
        raise SystemExit(f"wrk failed: {done.stderr[-300:] or done.stdout[-300:]}")
    answer: dict[str, Any] = json.loads(line[5:])
    if answer["refused"] or answer["errors"]:
        raise SystemExit(f"{server.name}: {answer} for {paths[0]}")
    answer["rate"] = answer["requests"] / answer["seconds"]
    return answer


def query_paths(root: str, files: list[Path]) -> dict[str, list[str]]:
    """Requests drawn from the small studies with a fixed seed, in the shapes of OHIF and of a worklist."""
    drawn = random.Random(1)
    sample = workload.keys_of(drawn.sample(files, min(200, len(files))))
    paths: dict[str, list[str]] = {"PatientID": [], "week": [], "name prefix": [], "list page": []}
    for key in sample:
        first = datetime.strptime(key["StudyDate"], "%Y%m%d")
        family, given = key["PatientName"].split("^")[:2]
        paths["PatientID"].append(f"{root}/studies?PatientID={key['PatientID']}")
        paths["week"].append(f"{root}/studies?StudyDate={first:%Y%m%d}-{first + timedelta(days=6):%Y%m%d}&limit=1000")
        paths["name prefix"].append(f"{root}/studies?PatientName={family}^{given[:2]}*&limit=50")
        paths["list page"].append(f"{root}/studies?limit=50&offset={drawn.randrange(len(files) - 50)}")
    return paths


def section_query(report: Report, work: Path, runs: int, seconds: int) -> None:
    """QIDO-RS at 20 000 studies, 8 connections."""
    files = workload.files_of(workload.small_folder(work))
    root = work / "query-root"
    if not root.exists():
        run_hilum("import", "--archive", str(root), str(workload.small_folder(work)))
    peers = [servers.hilum(root, work)]
    if servers.orthanc_binary():
        peers.append(servers.orthanc(work))
    for server in peers:
        with server:
            if server.name == "orthanc" and json.loads(fetch(server, "/statistics"))["CountInstances"] < len(files):
                post_all(server.base, files, 4)
            for name, paths in query_paths(server.dicom_web, files).items():
                for _ in range(runs):
                    answer = wrk(server, paths, "application/dicom+json", 8, seconds, work)
                    report.add("query", name + ", requests/s", server.name, answer["rate"], p99_ms=answer["p99_ms"])


def fetch(server: servers.Server, path: str, accept: str = "*/*") -> bytes:
    connection = http.client.HTTPConnection(server.base.removeprefix("http://"), timeout=120)
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{server.name}: {answer.status} for {path}")
    return body


def uids_of(files: list[Path]) -> list[tuple[str, str, str]]:
    return [(k["StudyInstanceUID"], k["SeriesInstanceUID"], k["SOPInstanceUID"]) for k in workload.keys_of(files)]


def section_retrieve(report: Report, work: Path, runs: int, seconds: int) -> None:
    """A 500-slice CT series: stored frames, rendered frames, series metadata."""
    folder = workload.series_folder(work)
    files = workload.files_of(folder)
    root = work / "series-root"
    if not root.exists():
        run_hilum("import", "--archive", str(root), str(folder))
    peers = [servers.hilum(root, work)]
    if servers.orthanc_binary():
        peers.append(servers.orthanc(work))
    uids = uids_of(files)
    for server in peers:
        with server:
            if server.name == "orthanc":
                post_all(server.base, files, 4)
            at = [f"{server.dicom_web}/studies/{s}/series/{e}/instances/{i}" for s, e, i in uids]
            stored = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
            whole = 'multipart/related; type="application/dicom"; transfer-syntax=*'
            series = at[0].rsplit("/instances/", 1)[0]
            for _ in range(runs):
                answer = wrk(server, [p + "/frames/1" for p in at], stored, 8, seconds, work)
                report.add("retrieve", "stored frames/s", server.name, answer["rate"])
                answer = wrk(server, [p + "/rendered" for p in at], "image/jpeg", 8, seconds, work)
                report.add("retrieve", "rendered JPEG/s", server.name, answer["rate"])
                answer = wrk(server, at, whole, 8, seconds, work)
                report.add("retrieve", "whole instances/s", server.name, answer["rate"])
                begin = time.perf_counter()
                fetch(server, series + "/metadata", "application/dicom+json")
                report.add("retrieve", "metadata of 500, ms", server.name, (time.perf_counter() - begin) * 1e3)


def peak_rss(command: list[str]) -> float:
    """Peak resident set of a command and its children in MiB, sampled every 20 ms."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, largest_rss(process))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return peak / 2**20


def largest_rss(process: psutil.Process) -> int:
    """Resident set of the largest process of a tree in bytes."""
    largest = 0
    for one in (process, *process.children(recursive=True)):
        try:
            largest = max(largest, one.memory_info().rss)
        except psutil.Error:
            continue
    return largest


def section_memory(report: Report, work: Path) -> None:
    """Peak memory of one process: importing 2 000 CT and a 1 GiB multi-frame object, then serving that object."""
    large = workload.large_multiframe(work)
    root = work / "memory-root"
    shutil.rmtree(root, ignore_errors=True)
    program = [sys.executable, "-m", "hilum.cli.main", "import", "--archive", str(root)]
    report.add("memory", "import of 2000 CT, MiB", "hilum", peak_rss([*program, str(workload.ct_folder(work))]))
    report.add("memory", "import of 1 GiB multi-frame, MiB", "hilum", peak_rss([*program, str(large)]))
    study, series, instance = uids_of([large])[0]
    with servers.hilum(root, work) as server:
        assert server.process is not None
        tree = psutil.Process(server.process.pid)
        at = f"{server.dicom_web}/studies/{study}/series/{series}/instances/{instance}"
        whole = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(drain, server, at, whole) for _ in range(2)]
            waiting += [pool.submit(drain, server, f"{at}/frames/{n}", "*/*") for n in (1, 900, 2000)]
            waiting += [pool.submit(drain, server, f"{at}/frames/{n}/rendered", "image/jpeg") for n in (2, 1000, 2047)]
            peak = 0
            while not all(one.done() for one in waiting):
                peak = max(peak, largest_rss(tree))
                time.sleep(0.02)
        if any(one.result() == 0 for one in waiting):
            raise SystemExit("an answer was empty")
    report.add("memory", "serving 1 GiB multi-frame, MiB", "hilum", peak / 2**20)


def drain(server: servers.Server, path: str, accept: str) -> int:
    """Reads an answer in pieces and throws it away; its size in bytes."""
    connection = http.client.HTTPConnection(server.base.removeprefix("http://"), timeout=120)
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{server.name}: {answer.status} for {path}")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for objects, archives and results")
    parser.add_argument("--section", nargs="+", default=["import", "query", "retrieve", "memory"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load for each figure of a server")
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    report = Report(work)
    if "import" in arguments.section:
        section_import(report, work, arguments.runs)
    if "query" in arguments.section:
        section_query(report, work, arguments.runs, arguments.seconds)
    if "retrieve" in arguments.section:
        section_retrieve(report, work, arguments.runs, arguments.seconds)
    if "memory" in arguments.section:
        section_memory(report, work)
    report.table()


if __name__ == "__main__":
    main()
