"""dicom-microscopy-viewer, the viewer of slides of the Imaging Data Commons, shows a slide out of our DICOMweb.

Where ``HILUM_MICROSCOPY_VIEWER`` names the ``node_modules`` of ``npm install dicom-microscopy-viewer`` (0.48).
"""

from __future__ import annotations

import functools
import http.server
import io
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from slides import ROOT, halved, tissue, write_slide
from tests.support.chromium import browser, find_browser

import hilum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.chromium import Page

    from conftest import LiveServer

MODULES = os.environ.get("HILUM_MICROSCOPY_VIEWER", "")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("live_server"),
    pytest.mark.skipif(not MODULES, reason="HILUM_MICROSCOPY_VIEWER does not name node_modules"),
]
SIDE = 1024
PAGE = """<!doctype html><meta charset="utf-8"><style>body { margin: 0 }</style>
<div id="slide" style="width: 800px; height: 800px"></div>
<script src="/dicomweb-client/build/dicomweb-client.js"></script>
<script src="/dicom-microscopy-viewer/dist/dicomMicroscopyViewer.bundle.min.js"></script>
<script>
const client = new DICOMwebClient.api.DICOMwebClient({ url: "%s/dicom-web" });
client.retrieveSeriesMetadata({ studyInstanceUID: "%s.0", seriesInstanceUID: "%s.1" }).then((all) => {
  const library = dicomMicroscopyViewer.default ?? dicomMicroscopyViewer;
  const metadata = all.map((one) => new library.metadata.VLWholeSlideMicroscopyImage({ metadata: one }));
  const viewer = new library.viewer.VolumeImageViewer({ client, metadata, controls: [] });
  viewer.render({ container: "slide" });
  window.shown = true;
});
</script>"""


def write_level(path: Path, level: np.ndarray[Any, Any], number: int) -> None:
    """Write a level with what the viewer reads beside the pixels."""
    write_slide(path, level, number=number, tile=256, jpeg=True)
    dataset = pydicom.dcmread(path)
    origin, light = pydicom.Dataset(), pydicom.Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    light.CodeValue, light.CodingSchemeDesignator, light.CodeMeaning = "111744", "DCM", "Brightfield illumination"
    dataset.TotalPixelMatrixOriginSequence = [origin]
    dataset.ImageOrientationSlide = [1, 0, 0, 0, 1, 0]
    dataset.OpticalPathSequence[0].IlluminationTypeCodeSequence = [light]
    dataset.OpticalPathSequence[0].OpticalPathDescription = "bright"
    dataset.ContainerIdentifier, dataset.TotalPixelMatrixFocalPlanes = "1", 1
    dataset.save_as(path)


class Files(http.server.SimpleHTTPRequestHandler):
    """The page, and the modules; the worker where the bundle looks for it."""

    page = b""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/page.html":
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(self.page)
            return
        if self.path.startswith("/static/js/"):
            name = self.path.rpartition("/")[2].replace(".worker.min", ".worker.bundle.min")
            self.path = f"/dicom-microscopy-viewer/dist/{name}"
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def page_server(page: str) -> Iterator[str]:
    handler = type("Page", (Files,), {"page": page.encode()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=MODULES))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/page.html"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settled(page: Page) -> bytes:
    """Screenshot when all of the middle is drawn and nothing changes any more."""
    before = b""
    for _ in range(40):
        now = page.screenshot()
        middle = np.asarray(Image.open(io.BytesIO(now)).convert("RGB"))[200:600, 200:600]
        if now == before and (middle < 250).any(-1).all():
            return now
        before = now
        page.evaluate("new Promise(done => setTimeout(done, 1000))")
    raise AssertionError(f"the viewer does not show the slide: {page.errors[:5]}")


@pytest.mark.filterwarnings("ignore")
def test_slide_is_shown(tmp_path: Path, serve_module: Callable[..., LiveServer]) -> None:
    executable = find_browser()
    if executable is None:
        pytest.skip("no Chromium on this machine")
    pixels = level = tissue(SIDE, SIDE)
    (tmp_path / "in").mkdir()
    for number in (1, 2, 3):
        write_level(tmp_path / "in" / f"{number}.dcm", level, number)
        level = halved(level)
    with hilum.open(tmp_path / "archive") as archive:
        assert archive.import_paths([tmp_path / "in"]).ok
    served = serve_module(tmp_path / "archive", HILUM__HTTP__CORS_ORIGINS="*")
    with page_server(PAGE % (served.url, ROOT, ROOT)) as url, browser(executable) as chromium:
        page = chromium.page(800, 800)
        page.goto(url)
        page.wait("window.shown")
        now = settled(page)
        page.close()
    screen = np.asarray(Image.open(io.BytesIO(now)).convert("RGB"))[200:600, 200:600].astype(int)
    fitted = Image.fromarray(pixels).resize((800, 800), Image.Resampling.BOX)
    turned = [np.rot90(side, turns) for turns in range(4) for side in (np.asarray(fitted), np.asarray(fitted)[:, ::-1])]
    differences = [float(np.abs(screen - way[200:600, 200:600]).mean()) for way in turned]
    assert min(differences) < 6, differences
