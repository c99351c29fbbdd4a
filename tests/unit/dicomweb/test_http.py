from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum import errors
from hilum.codecs.jp2 import jp2_boxed
from hilum.dicom.status import store_failure
from hilum.dicomweb import http
from hilum.dicomweb.http import Request
from hilum.dicomweb.paging import PagingMemory
from hilum.dicomweb.qido import parse_parameters
from hilum.dicomweb.render_query import Viewport, parse_render_query
from hilum.dicomweb.small_cache import SmallCache
from hilum.dicomweb.status import HTTP_STATUS, http_status
from hilum.dicomweb.stow import Outcome, response_data_set, response_status
from hilum.dicomweb.xml import native_dicom_model
from hilum.types import PixelDescription


def request(query: bytes = b"", **headers: str) -> Request:
    scope: dict[str, Any] = {
        "method": "GET",
        "query_string": query,
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "hilum.mount": "/dicom-web",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    return Request(scope, None, "/studies")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", (206, 0, 10)),
        ("bytes=90-", (206, 90, 100)),
        ("bytes=90-1000", (206, 90, 100)),
        ("bytes=-10", (206, 90, 100)),
        ("bytes=-1000", (206, 0, 100)),
        ("Bytes = 1 - 2", (200, 0, 100)),
        (" bytes=1-2 ", (206, 1, 3)),
        ("bytes=100-", (416, 0, 0)),
        ("bytes=-0", (416, 0, 0)),
        ("bytes=9-1", (200, 0, 100)),
        ("bytes=-", (200, 0, 100)),
        ("bytes=0-1,5-6", (200, 0, 100)),
        ("items=0-1", (200, 0, 100)),
        ("bytes=0-" + "9" * 40, (200, 0, 100)),
    ],
)
def test_ranges(value: str, expected: tuple[int, int, int]) -> None:
    part = http.apply_range(request(range=value), 100)
    assert (part.status, part.start, part.stop) == expected


@given(st.binary(max_size=40))
def test_any_range_header_is_harmless(value: bytes) -> None:
    scope = {"method": "GET", "query_string": b"", "headers": [(b"range", value)]}
    part = http.apply_range(Request(scope, None, ""), 50)  # type: ignore[arg-type]
    assert 0 <= part.start <= part.stop <= 50


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "a:8080"}, "http://a:8080/dicom-web"),
        ({"host": "a", "x_forwarded_host": "b", "x_forwarded_proto": "https"}, "https://b/dicom-web"),
        ({"host": "a", "forwarded": 'host="c:1";proto=https'}, "https://c:1/dicom-web"),
        ({"host": "a", "x_forwarded_prefix": "/pacs/"}, "http://a/pacs/dicom-web"),
        ({"host": "a", "x_forwarded_prefix": '/"x'}, "http://a/dicom-web"),
        ({"host": 'a"b'}, "http://127.0.0.1:8080/dicom-web"),
        ({"host": "a", "x_forwarded_proto": "gopher"}, "http://127.0.0.1:8080/dicom-web"),
        ({"host": "[::1]:80"}, "http://[::1]:80/dicom-web"),
    ],
)
def test_base_url(headers: dict[str, str], expected: str) -> None:
    assert request(**headers).base_url() == expected


def test_queries() -> None:
    assert http.parse_query(b"a=1&b=%C3%A9+x&c&=d&&") == [("a", "1"), ("b", "é x"), ("c", ""), ("", "d")]
    for bad in (b"a=%ff", b"\xff"):
        with pytest.raises(errors.UsageError):
            http.parse_query(bad)


def test_gzip_and_etags() -> None:
    assert http.accepts_gzip(request(accept_encoding="br, gzip"))
    assert not http.accepts_gzip(request(accept_encoding="gzip;q=0"))
    assert not http.accepts_gzip(request())
    assert http.etag_matches(request(if_none_match='W/"a", "b"'), b'"a"')
    assert http.etag_matches(request(if_none_match="*"), b'"a"')
    assert not http.etag_matches(request(if_none_match='"b"'), b'"a"')


def test_search_parameters() -> None:
    query = (
        b"PatientID=a&PatientID=b&includefield=x,y&includefield=z&LIMIT=5&offset=2&fuzzymatching=TRUE&sort=-StudyDate"
    )
    found = parse_parameters(http.parse_query(query + b"&accept=a/b&emptyvaluematching=true"))
    assert found.keys == {"PatientID": "a\\b"}
    assert found.includefield == ["x", "y", "z"]
    assert (found.limit, found.offset, found.fuzzy, found.order, found.empty_values) == (5, 2, True, "-StudyDate", True)


def test_paging_memory() -> None:
    now = [1000.0]
    memory = PagingMemory(64, keep_s=10, clock=lambda: now[0])
    memory.remember(b"me", b"q", 0, 7)
    memory.remember(b"me", b"q", 50, 7)
    memory.remember(b"me", b"q", 0, 9)
    assert memory.recall(b"me", b"q", 50) == 7, "the chain of pages, not the newest first page"
    assert memory.recall(b"me", b"q", 100) == 9, "a page that was jumped to belongs to the newest first page"
    assert memory.recall(b"other", b"q", 50) is None
    assert memory.recall(b"me", b"other", 50) is None
    now[0] += 11
    assert memory.recall(b"me", b"q", 50) is None
    for number in range(1000):
        memory.remember(b"%d" % number, b"q", 0, number)
    assert memory.recall(b"999", b"q", 0) == 999


