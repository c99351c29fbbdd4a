"""The page of slides and large images in Chromium: OpenSeadragon, which we did not write, shows our tiles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.support.viewer import difference, server_image

if TYPE_CHECKING:
    import numpy.typing as npt
    from tests.interop.conftest import Site
    from tests.support.chromium import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("viewer")]
POLICY = "Applying inline style"  # OpenSeadragon's style sheet for a console that we do not show
CANVAS = "document.querySelector('.openseadragon-canvas canvas')"
TILES = "performance.getEntriesByType('resource').filter(entry => /iiif.*jpg/.test(entry.name)).length"
DRAWN = f"{CANVAS} && !document.querySelector('.slide-stage').dataset.failed && {TILES}"


def address(site: Site, modality: str, patient: str) -> tuple[str, str, str]:
    """UIDs of study, series and first instance."""
    (series,) = httpx.get(
        f"{site.url}dicom-web/series", params={"Modality": modality, "PatientID": patient}, timeout=30
    ).json()
    study, uid = (series[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    first = httpx.get(f"{site.url}dicom-web/studies/{study}/series/{uid}/instances", timeout=30).json()[0]
    return study, uid, first["00080018"]["Value"][0]


def shown(page: Page, url: str) -> npt.NDArray[np.uint8]:
    """What the page shows, when nothing changes any more; RGB."""
    page.expected_errors = (POLICY,)
    page.goto("about:blank")
    page.goto(url)
    page.wait(DRAWN)
    before = b""
    while (now := page.screenshot()) != before:
        before = now
        page.evaluate("new Promise(done => setTimeout(done, 400))")
    return np.asarray(Image.open(io.BytesIO(now)).convert("RGB"))


def test_radiograph_by_tiles_is_the_servers_image(desktop: Page, site: Site) -> None:
    study, series, instance = address(site, "CR", "9RG1")
    screen = shown(desktop, f"{site.url}slide.html#/study/{study}/series/{series}/instance/{instance}/frame/1")
    whole = server_image(
        f"{site.url}dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered?quality=90"
    )
    left, top, width, height = (round(value) for value in desktop.box(".slide-stage"))
    high = min(height, width * whole.height // whole.width)
    wide = high * whole.width // whole.height
    fitted = np.asarray(whole.resize((wide, high), Image.Resampling.BOX))
    x, y = left + (width - wide) // 2, top + (height - high) // 2
    inner = np.s_[high // 4 : high // 2, wide // 4 : wide // 2]
    assert difference(screen[y : y + high, x : x + wide][inner], fitted[inner]) < 4
    assert desktop.evaluate("document.querySelector('h1').textContent") == "CompressedSamples, RG1"


def test_viewer_leads_to_the_tiles_and_back(desktop: Page, site: Site) -> None:
    study, series, instance = address(site, "CR", "9RG1")
    desktop.expected_errors = (POLICY,)
    desktop.goto(f"{site.url}#/study/{study}/series/{series}")
    desktop.wait("!document.querySelector('[data-action=tiles]').disabled")
    desktop.click("[data-action=tiles]")
    desktop.wait("location.pathname.endsWith('slide.html')")
    assert desktop.evaluate("location.hash") == f"#/study/{study}/series/{series}/instance/{instance}/frame/1"
    desktop.wait(DRAWN)
    desktop.click("a.round")
    desktop.wait(f"location.hash.startsWith('#/study/{study}/series/{series}')")


def test_image_that_is_not_there_is_told(desktop: Page, site: Site) -> None:
    desktop.expected_errors = (POLICY, "404")
    desktop.goto(f"{site.url}slide.html#/study/1.2/series/1.3")
    desktop.wait("document.querySelector('[role=alert]') !== null")
    assert "no such" in desktop.evaluate("document.querySelector('[role=alert]').textContent")


def test_phone_has_the_whole_width(phone: Page, site: Site) -> None:
    study, series, instance = address(site, "CR", "9RG1")
    shown(phone, f"{site.url}slide.html#/study/{study}/series/{series}/instance/{instance}/frame/1")
    left, _top, width, height = phone.box(".slide-stage")
    assert (left, width) == (0, 390)
    assert height > 760
    for selector in ("a.round", "button.round"):
        _x, _y, wide, high = phone.box(selector)
        assert min(wide, high) >= 44
