"""C-STORE into hilum beside its peers, in one run, on the same objects, by DCMTK's storescu.

    python benchmarks/e2e/receive.py --work DIR [--instances 2000] [--runs 3] [--section ct small]

``ct``: 512x512 CT slices over 1 and 4 associations, with ``TCP_NODELAY=1`` for every peer as a fair comparison
needs; ``small``: 64x64 ones from a stock storescu, whose Nagle algorithm is on. hilum acknowledges what is durable
and indexed; Orthanc forces each file to disk (its default); storescp and pynetdicom's storescp force and index
nothing. Runs are interleaved. Prints medians, server CPU for each object (all its processes, ended children
included) and appends JSON lines to ``DIR/receive.jsonl``. The clients run on the same cores as the servers.

Traps: the warm page cache is common to all; with two cores the client takes one of them; DCMTK's storescp --fork counts
its children's CPU only when they have ended.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
import servers

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from benchmarks.data import make_ct, make_small


def dcmtk(name: str) -> str:
    """DCMTK's program; pynetdicom has others of the same names."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if found is None:
        raise SystemExit(f"DCMTK's {name} is not installed")
    return found


@dataclass
class Receiver:
    """A server that takes C-STORE; a context manager."""

    name: str
    folder: Path
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = servers.free_port()
        self.command = self._command()
        self.process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE if self.name.startswith("hilum") else subprocess.DEVNULL,
            stderr=(self.folder.parent / f"{self.name}.log").open("w"),
            text=True,
            env={**os.environ, **self.environment},
        )
        if self.process.stdout is not None:
            found = re.search(r"at port (\d+)", self.process.stdout.readline())
            assert found, "the server did not start"
        for _ in range(600):
            if subprocess.run([dcmtk("echoscu"), "127.0.0.1", str(self.port)], capture_output=True).returncode == 0:
                return self
            time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer")

    def _command(self) -> list[str]:
        python, port, data = sys.executable, str(self.port), str(self.folder)
        if self.name.startswith("hilum"):
            if self.name.endswith("-acceptors"):
                self.environment["HILUM__DIMSE__ACCEPTORS"] = "2"
            return [python, "-m", "hilum.cli.main", "serve", "--archive", data + "/archive", "--port", "0",
                    "--dicom-port", port, "--workers", "1"]  # fmt: skip
        self.environment["TCP_NODELAY"] = "1"
        if self.name == "storescp":
            return [dcmtk("storescp"), "--fork", "+xa", "-od", data, port]
        if self.name == "pynetdicom":
            return [python, "-m", "pynetdicom", "storescp", port, "-ba", "127.0.0.1", "-q", "-od", data]
        binary = servers.orthanc_binary()
        if binary is None:
            raise SystemExit("no Orthanc here: apt-get install orthanc")
        configuration = self.folder.parent / "orthanc-receive.json"
        configuration.write_text(json.dumps({
            "StorageDirectory": data, "IndexDirectory": data, "HttpPort": servers.free_port(), "DicomPort": self.port,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
        }))  # fmt: skip
        return [str(binary), str(configuration)]

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cpu_seconds(self) -> float:
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        spent = sum(root.cpu_times()[:4])
        for child in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile: the next look finds it in its parent's sum
                spent += sum(child.cpu_times()[:2])
        return spent


def send(port: int, files: list[Path], associations: int, *, nagle: bool) -> float:
    """Seconds for all files over so many associations at once."""
    environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
    if not nagle:
        environment["TCP_NODELAY"] = "1"
    lists = [files[n::associations] for n in range(associations)]
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            [dcmtk("storescu"), "-aec", "ANY-SCP", "127.0.0.1", str(port), *map(str, part)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for part in lists
    ]
    for process in running:
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(f"storescu failed: {errors[-300:]!r}")
    return time.perf_counter() - started


def measure(names: list[str], files: list[Path], what: str, associations: int, options: argparse.Namespace) -> None:
    """Send everything to every server, some times, and print a line for each."""
    work: Path = options.work
    nagle = what == "small"
    rates: dict[str, list[float]] = {name: [] for name in names}
    costs: dict[str, list[float]] = {name: [] for name in names}
    for run in range(options.runs):
        for name in names[run % len(names) :] + names[: run % len(names)]:
            own = files[: max(1, len(files) // 10)] if name == "pynetdicom" and not nagle else files
            with Receiver(name, work / "receive" / name) as server:
                before = server.cpu_seconds()
                seconds = send(server.port, own, associations, nagle=nagle)
                time.sleep(0.3)
                cpu = server.cpu_seconds() - before
            rates[name].append(len(own) / seconds)
            costs[name].append(1000 * cpu / len(own))
            line = {"what": what, "associations": associations, "who": name, "per_second": rates[name][-1],
                    "cpu_ms": costs[name][-1], "objects": len(own)}  # fmt: skip
            with (work / "receive.jsonl").open("a") as stream:
                stream.write(json.dumps(line) + "\n")
    own = statistics.median(rates[names[0]])
    for name in names:
        middle = statistics.median(rates[name])
        print(
            f"| {what} | {associations} | {name} | {middle:,.0f} | {min(rates[name]):,.0f}-{max(rates[name]):,.0f} | "
            f"{statistics.median(costs[name]):.2f} | {own / middle:.2f} |",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--section", nargs="*", default=["ct", "small"], choices=["ct", "small"])
    parser.add_argument("--associations", nargs="*", type=int, default=[1, 4])
    parser.add_argument("--servers", nargs="*", default=["hilum", "orthanc", "storescp", "pynetdicom"])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print("| objects | associations | server | per second | from-to | server CPU ms | hilum / it |")
    print("|---|---:|---|---:|---|---:|---:|")
    for what in options.section:
        count = options.instances if what == "ct" else max(20, options.instances // 10)
        folder = options.work / f"{what}-{count}"
        files = sorted(folder.rglob("*.dcm")) if folder.is_dir() else []
        if len(files) != count:
            files = (make_ct if what == "ct" else make_small)(folder, count)
        for associations in options.associations if what == "ct" else [1]:
            measure(list(options.servers), files, what, associations, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
