"""Memory of decoders: lying headers cost little, many rounds cost nothing, threads end nowhere."""

from __future__ import annotations

import gc
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hilum.codecs.decode import EncodedFrame, decode_frame, decode_frames
from hilum.errors import DataError, LimitExceeded
from hilum.types import PixelDescription

MOST = 64 << 20
ROOT = "1.2.840.10008.1.2"


def sof(marker: int, rows: int, columns: int) -> bytes:
    """Begin of a JPEG of one component of 8 bits: image, frame header, one Huffman table, scan header, few bits."""
    header = struct.pack(">2sHBHHB3B", bytes([0xFF, marker]), 11, 8, rows, columns, 1, 1, 0x11, 0)
    table = b"\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([1] * 64)
    counts = bytes([0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    huffman = b"".join(b"\xff\xc4" + struct.pack(">HB", 21, kind) + counts + b"\0\1" for kind in (0, 0x10))
    scan = b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, *((1, 0, 0) if marker == 0xC3 else (0, 63, 0)))
    return b"\xff\xd8" + table + header + huffman + scan + b"\0" * 40 + b"\xff\xd9"


def siz(rows: int, columns: int) -> bytes:
    """Begin of a JPEG 2000 code stream of one component of 8 bits, one tile, no data."""
    size = struct.pack(">HHIIIIIIIIH3B", 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 7, 1, 1)
    style = struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    quantisation = struct.pack(">HB16B", 19, 0x40, *[0x40] * 16)
    tile = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14, 0, 1) + b"\xff\x93" + b"\0" * 40
    return b"\xff\x4f\xff\x51" + size + b"\xff\x52" + style + b"\xff\x5c" + quantisation + tile + b"\xff\xd9"


BOMBS = {
    ".4.51": sof(0xC0, 65500, 65500),  # the most that libjpeg takes
    ".1": b"\0" * 100,
    ".2": b"\0" * 100,
    ".5": struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 40,
    ".8.1": b"\x63\x00\x00",
    ".4.50": sof(0xC0, 65535, 65535),
    ".4.70": sof(0xC3, 65535, 65535),
    ".4.90": siz(65535, 65535),
}
SCRIPT = """
    import resource, sys
    import numpy as np
    from hilum.codecs.decode import decode_frame
    from hilum.errors import DataError, LimitExceeded
    from hilum.types import PixelDescription

    syntax, frame, bits = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
    size = 65500 if syntax.endswith(".51") else 65535
    small = PixelDescription(2, 2, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    decode_frame(bytes(4), "1.2.840.10008.1.2.1", small)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = PixelDescription(size, size, 1, 0, bits, bits, bits - 1, 0, "MONOCHROME2", 1, "PixelData")
    try:
        decode_frame(frame, syntax, pixels)
    except (DataError, LimitExceeded) as error:
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(1024 * (after - before), error.code, error.offset, error)
"""


@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("syntax", BOMBS)
def test_a_header_that_claims_65535_x_65535_costs_little(syntax: str, bits: int) -> None:
    frame = BOMBS[syntax]
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), ROOT + syntax, frame.hex(), str(bits)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    cost, code, offset, message = run.stdout.strip().split(" ", 3)
    assert int(cost) < MOST, message
    if bits == 16:
        assert (int(code), offset) == (15, "None")
    else:
        assert int(code) in (1, 10, 12, 15)
        assert code == "15" or offset != "None" or "Bits Allocated" in message, message
        assert offset == "None" or int(offset) <= len(frame)


def test_many_rounds_of_good_and_bad_frames_keep_nothing() -> None:
    pixels = PixelDescription(256, 256, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")
    good = [EncodedFrame(bytes(131072), f"{ROOT}.1", pixels)] * 16
    bad = [*good[:15], EncodedFrame(bytes(99), f"{ROOT}.5", pixels)]
    out = np.empty((16, 256, 256), np.uint16)
    process = psutil.Process()
    rss = []
    for _ in range(50):
        decode_frames(good, out, threads=3)
        for bomb in (".4.50", ".4.70", ".4.90", ".5", ".8.1"):
            with pytest.raises((DataError, LimitExceeded)):
                decode_frame(BOMBS[bomb], ROOT + bomb, pixels)
        with pytest.raises((DataError, LimitExceeded)):
            decode_frames(bad, out, threads=3)
        gc.collect()
        rss.append(process.memory_info().rss)
    assert rss[-1] - rss[10] < 4 << 20
    assert sys.getrefcount(out) == 2
    assert all(sys.getrefcount(frame.data) < 40 for frame in good[:1])


def test_threads_are_kept_not_added() -> None:
    pixels = PixelDescription(64, 64, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")
    frames = [EncodedFrame(bytes(8192), f"{ROOT}.1", pixels)] * 64

    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    decode_frames(frames, threads=4)
    before = count()
    for _ in range(20):
        decode_frames(frames, threads=4)
    callers = [threading.Thread(target=decode_frames, args=(frames,), kwargs={"threads": 4}) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    deadline = time.monotonic() + 5
    while count() > before and time.monotonic() < deadline:  # the system forgets a joined thread a moment later
        time.sleep(0.01)
    assert count() <= before
