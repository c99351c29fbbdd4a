"""Writes docs/reference/codecs.md: which decoder takes which transfer syntax, on how many real files it was right.

    PYTHONPATH=python python tests/support/codec_table.py

The first table is what ``test_codec_table.py`` checks; the second needs the peers that are at hand.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pixel_frames import description_of, stored_frames, syntax_of
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.codecs.decode import decode_frame
from hilum.codecs.registry import can_decode, decoders
from hilum.dicom.scan import FrameTable
from hilum.errors import HilumError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "codecs.md"
BEGIN, END = "<!-- generated: ours -->", "<!-- generated: peers -->"
MIDDLE = "The same files by peers"
ROOT = "1.2.840.10008.1.2"
ODD = {
    "sm/multiframe.dcm": "tiles of another size than Rows and Columns",
}
NOTED = {
    "ts/jpegxl/will-jxl.dcm": "lossy: releases of libjxl differ by 1",
}
LONGEST = 16 << 20
Array = np.ndarray[Any, Any]


def rows_with_pixels(folder: Path) -> list[dict[str, str]]:
    """Rows of MANIFEST.csv for files outside of archives that have a hash of their decoded values."""
    with (folder / "MANIFEST.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if "!" not in row["path"]]
    found = [row for row in rows if row["rows"] and (row["decoded_sha256"] or row["decoded_sha256_unconfirmed"])]
    return [{**row, "file": str(folder / row["path"])} for row in found]


def frames_of(path: str) -> Iterator[tuple[str, PixelDescription, list[bytes], int]]:
    """(transfer syntax, description, fragments, bit offset) of each frame, by our scan."""
    data = Path(path).read_bytes()
    scan = _core.scan(data, False, False)
    table = FrameTable(scan.frame_table)
    whole = _core.inflate(data) if table.inflated else data
    if scan.pixels is None:
        return
    if table.swapped_words_from is not None:
        first = table.swapped_words_from
        body = np.frombuffer(whole[first : len(whole) - (len(whole) - first) % 2], np.uint16).byteswap().tobytes()
        whole = whole[:first] + body
    for index in range(len(table)):
        place = table[index]
        pieces = [whole[start : start + length] for start, length in place.fragments]
        yield scan.transfer_syntax_uid, PixelDescription(*scan.pixels), pieces, place.bit_offset


@dataclass
class Tally:
    """What was seen of one transfer syntax."""

    files: int = 0
    frames: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    differ: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def ours(folder: Path) -> dict[str, Tally]:
    """Every frame of every file by hilum, against the hashes of MANIFEST.csv."""
    tallies: dict[str, Tally] = {}
    for row in rows_with_pixels(folder):
        syntax = row["transfer_syntax"] or ROOT
        tally = tallies.setdefault(syntax, Tally())
        tally.files += 1
        digest = hashlib.sha256()
        try:
            if row["path"] in ODD:
                tally.refused[ODD[row["path"]]] += 1
                continue
            for found, pixels, pieces, bits in frames_of(row["file"]):
                digest.update(decode_frame(pieces, found, pixels, bit_offset=bits).tobytes())
                tally.frames += 1
        except HilumError as error:
            tally.refused[str(error).split(" (")[0].rstrip(".")] += 1
            continue
        if digest.hexdigest() == row["decoded_sha256"]:
            tally.confirmed += 1
        elif digest.hexdigest() == row["decoded_sha256_unconfirmed"]:
            tally.unconfirmed += 1
        else:
            tally.differ.append(row["path"])
    return tallies


def table_of_ours(folder: Path) -> str:
    """First table of the page."""
    lines = [
        "| Transfer syntax | Decoders, best first | Files | Frames | Equal to two decoders | Equal to one | Different "
        "| Refused |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    names = {d.transfer_syntax_uid: d.transfer_syntax_name for d in decoders()}
    tallies = ours(folder)
    for syntax in sorted({*names, *tallies}, key=lambda uid: [int(n) for n in uid.split(".")]):
        tally = tallies.get(syntax, Tally())
        taken = ", ".join(f"{d.name} ({d.provider})" for d in decoders() if d.transfer_syntax_uid == syntax) or "none"
        refused = "; ".join(f"{count}: {reason}" for reason, count in sorted(tally.refused.items())) or "0"
        name = f"{names[syntax]} `{syntax}`" if syntax in names else f"`{syntax}`"
        paths = ", ".join(f"{path} ({NOTED[path]})" if path in NOTED else path for path in sorted(tally.differ))
        differ = f"{len(tally.differ)}: {paths}" if tally.differ else "0"
        lines.append(
            f"| {name} | {taken} | {tally.files} | {tally.frames} | {tally.confirmed} | {tally.unconfirmed} | {differ} "
            f"| {refused} |"
        )
    return "\n".join(lines)


# --- peers: each gives the stored values of the frames asked for, or raises


def by_plugin(plugin: str) -> Callable[[str, list[int]], list[Array]]:
    """pydicom with one of its plugins, colour as stored."""

    def decode(path: str, frames: list[int]) -> list[Array]:
        dataset = pydicom.dcmread(path, force=True)
        decoder = pydicom.pixels.get_decoder(syntax_of(dataset))
        return [decoder.as_array(dataset, index=i, raw=True, decoding_plugin=plugin)[0] for i in frames]

    return decode


def by_imagecodecs(path: str, frames: list[int]) -> list[Array]:
    """imagecodecs on the frame's code stream."""
    import imagecodecs

    dataset = pydicom.dcmread(path, force=True)
    suffix = syntax_of(dataset).removeprefix(ROOT)
    if suffix in (".4.50", ".4.51", ".4.57", ".4.70"):
        function = imagecodecs.jpeg8_decode
    elif suffix in (".4.80", ".4.81"):
        function = imagecodecs.jpegls_decode
    elif suffix.startswith((".4.90", ".4.91")):
        function = imagecodecs.jpeg2k_decode
    elif suffix.startswith(".4.20"):
        function = imagecodecs.htj2k_decode
    elif suffix.startswith(".4.11"):
        function = imagecodecs.jpegxl_decode
    else:
        raise LookupError(suffix)  # its RLE decoder leaves planes as they are
    description = description_of(dataset)
    stored = stored_frames(dataset, description)
    extra = {"colorspace": None} if function is imagecodecs.jpeg8_decode else {}
    if extra and description[2] == 3:
        raise LookupError("converts colour")
    return [function(b"".join(stored[i][0])) for i in frames]


