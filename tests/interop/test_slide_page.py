"""The page of slides and large images in Chromium: OpenSeadragon, which we did not write, shows our tiles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from slide_segmentations import circles, segmentation_of_slide
from slides import ROOT, halved, tissue, write_slide
from tests.interop.conftest import checked, served
from tests.support.viewer import difference, server_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    from tests.interop.conftest import Site
    from tests.support.chromium import Chromium, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("viewer")]
RESET = "loaded before reset"  # of a tile that is not wanted any more
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
    page.expected_errors = (POLICY, RESET)
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


# Slides

SIDE = 512
LIGHT, FOCUS = "select[aria-label=Light]", "input[aria-label='Focal plane']"
OVERLAY, OPACITY = "select[aria-label=Overlay]", "input[aria-label='Opacity of the overlay']"


def variants(pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """What two optical paths show in two focal planes each."""
    return [pixels, pixels // 2, pixels[..., ::-1], 255 - pixels]


def write_planes(path: Path, pixels: npt.NDArray[np.uint8], number: int) -> None:
    """A level with two optical paths and two focal planes."""
    frames = b""
    for one in variants(pixels):
        write_slide(path, one, number=number, tile=128)
        dataset = pydicom.dcmread(path)
        frames += dataset.PixelData
    dataset.NumberOfFrames = 4 * dataset.NumberOfFrames
    dataset.TotalPixelMatrixFocalPlanes = 2
    paths = []
    for identifier, words in (("1", "Bright field"), ("2", "Fluorescence")):
        item = pydicom.Dataset()
        item.OpticalPathIdentifier, item.OpticalPathDescription = identifier, words
        paths.append(item)
    dataset.OpticalPathSequence = paths
    dataset.PixelData = frames
    dataset.save_as(path)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("slides")
    paths = [folder / f"{name}.dcm" for name in ("1", "2", "discs")]
    write_planes(paths[0], tissue(SIDE, SIDE), 1)
    write_planes(paths[1], halved(tissue(SIDE, SIDE)), 2)
    labels = (circles(SIDE, SIDE) * [1, 2]).max(axis=-1).astype(np.uint8)
    discs = segmentation_of_slide(paths[0], labels, "LABELMAP", [1, 2], tile_size=(128, 128))
    discs.SeriesDescription = "Discs"
    discs.save_as(paths[2])
    with served(folder, paths) as started:
        yield started


@pytest.fixture
def wide(chromium: Chromium, slides: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    yield from checked(chromium.page(1400, 900), slides, request)


@pytest.fixture
def narrow(chromium: Chromium, slides: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    yield from checked(chromium.page(390, 844, scale=2, phone=True), slides, request)


def choose(page: Page, selector: str, value: str, event: str) -> npt.NDArray[np.uint8]:
    """Change a control; the screen when nothing changes any more."""
    page.evaluate(
        f"(one => {{ one.value = {value!r}; one.dispatchEvent(new Event({event!r})) }})"
        f"(document.querySelector({selector!r}))"
    )
    page.evaluate("new Promise(done => setTimeout(done, 600))")
    before = b""
    while (now := page.screenshot()) != before:
        before = now
        page.evaluate("new Promise(done => setTimeout(done, 400))")
    return np.asarray(Image.open(io.BytesIO(now)).convert("RGB")).astype(int)


def middle(page: Page, screen: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the square slide is on the screen, a quarter around its middle; left out what lies over it."""
    scale = screen.shape[1] / page.evaluate("innerWidth")
    left, top, width, height = (round(value * scale) for value in page.box(".slide-stage"))
    side = min(width, height)
    x, y = left + (width - side) // 2, top + (height - side) // 2
    return screen[y + side // 4 : y + side * 3 // 4, x + side // 4 : x + side * 3 // 4]


def fitted(pixels: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    part = pixels[SIDE // 4 : SIDE * 3 // 4, SIDE // 4 : SIDE * 3 // 4]
    return np.asarray(Image.fromarray(part).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)).astype(int)


def test_light_and_focus_of_a_slide(wide: Page, slides: Site) -> None:
    screen = shown(wide, f"{slides.url}slide.html#/study/{ROOT}.0/series/{ROOT}.1").astype(int)
    wide.wait(f"document.querySelector({FOCUS!r}) !== null")
    assert wide.evaluate(f"[...document.querySelector('{LIGHT}').options].map(one => one.text).join()") == (
        "Bright field,Fluorescence"
    )
    expected = variants(tissue(SIDE, SIDE))
    for steps, which in (([], 0), ([(FOCUS, "2", "input")], 1), ([(LIGHT, "2", "change")], 3)):
        for step in steps:
            screen = choose(wide, *step)
        found = middle(wide, screen)
        assert np.abs(found - fitted(expected[which], found.shape)).mean() < 5, which
    screen = choose(wide, FOCUS, "1", "input")
    found = middle(wide, screen)
    assert np.abs(found - fitted(expected[2], found.shape)).mean() < 5


def test_place_stays_when_something_else_is_chosen(wide: Page, slides: Site) -> None:
    shown(wide, f"{slides.url}slide.html#/study/{ROOT}.0/series/{ROOT}.1")
    wide.wait(f"document.querySelector({FOCUS!r}) !== null")
    home = choose(wide, FOCUS, "2", "input")
    for _ in range(2):
        wide.click("[aria-label='Zoom in']")
    before = choose(wide, FOCUS, "2", "input")
    assert np.abs(middle(wide, before) - middle(wide, home)).mean() > 10
    after = choose(wide, LIGHT, "2", "change")
    assert wide.evaluate("document.querySelector('.slide-stage').dataset.shown") == ";opticalpath=2;focalplane=2"
    dark, inverse = middle(wide, before), middle(wide, after)
    assert np.abs(255 - 2 * dark - inverse).mean() < 6


def test_segments_of_a_slide(wide: Page, slides: Site) -> None:
    plain = shown(wide, f"{slides.url}slide.html#/study/{ROOT}.0/series/{ROOT}.1").astype(int)
    series = wide.wait(f"[...document.querySelector('{OVERLAY}')?.options ?? []].at(-1)?.value")
    assert wide.evaluate(f"document.querySelector('{OVERLAY}').selectedOptions[0].text") == "None"
    under = choose(wide, OVERLAY, series, "change")
    changed = np.abs(middle(wide, under) - middle(wide, plain)).max(axis=-1) > 12
    inside = fitted(circles(SIDE, SIDE).max(axis=-1).astype(np.uint8) * 255, changed.shape) > 127
    assert (changed == inside).mean() > 0.97
    full = choose(wide, OPACITY, "100", "input")
    assert np.abs(middle(wide, full) - middle(wide, under)).mean() > 10
    assert np.abs(middle(wide, choose(wide, OVERLAY, "", "change")) - middle(wide, plain)).mean() < 2


def test_phone_has_the_choices_under_the_slide(narrow: Page, slides: Site) -> None:
    shown(narrow, f"{slides.url}slide.html#/study/{ROOT}.0/series/{ROOT}.1")
    narrow.wait(f"document.querySelector({OVERLAY!r}) !== null")
    _left, top, _width, height = narrow.box(".slide-stage")
    for selector in (LIGHT, FOCUS, OVERLAY):
        _x, y, _wide, high = narrow.box(selector)
        assert y >= top + height
        assert high >= 44