def test_a_torn_entry_is_not_believed() -> None:
    memory = PagingMemory(4)
    memory.remember(b"me", b"q", 0, 7)
    raw = memory._memory[:]
    for place in range(len(raw)):
        memory._memory[place] = raw[place] ^ 1
        assert memory.recall(b"me", b"q", 0) in (None, 7)
        memory._memory[place] = raw[place]


def test_every_error_has_a_status_and_a_reason() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HilumError)]
    for kind in kinds:
        if kind is not errors.HilumError:
            assert kind in HTTP_STATUS
            assert 400 <= http_status(kind("x")) < 600
            assert store_failure(kind("x")) != 0x0110
    assert http_status(ValueError()) == 500
    assert store_failure(ValueError()) == 0x0110


GOOD = Outcome("1.1", "1.2", "1.3", "1.4")
BAD = Outcome("1.1", "1.5", failure=0xC000, error=errors.DataError("x"))
FULL = Outcome(failure=0xA700, error=errors.Unavailable("x", code=201))
BUSY = Outcome(failure=0xA700, error=errors.Unavailable("x"))


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([GOOD], 200),
        ([GOOD, GOOD], 200),
        ([GOOD, BAD], 202),
        ([Outcome("1.1", "1.2", "1.3", "1.4", warning=0xB000)], 202),
        ([BAD], 409),
        ([BAD, FULL], 409),
        ([FULL], 507),
        ([BUSY], 503),
        ([GOOD, FULL], 202),
    ],
)
def test_s2_response_status(outcomes: list[Outcome], status: int) -> None:
    assert response_status(outcomes) == status


def test_s2_empty_sequences_are_left_out() -> None:
    assert set(response_data_set([GOOD], "u")) == {"00081190", "00081199"}
    assert set(response_data_set([BAD], "u")) == {"00081198"}
    assert set(response_data_set([FULL], "u")) == {"0008119A"}
    two = response_data_set([GOOD, Outcome("1.1", "1.2", "9.9", "1.4")], "u")
    assert "00081190" not in two, "no one study to point to"


PIXELS = PixelDescription(100, 200, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData")


def test_render_query() -> None:
    found = parse_render_query(
        [("viewport", "10,20,1,2,-3,-4"), ("window", "1.5,2,sigmoid"), ("quality", "7"), ("annotation", "patient,x")]
    )
    request = found.request(PIXELS, "image/jpeg")
    settings = request.settings
    assert (settings.width, settings.height, settings.region, request.quality) == (10, 20, (1, 2, 3, 4), 7)
    assert (settings.rotation, settings.flip) == (180, False)
    assert settings.window is not None
    assert (settings.window.center, settings.window.width, settings.window.function) == (1.5, 2, "SIGMOID")
    assert request.legends == {"patient"} and found.warnings


@pytest.mark.parametrize(
    ("value", "region", "rotation", "flip"),
    [
        ("10,20", None, 0, False),
        ("10,20,,,,", None, 0, False),
        ("10,20,5,", (5, 0, 195, 100), 0, False),
        ("10,20,,,-200", (0, 0, 200, 100), 0, True),
        ("10,20,,,,-100", (0, 0, 200, 100), 180, True),
        ("10,20,1.4,2.6,10.4,20", (1, 3, 10, 20), 0, False),
    ],
)
def test_viewports(value: str, region: tuple[int, ...] | None, rotation: int, flip: bool) -> None:
    settings = parse_render_query([("viewport", value)]).request(PIXELS, "image/png").settings
    assert (settings.region, settings.rotation, settings.flip) == (region, rotation, flip)


def test_repeated_parameters_are_one_list() -> None:
    """dicomweb-client sends a tuple so."""
    found = parse_render_query([("viewport", "40"), ("viewport", "30"), ("window", "1"), ("window", "2")])
    assert found.viewport == Viewport(40, 30) and found.window is not None


def test_small_cache() -> None:
    cache = SmallCache(100)
    cache.put("big", b"x" * 26)
    assert cache.get("big") is None
    for number in range(10):
        cache.put(str(number), b"x" * 20)
    assert [key for key in map(str, range(10)) if cache.get(key)] == ["5", "6", "7", "8", "9"]


def test_jp2_boxes() -> None:
    codestream = (
        b"\xff\x4f\xff\x51"
        + bytes(4)
        + b"".join(n.to_bytes(4, "big") for n in (640, 480, 0, 0))
        + bytes(16)
        + b"\0\3\7"
        + bytes(20)
    )
    boxed = jp2_boxed(codestream)
    assert boxed.endswith(codestream)
    assert boxed[4:8] == b"jP  "
    assert (480).to_bytes(4, "big") + (640).to_bytes(4, "big") + b"\0\3\7" in boxed
    assert jp2_boxed(b"junk") == b"junk"


def test_xml_is_escaped() -> None:
    text = native_dicom_model(
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "<a>^&"}]}, "00080050": {"vr": "SH", "Value": ["\0<"]}}
    )
    assert b"<FamilyName>&lt;a&gt;</FamilyName><GivenName>&amp;</GivenName>" in text
    assert b"\0" not in text


@pytest.mark.parametrize("server_takes_pieces", [True, False])
def test_a_body_in_pieces(server_takes_pieces: bool) -> None:
    sent: list[Any] = []

    async def sender(message: Any) -> None:
        sent.append(message)

    body = http.Pieces([b"--b\r\n\r\n", b"frame", b"\r\n--b--\r\n"])
    assert len(body) == 21
    asyncio.run(http.send(None, sender, http.Answer(200, [], body), pieces=server_takes_pieces))  # type: ignore[arg-type]
    given = sent[1]["body"]
    assert given is body if server_takes_pieces else given == b"--b\r\n\r\nframe\r\n--b--\r\n"