def by_dcmtk(path: str, frames: list[int]) -> list[Array]:
    """dcmdjpeg, dcmdjpls or dcmdrle to uncompressed, read by NumPy."""
    dataset = pydicom.dcmread(path, force=True)
    suffix = syntax_of(dataset).removeprefix(ROOT)
    tools = {".4.80": "dcmdjpls", ".4.81": "dcmdjpls", ".5": "dcmdrle"}
    tool = tools.get(suffix, "dcmdjpeg" if suffix in (".4.50", ".4.51", ".4.57", ".4.70") else None)
    if tool is None or shutil.which(tool) is None:
        raise LookupError(suffix)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as target:
        options = ["+cn"] if tool == "dcmdjpeg" else []
        subprocess.run([tool, *options, path, target.name], check=True, capture_output=True, timeout=60)
        plain = pydicom.dcmread(target.name)
        decoder = pydicom.pixels.get_decoder(syntax_of(plain))
        return [decoder.as_array(plain, index=i, raw=True)[0] for i in frames]


PEERS: dict[str, Callable[[str, list[int]], list[Array]]] = {
    "pydicom + pylibjpeg": by_plugin("pylibjpeg"),
    "GDCM": by_plugin("gdcm"),
    "pydicom + pyjpegls": by_plugin("pyjpegls"),
    "pydicom": by_plugin("pydicom"),
    "imagecodecs": by_imagecodecs,
    "dcmtk": by_dcmtk,
}


def compare(row: dict[str, str], peer: str) -> int | None:
    """Largest difference to a peer over the first, middle and last frame; None where it cannot."""
    frames = list(frames_of(row["file"]))
    wanted = sorted({0, len(frames) // 2, len(frames) - 1})
    mine = [decode_frame(frames[i][2], frames[i][0], frames[i][1], bit_offset=frames[i][3]) for i in wanted]
    try:
        theirs = PEERS[peer](row["file"], wanted)
    except Exception:  # a peer may fail in any way; what counts is what it gives
        return None
    worst = 0
    for a, b in zip(mine, theirs, strict=True):
        if a.size != b.size:
            return None
        # Some peers give signed values as unsigned ones, some do not extend the sign: compared in Bits Stored.
        bits = 1 << frames[0][1].bits_stored
        apart = (a.astype(np.int64).ravel() - b.astype(np.int64).ravel()) % bits
        worst = max(worst, int(np.minimum(apart, bits - apart).max(initial=0)))
    return worst


def table_of_peers(folder: Path) -> str:
    """Second table of the page."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows_with_pixels(folder):
        syntax = row["transfer_syntax"]
        encapsulated = syntax.removeprefix(ROOT).startswith((".4.", ".5"))
        if not encapsulated or not can_decode(syntax) or row["path"] in ODD or int(row["size"]) > LONGEST:
            continue
        for peer in PEERS:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    worst = compare(row, peer)
            except HilumError:
                break
            if worst is not None:
                kind = "equal" if worst == 0 else "within 1" if worst == 1 else "further"
                counts.setdefault((syntax, peer), Counter())[kind] += 1
    lines = ["| Transfer syntax | Peer | Files | Equal | Within 1 | Further |", "|---|---|--:|--:|--:|--:|"]
    for (syntax, peer), seen in sorted(counts.items()):
        equal, near, far = seen["equal"], seen["within 1"], seen["further"]
        lines.append(f"| `{syntax}` | {peer} | {equal + near + far} | {equal} | {near} | {far} |")
    return "\n".join(lines)


def main() -> int:
    """Write the page anew."""
    folder = find_shared_data()
    if folder is None:
        print(ABSENT, file=sys.stderr)
        return 1
    text = PAGE.read_text()
    begin, middle, end = text.index(BEGIN) + len(BEGIN), text.index(MIDDLE), text.index(END) + len(END)
    first, second = table_of_ours(folder), table_of_peers(folder)
    PAGE.write_text(f"{text[:begin]}\n{first}\n\n{text[middle:end]}\n{second}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
