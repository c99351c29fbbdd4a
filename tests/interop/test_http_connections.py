"""Connections as hostile.

Slow and confused peers make them (F11, P38, P39), against uvicorn with our protocol on loopback.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from hilum.web.protocol import Limits, guarded, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST = Limits(head_s=1.0, stall_s=1.0, stall_bytes=512, head_bytes=8192, headers=50, connections=100)


async def application(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            break
    answer = b"x" * (16 << 20) if scope["path"] == "/large" else b"%s %d" % (scope["path"].encode(), len(body))
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Application:
    """Answers paths below ``/now`` beside ASGI, which never sees them."""

    def at_once(self, scope: Any) -> tuple[int, list[tuple[bytes, bytes]], Any] | None:
        if not scope["path"].startswith("/now"):
            return None
        body = [scope["path"].encode(), b" ", scope["query_string"]]
        return 200, [(b"content-length", b"%d" % sum(map(len, body)))], body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await application(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        Application(),
        http=guarded(FAST),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=2,
        proxy_headers=False,
        log_level="critical",
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        task = asyncio.ensure_future(watch(lambda: server.server_state.connections, 0.1))
        await server.serve(sockets=[listener])
        task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)


def talk(port: int, data: bytes, *, timeout: float = 5) -> bytes:
    """Send and read until the server closes or nothing comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as peer:
        peer.sendall(data)
        return read_all(peer)


def read_all(peer: socket.socket) -> bytes:
    received = b""
    try:
        while piece := peer.recv(65536):
            received += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return received


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
AMBIGUOUS = {
    "length and chunked": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "two equal lengths": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "signed length": POST + b"Content-Length: +4\r\n\r\nabcd",
    "hex length": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcd",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "blank in length": POST + b"Content-Length: 4 4\r\n\r\nabcd",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "host with path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "host with blank": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "target of another host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "target without slash": b"GET index HTTP/1.1\r\nHost: a\r\n\r\n",
    "star": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "coding gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "blank before colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "nul in value": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "nul in name": b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n",
    "bare cr": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
    "bad method": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "blank in target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "chunk size with sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
    "chunk size not hex": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabcd\r\n0\r\n\r\n",
    "chunk not ended": POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcdXX0\r\n\r\n",
    "chunk size huge": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcd",
    "header without colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "binary": bytes(range(1, 200)) + b"\r\n\r\n",
    "too many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(60)) + b"\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_request_is_400_and_closed(port: int, name: str) -> None:
    answer = talk(port, AMBIGUOUS[name] + GOOD)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:80]
    assert b"connection: close" in answer.lower()
    assert b"200 OK" not in answer, "what follows an ambiguous request must not be answered"


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_request_behind_a_good_one(port: int, name: str) -> None:
    answer = talk(port, GOOD + AMBIGUOUS[name] + GOOD)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:80]
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.index(b"/good 0") < answer.index(b"HTTP/1.1 400 "), "answers in the order of the requests"


@pytest.mark.parametrize(
    "request_bytes",
    [
        GOOD,
        b"GET http://a/good HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\n\r\n",
        b"POST /good HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /good HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_good_requests_pass(port: int, request_bytes: bytes) -> None:
    assert talk(port, request_bytes, timeout=1).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    data = b"".join(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"slow", b"one", b"two"))
    answer = talk(port, data, timeout=1.5)
    assert answer.index(b"/slow 0") < answer.index(b"/one 0") < answer.index(b"/two 0")


def test_error_in_a_body_is_not_answered_twice(port: int) -> None:
    data = POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcdXX"
    assert talk(port, data).count(b"HTTP/1.1 ") == 1


def closed_within(peer: socket.socket, seconds: float) -> bool:
    peer.settimeout(seconds)
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_silent_peer_is_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        assert closed_within(peer, 3)


@pytest.mark.parametrize("drip", [b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n"])
def test_dripping_head_is_closed(port: int, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(drip)
        started = time.monotonic()
        answer = b""
        while time.monotonic() - started < 4:
            try:
                peer.sendall(b"\r\n" if drip == b"\r\n" else b"a")
                peer.settimeout(0.2)
                piece = peer.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if not piece:
                break
            answer += piece
        assert time.monotonic() - started < 3
        assert not answer or answer.startswith(b"HTTP/1.1 408 ")


def test_dripping_head_after_a_good_request_is_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(GOOD)
        peer.recv(4096)
        peer.sendall(b"GET /")
        assert closed_within(peer, 3)


def test_dripping_body_is_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(POST + b"Content-Length: 100000\r\n\r\nabc")
        started = time.monotonic()
        while time.monotonic() - started < 5:
            try:
                peer.sendall(b"a")
                time.sleep(0.1)
                peer.settimeout(0.05)
                if not peer.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - started < 4


def test_peer_that_does_not_read_is_closed(port: int) -> None:
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", port))
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(3)
        assert len(read_all(peer)) < 16 << 20


def test_slow_but_steady_reader_gets_everything(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        while piece := peer.recv(1 << 20):
            received += len(piece)
            if received < 4 << 20:
                time.sleep(0.05)
        assert received > 16 << 20


def test_head_without_end_is_431(port: int) -> None:
    answer = talk(port, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_two_hundred_slow_heads_do_not_delay_others(port: int) -> None:
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
    try:
        for peer in peers:
            peer.sendall(b"GET /")
        worst = 0.0
        for _ in range(20):
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), timeout=5) as quick:
                quick.sendall(GOOD)
                assert quick.recv(4096).startswith(b"HTTP/1.1 200 ")
            worst = max(worst, time.monotonic() - started)
        assert worst < 1
    finally:
        for peer in peers:
            peer.close()


def test_more_connections_than_allowed_are_503(port: int) -> None:
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(FAST.connections)]
    try:
        answer = talk(port, b"", timeout=3)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after" in answer
    finally:
        for peer in peers:
            peer.close()


def test_answers_at_once_keep_their_order_among_others(port: int) -> None:
    paths = ["/now?1", "/slow", "/now?2", "/now?3"]
    heads = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths]
    heads.append("GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received = talk(port, "".join(heads).encode())
    bodies = [part.split(b"\r\n\r\n")[1] for part in received.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/now 1", b"/slow 0", b"/now 0", b"/now 0", b"/now 0"]
    assert received.count(b"\r\ndate: ") == 5


@pytest.mark.parametrize(
    "head",
    [
        "GET /now HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "GET /now HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_what_has_a_body_is_not_answered_at_once(port: int, head: str) -> None:
    end = "GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert [b"/now 2" in (received := talk(port, (head + end).encode())), received.count(b" 200 OK")] == [True, 2]


def test_ambiguous_messages_are_not_answered_at_once(port: int) -> None:
    assert talk(port, b"GET /now HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_idle_connections_are_closed_after_an_answer_at_once(port: int) -> None:
    begun = time.monotonic()
    assert talk(port, b"GET /now HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"/now ")
    assert 1.5 < time.monotonic() - begun < 4.5
