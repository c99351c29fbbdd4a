from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from hilum.dicomweb.http import Answer
from hilum.web.access_log import AccessLog
from hilum.web.assets import Assets
from hilum.web.gateway import Gateway, GatewaySettings
from hilum.web.metrics import Metrics
from hilum.web.protocol import ambiguity

if TYPE_CHECKING:
    from pathlib import Path

NAME = "Patient Smith"


async def plain(scope: Any, _receive: Any, send: Any) -> None:
    if scope["path"] == "/x/fail":
        raise RuntimeError(NAME)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def call(app: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, body


def gateway(settings: GatewaySettings = GatewaySettings(), log: str = "") -> Gateway:  # noqa: B008 - frozen
    return Gateway({"/x": plain}, plain, settings, Metrics(), AccessLog(log))


def test_errors_do_not_leak(caplog: pytest.LogCaptureFixture) -> None:
    status, _, body = call(gateway(), "/x/fail")
    assert status == 500
    assert b"Smith" not in body
    assert "Smith" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_too_many_requests_are_503() -> None:
    app = gateway(GatewaySettings(max_requests=0))
    status, headers, _ = call(app, "/x/")
    assert (status, headers["retry-after"]) == (503, "1")
    assert app.in_flight == 0


def test_prefixes_are_whole_segments() -> None:
    assert "cross-origin-resource-policy" in call(gateway(), "/x/studies")[1]
    assert "cross-origin-resource-policy" not in call(gateway(), "/xstudies")[1]


def test_private_network_preflight() -> None:
    status, headers, _ = call(
        gateway(GatewaySettings(cors_origins=("http://a",))),
        "/x/",
        "OPTIONS",
        origin="http://a",
        access_control_request_method="GET",
        access_control_request_private_network="true",
    )
    assert status == 204
    assert headers["access-control-allow-private-network"] == "true"


def test_pages_of_others_may_not_call_unless_configured() -> None:
    asked = {"origin": "http://evil", "access_control_request_method": "GET"}
    for app in (gateway(), gateway(GatewaySettings(cors_origins=("http://a",)))):
        _, headers, _ = call(app, "/x/", origin="http://evil")
        assert not [name for name in headers if name.startswith("access-control")]
        status, headers, _ = call(app, "/x/", "OPTIONS", **asked, access_control_request_private_network="true")
        assert status == 204
        assert not [name for name in headers if name.startswith("access-control")]
    assert call(gateway(), "/x/")[1]["cross-origin-resource-policy"] == "same-origin"
    everyone = gateway(GatewaySettings(cors_origins=("*",)))
    assert call(everyone, "/x/", origin="http://evil")[1]["access-control-allow-origin"] == "*"
    assert call(everyone, "/x/")[1]["cross-origin-resource-policy"] == "cross-origin"


def test_access_log_has_templates_only(tmp_path: Path) -> None:
    file = tmp_path / "log"
    app = gateway(log=str(file))
    call(app, "/x/1.2.3.4")
    app._log.close()
    assert "1.2.3.4" not in file.read_text()
    assert '"route":"/x"' in file.read_text()


def test_metrics_text() -> None:
    metrics = Metrics()
    metrics.observe_request("/a", "GET", 200, 0.01, 10)
    metrics.observe_store("stow", "stored", 0.01, 10)
    metrics.observe_store("stow", "refused DataError", 0.01, 10)
    metrics.flush()
    text, media_type = metrics.exposition({"hilum_x": ("Help", 3)})
    assert b'hilum_store_failures_total{reason="DataError",service="stow"} 1.0' in text
    assert b"# TYPE hilum_x gauge\nhilum_x 3\n" in text
    assert b'hilum_http_request_duration_seconds_count{method="GET",route="/a",status="200"} 1.0' in text
    assert media_type.startswith("text/plain")


def test_many_requests_are_counted_as_each_of_them_would() -> None:
    seconds = [0.0, 0.0005, 0.00051, 0.3, 99.0]
    together, alone = Metrics(), Metrics()
    for value in seconds:
        together.observe_request("/a", "GET", 200, value, 7)
        alone.observe_request("/a", "GET", 200, value, 7)
        alone.flush()
    together.flush()
    lines = [
        [line for line in metrics.exposition()[0].decode().splitlines() if "_created" not in line]
        for metrics in (together, alone)
    ]
    assert lines[0] == lines[1]
    bucket = 'hilum_http_request_duration_seconds_bucket{le="0.0005",method="GET",route="/a",status="200"} 2.0'
    assert bucket in lines[0]
    assert 'hilum_http_response_bytes_total{method="GET",route="/a"} 35.0' in lines[0]


class Prompt:
    """An application of a mount that answers at once."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer

    def at_once(self, _scope: Any) -> Answer | None:
        if self.answer is None:
            raise RuntimeError(NAME)
        return self.answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)


def test_answers_at_once_have_the_headers_of_all(tmp_path: Path) -> None:
    settings = GatewaySettings(cors_origins=("*",), token="secret")
    app = Prompt(Answer(200, [(b"content-length", b"2")], b"ok"))
    outer = Gateway({"/x": app}, plain, settings, Metrics(), AccessLog(str(tmp_path / "log")))
    scope = {"type": "http", "method": "GET", "path": "/x/1.2.3.4", "client": ("127.0.0.1", 1)}
    given = [(b"origin", b"http://one"), (b"authorization", b"Bearer secret")]
    answer = outer.at_once({**scope, "headers": given})
    assert answer is not None
    ordinary = call(outer, "/x/1.2.3.4", origin="http://one", authorization="Bearer secret")
    assert (answer[0], {k.decode(): v.decode() for k, v in answer[1]}, answer[2]) == ordinary
    assert outer.at_once({**scope, "headers": given[:1]}) is None
    assert outer.at_once({**scope, "path": "/y", "headers": given}) is None
    outer._log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["route"], line["status"], line["bytes"]) for line in lines] == [("/x", 200, 2)] * 2


def test_what_fails_at_once_is_told_in_the_ordinary_way() -> None:
    outer = Gateway({"/x": Prompt(None)}, plain, GatewaySettings(), Metrics(), AccessLog(""))
    assert outer.at_once({"method": "GET", "path": "/x/1", "headers": [], "client": None}) is None
    assert call(outer, "/x/1")[0] == 200


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("<p>" + "a" * 400)
    (folder / "a.js").write_text("1")
    (folder / ".hidden").write_text("no")
    (tmp_path / "secret").write_text("no")
    (folder / "link").symlink_to(tmp_path / "secret")
    return Assets(folder)


def test_assets(assets: Assets) -> None:
    status, headers, body = call(assets, "/", accept_encoding="gzip")
    assert (status, headers["content-type"], headers["content-encoding"]) == (200, "text/html; charset=utf-8", "gzip")
    assert call(assets, "/", if_none_match=headers["etag"])[0] == 304
    assert call(assets, "/a.js")[1]["content-type"] == "text/javascript; charset=utf-8"
    assert call(assets, "/a.js", "HEAD")[2] == b""
    assert call(assets, "/a.js", "POST")[0] == 405
    assert "content-security-policy" in headers
    assert body


@pytest.mark.parametrize(
    "path", ["/../secret", "/./../secret", "/.hidden", "/link", "/a.js/", "/a\0.js", "/..\\secret", "/none"]
)
def test_p51_assets_stay_inside(assets: Assets, path: str) -> None:
    assert call(assets, path)[0] == 404


def test_changed_file_is_served_again(assets: Assets) -> None:
    first = call(assets, "/a.js")[1]["etag"]
    (assets._folder / "a.js").write_text("22")
    assert call(assets, "/a.js")[1]["etag"] != first


def test_ambiguity_of_good_messages() -> None:
    assert ambiguity(b"GET", "1.1", b"/", [(b"host", b"a")]) == ""
    assert ambiguity(b"GET", "1.0", b"/", []) == ""
    assert ambiguity(b"POST", "1.1", b"/", [(b"host", b"a"), (b"transfer-encoding", b"Chunked")]) == ""
