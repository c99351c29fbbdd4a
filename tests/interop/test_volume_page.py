"""The page of planes and 3D in Chromium: what it shows is what the server renders, and the planes stay linked."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from objects import uid
from PIL import Image
from volume_objects import make_slice

if TYPE_CHECKING:
    from tests.interop.conftest import Site
    from tests.support.chromium import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("viewer")]
STILL = (
    "[...document.querySelectorAll('.pane:not([hidden])')].every(pane => pane.getAttribute('aria-busy') === 'false')"
)
NAMES = ("Axial", "Coronal", "Sagittal", "3D")


def address(site: Site, patient: str = "LIDC-IDRI-0314", modality: str = "CT") -> str:
    (series,) = httpx.get(
        f"{site.url}dicom-web/series", params={"Modality": modality, "PatientID": patient}, timeout=30
    ).json()
    study, uid = (series[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    return f"{site.url}volume.html#/study/{study}/series/{uid}"


def opened(page: Page, site: Site) -> None:
    page.goto("about:blank")
    page.goto(address(site))
    page.wait(f"document.querySelectorAll('.pane').length === 4 && {STILL}")


def requests(page: Page, kind: str) -> list[httpx.URL]:
    return [httpx.URL(url) for url in page.requests if f"/{kind}?" in url]


def pane(name: str) -> str:
    return f'.pane[data-pane="{name}"]'


def test_planes_are_the_servers_images(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    asked = requests(desktop, "renderedmpr")
    assert {url.params["viewpointup"] for url in asked} == {"0,-1,0", "0,0,1"}
    screen = np.asarray(Image.open(io.BytesIO(desktop.screenshot())).convert("L"), np.float64)
    for name in NAMES[:3]:
        left, top, width, height = (round(value) for value in desktop.box(pane(name)))
        part = screen[top + 40 : top + height - 40, left + 40 : left + width - 40]
        assert part.std() > 10, name
    answer = httpx.get(str(asked[-1]), headers={"Accept": "image/jpeg"}, timeout=60)
    assert answer.status_code == 200
    size = Image.open(io.BytesIO(answer.content)).size
    assert size == tuple(int(value) for value in asked[-1].params["viewport"].split(","))
    (solid,) = requests(desktop, "rendered3d")
    assert (solid.params["renderingmethod"], solid.params["preset"]) == ("volume_rendered", "ct-bone")


def test_a_click_moves_the_other_planes_there(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    before = len(desktop.requests)
    left, top, width, height = desktop.box(pane("Axial"))
    desktop.drag((left + width * 0.5, top + height * 0.5), (left + width * 0.6, top + height * 0.5))
    desktop.wait(STILL)
    looks = [httpx.URL(url).params["viewpointlookat"] for url in desktop.requests[before:] if "renderedmpr" in url]
    first = [url.params["viewpointlookat"] for url in requests(desktop, "renderedmpr")[:3]]
    moved = {tuple(map(float, look.split(","))) for look in looks}
    middle = tuple(map(float, first[0].split(",")))
    assert any(abs(look[0] - middle[0]) > 5 for look in moved)
    assert all(abs(look[1] - middle[1]) < 3 for look in moved)


def test_end_of_a_line_turns_the_plane(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    left, top, width, height = desktop.box(pane("Axial"))
    x, y = left + width / 2, top + height / 2
    arm = min(width, height) * 0.38
    desktop.drag((x + arm, y), (x + arm * 0.9, y + arm * 0.4), steps=6)
    desktop.wait(STILL)
    last = requests(desktop, "renderedmpr")[-1]
    look, position = (
        np.array(list(map(float, last.params[f"viewpoint{name}"].split(",")))) for name in ("lookat", "position")
    )
    direction = (look - position) / np.linalg.norm(look - position)
    assert np.abs(direction).max() < 0.99


def test_slab_window_and_scene_are_asked_for(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    for label, value in (("Slab", "20"), ("Slab of", "maximum_ip"), ("Window", "2"), ("3D", "Soft tissue")):
        desktop.evaluate(
            f"(() => {{ const box = document.querySelector('select[aria-label=\"{label}\"]'); box.value = '{value}';"
            " box.dispatchEvent(new Event('change')); })()"
        )
    desktop.wait(STILL)
    last = requests(desktop, "renderedmpr")[-1].params
    assert (last["mprslab"], last["renderingmethod"], last["window"]) == ("20", "maximum_ip", "480,2500,linear-exact")
    assert requests(desktop, "rendered3d")[-1].params["preset"] == "ct-soft-tissue"


def test_an_overlay_is_chosen_with_its_opacity(desktop: Page, site: Site) -> None:
    (segments,) = [
        series
        for series in httpx.get(f"{site.url}dicom-web/series", params={"Modality": "PT"}, timeout=30).json()
        for other in httpx.get(
            f"{site.url}dicom-web/series",
            params={"Modality": "SEG", "StudyInstanceUID": series["0020000D"]["Value"][0]},
            timeout=30,
        ).json()
    ]
    study, series = (segments[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    desktop.goto("about:blank")
    desktop.goto(f"{site.url}volume.html#/study/{study}/series/{series}")
    desktop.wait(f"document.querySelector('select[aria-label=\"Overlay\"]') !== null && {STILL}")
    assert not any("overlay" in url.params for url in requests(desktop, "renderedmpr"))
    desktop.evaluate(
        "(() => { const box = document.querySelector('select[aria-label=\"Overlay\"]'); box.selectedIndex = 1;"
        " box.dispatchEvent(new Event('change')); const range = document.querySelector('input[type=range]');"
        " range.value = '80'; range.dispatchEvent(new Event('input')); })()"
    )
    desktop.wait(STILL)
    for kind in ("renderedmpr", "rendered3d"):
        asked = requests(desktop, kind)[-1]
        uid, opacity = asked.params["overlay"].split(",")
        assert opacity == "opacity:0.8" and uid != series
        answer = httpx.get(str(asked), headers={"Accept": "image/jpeg"}, timeout=60)
        assert answer.status_code == 200, answer.text
    assert desktop.evaluate("document.querySelector('[role=alert]') === null")


def test_a_volume_over_time_is_shown_at_each_and_as_a_cine(desktop: Page, site: Site) -> None:
    brightness = (100, 500, 900)
    slices = [
        make_slice(
            np.full((48, 48), value, np.int16), (0.0, 0.0, 2.0 * k), instance=8 * t + k + 1, series=4, study=44,
            modality="MR", intercept=0.0, extra={0x00200100: ("IS", str(t + 1)), 0x00281050: ("DS", "500"),
                                                 0x00281051: ("DS", "1000")},
        )
        for t, value in enumerate(brightness)
        for k in range(8)
    ]  # fmt: skip
    client = DICOMwebClient(f"{site.url}dicom-web")
    client.store_instances([pydicom.dcmread(io.BytesIO(one), force=True) for one in slices])
    study, series = uid(1, 44), uid(2, 44, 4)
    desktop.goto("about:blank")
    desktop.goto(f"{site.url}volume.html#/study/{study}/series/{series}")
    desktop.wait(f"document.querySelector('.time-choice') !== null && {STILL}")
    for time in (2, 3):
        desktop.evaluate(
            "(() => { const range = document.querySelector('input[aria-label=\"Time point\"]');"
            f" range.value = '{time}'; range.dispatchEvent(new Event('input')); }})()"
        )
        desktop.wait(STILL)
        asked = requests(desktop, "renderedmpr")[-1]
        assert asked.params["timepoint"] == str(time)
        answer = httpx.get(str(asked), headers={"Accept": "image/png"}, timeout=60)
        middle = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert abs(int(middle[middle.shape[0] // 2, middle.shape[1] // 2]) - brightness[time - 1] * 255 / 1000) < 3
    beyond = httpx.get(str(asked.copy_set_param("timepoint", "4")), timeout=60)
    assert (beyond.status_code, "3 time points" in beyond.text) == (404, True)
    desktop.evaluate("document.querySelector('.time-choice button').click()")
    desktop.wait("document.querySelector('.time-choice output').textContent === '2 / 3'")
    desktop.wait("document.querySelector('.time-choice output').textContent === '1 / 3'")
    desktop.evaluate("document.querySelector('.time-choice button').click()")
    desktop.wait(STILL)
    assert desktop.evaluate("document.querySelector('[role=alert]') === null")


def test_drag_turns_the_volume(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    left, top, width, height = desktop.box(pane("3D"))
    desktop.drag((left + width / 2, top + height / 2), (left + width / 2 + 120, top + height / 2))
    desktop.wait(STILL)
    asked = requests(desktop, "rendered3d")
    assert asked[-1].params["viewpointposition"] != asked[0].params["viewpointposition"]
    assert any(url.params.get("interactive") == "yes" for url in asked)
    assert "interactive" not in asked[-1].params


def test_series_that_is_no_volume_is_told(desktop: Page, site: Site) -> None:
    desktop.goto("about:blank")
    desktop.goto(address(site, "9RG1", "CR"))
    desktop.wait("document.querySelector('[role=alert]') !== null")
    assert "no volume" in desktop.evaluate("document.querySelector('[role=alert]').textContent")


def test_two_fingers_enlarge_and_move_what_they_hold(phone: Page, site: Site) -> None:
    opened(phone, site)
    first = requests(phone, "renderedmpr")[-1].params
    left, top, width, height = phone.box(pane("Axial"))
    x, y = left + width / 2, top + height / 2
    phone.swipe(((x - 40, y), (x - 110, y)), ((x + 40, y), (x + 130, y)))
    phone.wait(STILL)
    last = requests(phone, "renderedmpr")[-1].params
    factor = float(first["fieldofview"]) / float(last["fieldofview"])
    assert abs(factor - 3) < 0.1
    middle, moved = (np.array(list(map(float, one["viewpointlookat"].split(",")))) for one in (first, last))
    # What was between the fingers is 10 pixels to the right now, which are so many millimetres to the right before it.
    assert abs(moved[0] - middle[0] + 10 * float(last["fieldofview"]) / width) < 2
    assert abs(moved[1] - middle[1]) < 2 and abs(moved[2] - middle[2]) < 1e-3
    words = phone.evaluate("document.querySelector('.pane-title small').textContent")
    phone.evaluate("document.querySelector('button[aria-label=\"Reset\"]').click()")
    phone.wait(STILL)
    assert requests(phone, "renderedmpr")[-1].params["fieldofview"] == first["fieldofview"]
    assert words == phone.evaluate("document.querySelector('.pane-title small').textContent")


def test_planes_say_where_they_are_and_how_large(desktop: Page, site: Site) -> None:
    opened(desktop, site)
    for name in NAMES:
        box = desktop.evaluate(
            f"(() => {{ const pane = document.querySelector('{pane(name)}');"
            " return [pane.querySelector('small').textContent,"
            " [...pane.querySelectorAll('.letters b')].map(one => one.textContent).join(''),"
            " pane.querySelector('.scale').textContent,"
            " pane.querySelector('.scale i').getBoundingClientRect().width]; })()"
        )
        words, letters, length, pixels = box
        asked = requests(desktop, "rendered3d" if name == "3D" else "renderedmpr")
        if name == "Axial":
            assert letters == "RLAP" and "mm" in words and "W 2000" in words
        millimetres = float(length.split()[0]) * (10 if "cm" in length else 1)
        per_pixel = {float(url.params["fieldofview"]) / int(url.params["viewport"].split(",")[0]) for url in asked}
        assert any(abs(millimetres / pixels - one) < 0.02 * one for one in per_pixel), name
    before = {url.params["fieldofview"] for url in requests(desktop, "rendered3d")}
    left, top, width, height = desktop.box(pane("3D"))
    desktop.drag((left + width / 2, top + height / 2), (left + width / 2, top + height / 2 + 150))
    desktop.wait(STILL)
    final = [url for url in requests(desktop, "rendered3d") if "interactive" not in url.params]
    assert final[-1].params["fieldofview"] in before  # it does not change its size while it turns


def test_phone_shows_one_pane_and_offers_the_others(phone: Page, site: Site) -> None:
    opened(phone, site)
    shown = "[...document.querySelectorAll('.pane:not([hidden])')].map(pane => pane.dataset.pane)"
    assert phone.evaluate(shown) == ["Axial"]
    _left, _top, width, height = phone.box(pane("Axial"))
    assert width == 390
    assert height > 700
    phone.evaluate(
        "(() => { const box = document.querySelector('.pane-choice select'); box.value = '3D';"
        " box.dispatchEvent(new Event('change')); })()"
    )
    phone.wait(STILL)
    assert phone.evaluate(shown) == ["3D"]
