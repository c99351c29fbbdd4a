"""Runs bench_codec.py and writes its figures into docs/benchmarks.md and docs/images/codecs.svg.

python benchmarks/codec_report.py            # about three minutes
python benchmarks/codec_report.py --json F   # from a run that was kept
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
BUILD = HERE.parent / "build"
BEGIN, END = "<!-- codecs: begin -->", "<!-- codecs: end -->"
COLOURS = {
    "hilum": "#1f6fb2",
    "imagecodecs": "#9aa5b1",
    "pylibjpeg": "#c3b091",
    "pydicom": "#d9c7d2",
    "gdcm": "#b5c9b3",
}
Cells = dict[tuple[str, str], dict[str, float]]


def run(target: Path) -> None:
    """The benchmarks, each for about a third of a second."""
    command = [sys.executable, "-m", "pytest", str(HERE / "bench_codec.py"), "-q", "--benchmark-only"]
    options = ["--benchmark-min-rounds=3", "--benchmark-max-time=0.3", f"--benchmark-json={target}"]
    subprocess.run([*command, *options, "-p", "no:cacheprovider"], check=True, cwd=HERE.parent)


def read(source: Path) -> Cells:
    """MB/s of decoded pixels, the best round, by (syntax, kind) and library."""
    cells: Cells = {}
    for each in json.loads(source.read_text())["benchmarks"]:
        info = each["extra_info"]
        speed = info["bytes"] / each["stats"]["min"] / 1e6
        cell = cells.setdefault((info["syntax"], info["kind"]), {})
        cell[info["library"]] = speed
        if "speed_up" in info:
            cell["speed-up"] = info["speed_up"]
    return cells


def table(cells: Cells) -> str:
    """Markdown: one row per syntax and class of image, then what a second thread gives."""
    libraries = [name for name in COLOURS if any(name in cell for cell in cells.values())]
    lines = [
        f"| decoded, MB/s | {' | '.join(libraries)} | to the best peer |",
        f"|---|{'---:|' * (len(libraries) + 1)}",
    ]
    threads = []
    for (syntax, kind), cell in cells.items():
        if kind == "series":
            threads.append(f"{syntax} {cell['2 threads'] / cell['1 threads']:.2f} ({cell['speed-up']:.2f})")
            continue
        peers = [speed for name, speed in cell.items() if name != "hilum"]
        ratio = f"{cell['hilum'] / max(peers):.1f}" if peers and "hilum" in cell else "-"
        speeds = " | ".join(f"{cell[name]:.0f}" if name in cell else "-" for name in libraries)
        lines.append(f"| {syntax}, {kind} | {speeds} | {ratio} |")
    lines += [
        "",
        f"Two threads to one, CT frames in one call, by the clock (by processor time): {', '.join(threads)}.",
    ]
    return "\n".join(lines)


def plot(cells: Cells) -> str:
    """SVG: bars by syntax and class, each syntax to its own scale."""
    shown = {key: cell for key, cell in cells.items() if key[1] != "series"}
    syntaxes = list(dict.fromkeys(syntax for syntax, _ in shown))
    parts: list[str] = []
    y = 40
    for syntax in syntaxes:
        rows = [(kind, cell) for (name, kind), cell in shown.items() if name == syntax]
        most = max(speed for _, cell in rows for speed in cell.values())
        parts.append(f'<text x="10" y="{y + 10}" class="h">{syntax}</text>')
        y += 18
        for kind, cell in rows:
            parts.append(f'<text x="95" y="{y + 10}" class="k">{kind}</text>')
            for name, colour in COLOURS.items():
                if name not in cell:
                    continue
                width = max(1.0, 480 * cell[name] / most)
                parts.append(f'<rect x="105" y="{y}" width="{width:.1f}" height="9" fill="{colour}"/>')
                parts.append(f'<text x="{110 + width:.1f}" y="{y + 8}">{cell[name]:.0f}</text>')
                y += 10
            y += 5
        y += 8
    legend = "".join(
        f'<rect x="{105 + 105 * i}" y="12" width="10" height="10" fill="{colour}"/>'
        f'<text x="{119 + 105 * i}" y="21">{name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items())
    )
    style = "text{font:9px sans-serif;fill:#333}.h{font-weight:bold;font-size:11px}.k{text-anchor:end}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {y}" width="660" height="{y}">'
    title = "<title>Decoding speed in MB/s of decoded pixels, one thread; each syntax to its own scale</title>"
    ground = f'<rect width="660" height="{y}" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{style}</style>", ground, legend, *parts, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="figures of a run that was kept")
    given = parser.parse_args()
    BUILD.mkdir(exist_ok=True)  # not in the system's temporary folder: others tidy that up before a long run is over
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        source = given.json or Path(folder) / "codecs.json"
        if given.json is None:
            run(source)
        cells = read(source)
    page = DOCS / "benchmarks.md"
    text = page.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f"{text[:begin]}\n{table(cells)}\n{text[end:]}")
    (DOCS / "images" / "codecs.svg").write_text(plot(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
