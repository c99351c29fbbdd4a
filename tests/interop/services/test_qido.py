"""QIDO-RS against a running server; the numbers are the pitfalls of clients in use (Q-1 ... Q-8, M-5, M-6)."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from objects import make_object

import hilum

pytestmark = pytest.mark.xdist_group("live_server")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"


_NUMBERS = itertools.count(5_000)


def new_study(date: str) -> bytes:
    """An object of a study that nobody has."""
    return make_object(study=next(_NUMBERS), date=date)


def value(answer: dict[str, Any], tag: str) -> Any:
    return answer[tag]["Value"][0]


@pytest.fixture(scope="module")
def cine() -> pydicom.Dataset:
    return pydicom.dcmread(DEMO / "us-cine.dcm")


def test_q1_study_list_of_ohif(web: httpx.Client) -> None:
    query = "limit=101&offset=0&fuzzymatching=true&includefield=00081030,00080060,00080090,00100030"
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    found = answer.json()
    assert len(found) > 5
    for study in found:
        assert {"0020000D", "00080061", "00201208", "00201206", "00081190", "00080005", "00080056"} <= set(study)
        assert study["00080005"]["Value"] == ["ISO_IR 192"]
        assert value(study, "00081190") == f"{str(web.base_url).rstrip('/')}/studies/{value(study, '0020000D')}"
    dates = [(study.get("00080020", {}).get("Value") or [""])[0] for study in found]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("modalities", ["US", "US,MR", "US%5CMR"])
def test_q1_modalities_in_study(web: httpx.Client, modalities: str) -> None:
    found = web.get(f"/studies?ModalitiesInStudy={modalities}").json()
    wanted = set(modalities.replace("%5C", ",").split(","))
    assert found
    assert all(wanted & set(study["00080061"]["Value"]) for study in found)


def test_q1_wildcards_names_and_ranges(web: httpx.Client, cine: pydicom.Dataset) -> None:
    everyone = web.get("/studies").json()
    name = next(value(s, "00100010")["Alphabetic"] for s in everyone if s.get("00100010", {}).get("Value"))
    part = name[1:4]
    for text in (part.lower(), part.upper()):
        found = web.get("/studies", params={"PatientName": f"*{text}*"}).json()
        assert name in [value(s, "00100010")["Alphabetic"] for s in found if "00100010" in s]
    ident = next(value(s, "00100020") for s in everyone if s.get("00100020", {}).get("Value"))
    assert web.get("/studies", params={"00100020": f"*{ident[1:]}*"}).json()
    date = next(value(s, "00080020") for s in everyone if s.get("00080020", {}).get("Value"))
    assert web.get("/studies", params={"StudyDate": f"{date}-{date}"}).json()


@pytest.mark.parametrize("separator", [",", "\\"])
def test_q2_lists_of_uids(web: httpx.Client, separator: str) -> None:
    uids = [value(s, "0020000D") for s in web.get("/studies").json()][:3]
    found = web.get("/studies", params={"StudyInstanceUID": separator.join(uids)}).json()
    assert {value(s, "0020000D") for s in found} == set(uids)


def test_q4_series_and_instances_of_weasis(web: httpx.Client, cine: pydicom.Dataset) -> None:
    study = f"/studies/{cine.StudyInstanceUID}"
    series = web.get(
        f"{study}/series?0020000E={cine.SeriesInstanceUID}&includefield=00201209&includefield=00080021"
    ).json()
    assert value(series[0], "00201209") >= 1
    assert value(series[0], "0020000D") == cine.StudyInstanceUID, "M-5"
    assert {"00080060", "0020000E", "00200011", "00081190"} <= set(series[0])
    found = web.get(f"{study}/series/{cine.SeriesInstanceUID}/instances?limit=1&offset=0").json()
    assert len(found) == 1
    assert value(found[0], "00280008") == 30
    every = web.get(f"{study}/instances").json()
    assert cine.SOPInstanceUID in [value(i, "00080018") for i in every]


@pytest.mark.parametrize("resource", ["/patients", "/studies", "/series", "/instances"])
def test_every_level_without_a_key(web: httpx.Client, resource: str) -> None:
    assert len(web.get(f"{resource}?limit=3").json()) == 3


def test_q5_what_is_not_known_is_ignored_with_a_warning(web: httpx.Client) -> None:
    answer = web.get("/studies?NoSuchKeyword=1&limit=1")
    assert answer.status_code == 200
    base = str(web.base_url).rstrip("/")
    assert any(text.startswith(f'299 {base}: "') for text in answer.headers.get_list("warning"))


def test_q5_more_results_are_announced(web: httpx.Client) -> None:
    total = len(web.get("/studies").json())
    answer = web.get("/studies?limit=2")
    assert f'"There are {total - 2} additional results that can be requested"' in answer.headers["warning"]
    assert "warning" not in web.get(f"/studies?limit={total}").headers


def test_q5_warning_cannot_be_forged(web: httpx.Client) -> None:
    answer = web.get("/studies?limit=1&a%22b%0d%0aX-Evil:%201=1")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers


def test_m6_paging_by_dicomweb_client(live_server: Any, web: httpx.Client) -> None:
    everyone = [value(s, "0020000D") for s in web.get("/studies").json()]
    client = DICOMwebClient(live_server.dicomweb)
    paged = client.search_for_studies(limit=2, get_remaining=True)
    assert [value(s, "0020000D") for s in paged] == everyone
    beyond = web.get(f"/studies?limit=2&offset={len(everyone) + 5}")
    assert (beyond.status_code, beyond.content) == (204, b"")


def test_nothing_found_is_204(web: httpx.Client, live_server: Any) -> None:
    assert web.get("/studies?PatientID=nobody-at-all").status_code == 204
    assert web.get("/studies/1.2.3/series").status_code == 204
    assert DICOMwebClient(live_server.dicomweb).search_for_studies(search_filters={"PatientID": "nobody-at-all"}) == []


def test_q7_pages_do_not_shift_while_studies_come_in(web: httpx.Client, live_server: Any) -> None:
    seen = []
    total = len(web.get("/studies").json())
    for page in range(0, total + 3, 2):
        answer = web.get(f"/studies?limit=2&offset={page}")
        if answer.status_code == 204:
            break
        seen += [value(s, "0020000D") for s in answer.json()]
        stored = web.post("/studies", content=new_study("29991231"), headers={"Content-Type": "application/dicom"})
        assert stored.status_code == 200
    assert len(seen) == len(set(seen)) == total
    assert value(web.get("/studies?limit=1").json()[0], "00080020") == "29991231"


def test_sort_extension(web: httpx.Client) -> None:
    found = web.get("/studies?sort=StudyDate&limit=50").json()
    dates = [(s.get("00080020", {}).get("Value") or [""])[0] for s in found]
    assert dates == sorted(dates)
    assert web.get("/studies?sort=Nonsense").status_code == 400


def test_includefield_all_and_header_fields(web: httpx.Client, cine: pydicom.Dataset) -> None:
    path = f"/studies/{cine.StudyInstanceUID}/instances"
    some = web.get(path).json()[0]
    every = web.get(f"{path}?includefield=all").json()[0]
    assert len(every) > len(some)
    named = web.get(f"{path}?includefield=PhotometricInterpretation").json()[0]
    assert value(named, "00280004") == cine.PhotometricInterpretation


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "offset=-1",
        "fuzzymatching=perhaps",
        "StudyDate=yesterday",
        "StudyDate=20240101-x",
        "PatientName=%ff",
    ],
)
def test_queries_that_cannot_be(web: httpx.Client, query: str) -> None:
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 400
    assert "yesterday" not in answer.text, "no values in messages"


def test_answers_as_xml_and_unacceptable_ones(web: httpx.Client) -> None:
    xml = web.get("/studies?limit=1", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    assert b"<NativeDicomModel" in xml.content
    assert web.get("/studies", headers={"Accept": "image/png"}).status_code == 406
    assert web.get("/studies?accept=application/json", headers={"Accept": "image/png"}).status_code == 200


def test_s5_a_new_series_is_found_at_once_by_every_worker(web: httpx.Client) -> None:
    raw = new_study("20200101")
    ds = pydicom.dcmread(io.BytesIO(raw))
    assert web.post("/studies", content=raw, headers={"Content-Type": "application/dicom"}).status_code == 200
    for _ in range(8):
        answer = web.get(f"/studies/{ds.StudyInstanceUID}/series", headers={"Connection": "close"})
        assert value(answer.json()[0], "0020000E") == ds.SeriesInstanceUID
        assert web.get(f"/studies/{ds.StudyInstanceUID}/metadata", headers={"Connection": "close"}).status_code == 200


def test_openapi_describes_every_route(live_server: Any, web: httpx.Client) -> None:
    import httpx as client

    document = client.get(f"{live_server.url}/api/openapi.json").json()
    assert "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}" in document["paths"]
    assert "/api/statistics" in document["paths"]
    page = client.get(f"{live_server.url}/api/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("http://www.w3.org", ""), "nothing from elsewhere"
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert client.get(f"{live_server.url}/api/docs/{name}").status_code == 200
    with hilum.open(live_server.root) as archive:
        assert client.get(f"{live_server.url}/api/version").json()["archive"] == str(archive.uuid)
    counts = client.get(f"{live_server.url}/api/statistics").json()
    assert counts["instances"] > 100
    events = client.get(f"{live_server.url}/api/events?limit=2").json()
    assert [e["sequence"] for e in events["events"]] == [1, 2]


def test_q6_case_of_texts_is_a_setting(start: Any, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with hilum.open(root) as archive:
        archive.store(make_object(patient="AbC"))
    for setting, found in (("true", 204), ("false", 200)):
        server = start(root, "--workers", "1", HILUM__INDEX__CASE_SENSITIVE=setting)
        with httpx.Client(base_url=server.dicomweb) as client:
            assert client.get("/studies", params={"PatientID": "AbC"}).status_code == 200
            assert client.get("/studies", params={"PatientID": "aBc"}).status_code == found
            assert client.get("/studies", params={"PatientID": "a*"}).status_code == found
            assert client.get("/studies", params={"PatientName": "fAMILY*"}).status_code == 200
