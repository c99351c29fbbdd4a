"""Command line of the torture rounds."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.torture.broken import BROKEN
from tests.torture.disk import CannotCut, Disk, enter_namespace
from tests.torture.rounds import Result, cut_rounds, kill_rounds
from tests.torture.targets import TARGETS

REPOSITORY = Path(__file__).parent.parent.parent
SKIPPED = 77
MODULES = {"packs": "hilum.storage.packs", "archive": "hilum.archive.archive", "dimse": "hilum.dimse.server"}
"""What the processes of a target need; imported once, before they fork."""
CAUGHT = 0.9
"""A broken build must be noticed in at least this share of its rounds."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--kills", type=int, default=10, help="rounds of kill -9")
    parser.add_argument("--cuts", type=int, default=10, help="rounds of power cuts (root)")
    parser.add_argument(
        "--controls", type=int, default=-1, help="rounds of each broken build; default: a fifth of the cuts"
    )
    parser.add_argument("--broken", choices=BROKEN, default="", help="torture only this broken build")
    parser.add_argument("--file-system", choices=["ext4", "xfs"], default="ext4")
    parser.add_argument("--mount-options", default="", help="such as data=writeback or nodelalloc")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="results as JSON, one a line")
    return parser.parse_args()


def controls_of(target: str) -> list[tuple[str, str]]:
    """Broken builds and the kind of round that must notice them."""
    replays = {"archive": [("cut", "no-replay")]}  # behind a sender too few cuts fall between pack and index
    early = [] if target == "packs" else [("kill", "early-ack")]
    return [("cut", "no-sync"), *replays.get(target, []), *early]


def run(options: argparse.Namespace, folder: Path) -> list[Result]:
    """All rounds that were asked for."""
    results = []
    controls = options.controls if options.controls >= 0 else max(5, options.cuts // 5)
    for name in TARGETS if options.target == "all" else [options.target]:
        wanted = [("kill", options.broken, options.kills), ("cut", options.broken, options.cuts)]
        if not options.broken:
            wanted += [(kind, how, controls) for kind, how in controls_of(name)]
        for number, (kind, how, rounds) in enumerate(wanted):
            place = folder / f"{name}-{number}"
            place.mkdir()
            if rounds and kind == "kill":
                results.append(kill_rounds(TARGETS[name], place, rounds, how=how, seed=options.seed))
            elif rounds:
                with Disk(place, kind=options.file_system, options=options.mount_options) as disk:
                    results.append(cut_rounds(TARGETS[name], disk, rounds, how=how, seed=options.seed))
            shutil.rmtree(place)
            if rounds:
                report(results[-1], as_json=options.json)
    return results


def failed(result: Result) -> bool:
    """Whether the real build lost something, or a broken one was not noticed."""
    if result.broken:
        return result.bad_rounds < CAUGHT * result.rounds
    return bool(result.lost or result.bad_rounds)


def report(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(dataclasses.asdict(result) | {"failed": failed(result)}), flush=True)
        return
    what = f"{result.target}{' broken: ' + result.broken if result.broken else ''}"
    print(
        f"{what}: {result.rounds} {result.kind}s, {result.acknowledged} acknowledged, {result.asked} asked for, "
        f"{result.lost} lost, {result.bad_rounds} rounds with findings, {result.cut} unfinished appends cut, "
        f"{result.unfinished} left in place, {1000 * result.seconds / result.rounds:.0f} ms a round"
        f"{'   FAILED' if failed(result) else ''}",
        flush=True,
    )
    if failed(result):
        for example in result.examples:
            print(f"    {example}", flush=True)


def main() -> int:
    options = arguments()
    for name in TARGETS if options.target == "all" else [options.target]:
        importlib.import_module(MODULES[name])
    try:
        if options.cuts and (status := enter_namespace(sys.argv[1:])) is not None:
            return status
        build = REPOSITORY / "build"
        build.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="torture-", dir=build) as folder:
            results = run(options, Path(folder))
    except CannotCut as reason:
        print(f"torture: SKIPPED, which counts as failed: {reason}", file=sys.stderr)
        return SKIPPED
    return int(any(failed(result) for result in results))


if __name__ == "__main__":
    sys.exit(main())
