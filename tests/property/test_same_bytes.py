"""Every instruction set that the processor has gives the same pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib, sys
import numpy as np
from pictures import describe
from hilum.pixels.description import RenderingAttributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import RenderSettings, Rescale, Window
random = np.random.default_rng(11)
digest = hashlib.sha256()
for case in range(400):
    dtype = ("<u2", "<i2", "u1")[case % 3]
    low, high = {"<u2": (0, 65536), "<i2": (-32768, 32768), "u1": (0, 256)}[dtype]
    frame = random.integers(low, high, (7, int(random.integers(1, 300)))).astype(dtype)
    top = 8 * frame.dtype.itemsize
    stored = int(random.integers(1, top + 1))
    bit = int(random.integers(stored - 1, top))
    window = Window(float(random.normal(0, 5000)), float(10 ** random.uniform(-3, 5.5)), "LINEAR_EXACT")
    how = RenderSettings(
        window=window,
        modality=Rescale(float(random.choice([1.0, -1.0, 0.37, 1e-3])), float(random.normal(0, 1000))),
        bits=int(random.choice([8, 16])),
        scale=float(random.choice([0.0, 0.0, 0.7, 1.3])),
    )
    pixels = describe(frame, bits_stored=stored, high_bit=bit)
    shown = render_pixels(frame.tobytes(), "1.2.840.10008.1.2.1", pixels, RenderingAttributes(), how)
    digest.update(shown.tobytes())
print(digest.hexdigest())
"""


def test_pictures_do_not_depend_on_the_processor() -> None:
    digests = {}
    support = Path(__file__).parent.parent / "support"
    for cpu in ("scalar", "avx2", ""):
        path = os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"HILUM_CPU": cpu, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        digests[cpu] = done.stdout
    assert len(set(digests.values())) == 1, digests
