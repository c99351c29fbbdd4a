"""Any query of a rendered resource is understood or refused; what is understood stays within the bounds."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hilum.dicomweb.negotiate import NotAcceptable
from hilum.dicomweb.render_query import MAX_SIDE, parse_render_query, uri_as_rs
from hilum.errors import UsageError
from hilum.pixels.formats import FORMATS
from hilum.types import PixelDescription

NAMES = [
    "viewport", "window", "quality", "annotation", "iccprofile", "bits", "region", "presentationUID",
    "presentationSeriesUID", "charset", "rows", "columns", "windowCenter", "windowWidth", "imageQuality",
]  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats().map(str),
    st.sampled_from(["", " ", "1e400", "-0", "²", "٣", "1_0", "0x5", "+7", "1e-300"]),
)
VALUES = st.one_of(
    st.lists(NUMBERS, max_size=7).map(",".join),
    st.text(max_size=12),
    st.sampled_from(["patient", "technique,patient", "srgb", "1,2,sigmoid", "0.1,0.2,0.5,0.6", "16", "1.2.3"]),
)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)
PIXELS = PixelDescription(60, 80, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData")


@given(PAIRS, st.sampled_from(list(FORMATS)))
@example([("quality", "²")], "image/png")
@example([("viewport", "1,1,0,0,1e-300,1")], "image/png")
def test_every_query(pairs: list[tuple[str, str]], media_type: str) -> None:
    check(pairs, media_type)


@given(PAIRS)
@example([("imageQuality", "²")])
def test_every_query_of_wado_uri(pairs: list[tuple[str, str]]) -> None:
    check(uri_as_rs({name.lower(): value for name, value in pairs}), "image/jpeg")


def check(pairs: list[tuple[str, str]], media_type: str) -> None:
    try:
        request = parse_render_query(pairs).request(PIXELS, media_type)
    except (UsageError, NotAcceptable):
        return
    settings = request.settings
    assert 0 <= settings.width <= MAX_SIDE and 0 <= settings.height <= MAX_SIDE
    assert 1 <= request.quality <= 100
    assert request.variant().isascii() and not set(request.variant()) & set(' "\r\n')
    if settings.region is not None:
        x, y, columns, rows = settings.region
        assert x >= 0 and y >= 0 and columns > 0 and rows > 0
