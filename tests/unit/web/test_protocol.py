"""What the connections write: the head of an answer goes with its body."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from hilum.dicomweb.http import Pieces
from hilum.web.protocol import GuardedProtocol


class Transport(asyncio.Transport):
    """Keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.writes.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Everything has been read."""

    def resume_reading(self) -> None:
        """Everything has been read."""

    def get_write_buffer_size(self) -> int:
        return 0


def answers_to(requests: bytes, *bodies: Any, fail: bool = False) -> Transport:
    return asyncio.run(_answers_to(requests, bodies, fail=fail))


async def _answers_to(requests: bytes, bodies: tuple[Any, ...], *, fail: bool) -> Transport:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["hilum.pieces"] is True
        length = str(sum(len(body) for body in bodies)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        if fail:
            raise RuntimeError("after the head")
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": body is not bodies[-1]})

    config = Config(app, log_config=None, lifespan="off", access_log=False, server_header=False, date_header=False)
    config.load()
    connection, transport = GuardedProtocol(config, ServerState(), {}), Transport()
    connection.connection_made(transport)
    connection.data_received(requests)
    for _ in range(20):
        await asyncio.sleep(0)
    closed = transport.closed
    connection.connection_lost(None)
    transport.closed = closed
    return transport


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("body", [b"abcdef", bytearray(b"abcdef"), memoryview(b"abcdef"), Pieces([b"abc", b"def"])])
def test_an_answer_is_one_write(body: Any) -> None:
    transport = answers_to(GET, body)
    assert len(transport.writes) == 1
    head, _, sent = transport.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent == b"abcdef"
    assert not transport.closed


def test_pipelined_answers_come_in_order_and_whole() -> None:
    transport = answers_to(GET + GET + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"abc", b"def")
    everything = b"".join(transport.writes)
    assert everything.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert everything.count(b"\r\n\r\nabcdef") == 2
    assert everything.endswith(b"\r\n\r\n")


def test_a_closing_connection_gets_its_answer_before_the_end() -> None:
    transport = answers_to(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"abc")
    assert transport.writes[0].endswith(b"connection: close\r\n\r\nabc")
    assert transport.closed


def test_an_error_after_the_head_closes() -> None:
    transport = answers_to(GET, b"abc", fail=True)
    assert transport.closed
    assert b"abc" not in b"".join(transport.writes)
