"""What the viewer's tests do on the page again and again."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

import httpx
import numpy as np
from PIL import Image
from tests.support.chromium import PAINTED

if TYPE_CHECKING:
    import numpy.typing as npt
    from tests.support.chromium import Page

COUNT = "document.querySelector('.corner.bottom-left .count')?.textContent"
WINDOW = "document.querySelector('.corner.bottom-right .count')?.textContent"
SHOWN = (
    "!document.querySelector('.overlay').hidden && !document.querySelector('.status').dataset.state && "
    f"document.querySelector('.stage').getAttribute('aria-busy') === 'false' && {COUNT}"
)


def open_image(page: Page, url: str) -> str:
    """Open an address of the viewer and wait for its image; the image counter."""
    page.goto("about:blank")
    page.goto(url)
    return str(page.wait(SHOWN))


def position(page: Page) -> tuple[int, int]:
    """Number of the image on the screen and how many there are."""
    match = re.search(r"(\d+) / (\d+)", page.evaluate(COUNT))
    assert match is not None
    return int(match[1]), int(match[2])


def window_of(page: Page) -> tuple[float, float]:
    """Width and centre on the screen."""
    match = re.match(r"W (\S+)\s+L (\S+)", page.evaluate(WINDOW).replace("\u2212", "-"))
    assert match is not None
    return float(match[1]), float(match[2])


def canvas(page: Page) -> npt.NDArray[np.uint8]:
    """Pixels of the image canvas, ``(rows, columns, 3)`` uint8, on black."""
    url = page.evaluate(f"{PAINTED}.then(() => document.querySelector('canvas.image').toDataURL('image/png'))")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGBA")
    black = Image.new("RGBA", picture.size, "black")
    return np.asarray(Image.alpha_composite(black, picture).convert("RGB"))


def rendered_requests(page: Page) -> list[str]:
    """Addresses of rendered frames that were asked for, in that order."""
    return [url for url in page.requests if "/frames/" in url and "/rendered" in url]


def server_image(url: str) -> Image.Image:
    """Image that the server makes at this address."""
    answer = httpx.get(url, headers={"Accept": "image/jpeg" if "quality" in url else "image/png"}, timeout=30)
    assert answer.status_code == 200, url
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def expected_canvas(picture: Image.Image, size: tuple[int, int], aspect: float | None = None) -> npt.NDArray[np.uint8]:
    """The picture as large as fits and in the middle of a black canvas of this size (columns, rows)."""
    width, height = picture.size
    tall = height if aspect is None else width * aspect
    scale = min(size[0] / width, size[1] / tall)
    fitted = picture.resize((round(width * scale), round(tall * scale)), Image.Resampling.BICUBIC)
    whole = Image.new("RGB", size, "black")
    whole.paste(fitted, (round((size[0] - fitted.width) / 2), round((size[1] - fitted.height) / 2)))
    return np.asarray(whole)


def difference(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
