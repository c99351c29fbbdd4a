"""Receiving C-STORE requests: the core's loop on the descriptor, the same parser fed from Python, pynetdicom's decoder.

500 CT-sized messages (512 KiB, PDUs of 128 KiB) come over a socket from another process. ``extra_info`` has the CPU of
this process for each message, which is what is compared: the sender takes a core of its own. With ``busy`` another
thread of Python runs beside, as the commits and other associations of a server do.

Traps: nothing is stored, so the bytes are dropped while they are hot; the fed variant is what TLS uses, without TLS.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchmarks.data import CT_IMAGE_STORAGE, instance_bytes

from hilum.archive.ingest import data_set_offset
from hilum.dicom.receiving import MemoryBudget, ReceiverSettings, Stream, receiver
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, encode_command, pdus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGES = int(os.environ.get("HILUM_BENCH_MESSAGES", "500"))
EXPLICIT = "1.2.840.10008.1.2.1"


def message() -> bytes:
    pixels = (np.arange(512 * 512, dtype=np.uint16) % 4096).reshape(512, 512)
    whole = instance_bytes(1, 1, 1, pixels)
    command = encode_command(
        {
            Tag.AFFECTED_SOP_CLASS: CT_IMAGE_STORAGE,
            Tag.COMMAND_FIELD: Field.C_STORE,
            Tag.MESSAGE_ID: 1,
            Tag.PRIORITY: 0,
            Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
            Tag.AFFECTED_SOP_INSTANCE: "1.2.3",
        }
    )
    return b"".join(pdus(1, command, (whole[data_set_offset(whole) :],), 131072))


@contextmanager
def sent(data: bytes) -> Iterator[socket.socket]:
    """A connection over which another process sends a message again and again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if child == 0:
            with socket.create_connection(listener.getsockname()) as peer:
                try:
                    for _ in range(MESSAGES):
                        peer.sendall(data)
                        peer.recv(1)
                finally:
                    os._exit(0)
        peer, _ = listener.accept()
        with peer:
            yield peer
        os.waitpid(child, 0)


def by_the_core(peer: socket.socket) -> int:
    ours = receiver(ReceiverSettings(MemoryBudget(1 << 30)), {1: EXPLICIT})
    peer.setblocking(False)
    stream = Stream(ours, peer.fileno())
    size = 0
    for _ in range(MESSAGES):
        assert stream.next(60, 60) == "message"
        size += ours.take().object.size
        peer.send(b"x")
    return size


def fed(peer: socket.socket) -> int:
    ours = receiver(ReceiverSettings(MemoryBudget(1 << 30)), {1: EXPLICIT})
    buffer = memoryview(bytearray(1 << 18))
    size = 0
    for _ in range(MESSAGES):
        happened = ""
        while not happened:
            count = peer.recv_into(buffer)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            used, happened = ours.feed(buffer[:count])
            assert used == count
        size += ours.take().object.size
        peer.send(b"x")
    return size


def by_pynetdicom(peer: socket.socket) -> int:
    """Its decoder of PDUs and messages, without its threads, queues and polls."""
    from pynetdicom.dimse_messages import DIMSEMessage
    from pynetdicom.pdu import P_DATA_TF

    def exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            data += peer.recv(min(4096, count - len(data)))
        return bytes(data)

    size = 0
    for _ in range(MESSAGES):
        current = DIMSEMessage()
        ended = False
        while not ended:
            head = exactly(6)
            pdu = P_DATA_TF()
            pdu.decode(head + exactly(struct.unpack(">I", head[2:])[0]))
            ended = bool(current.decode_msg(pdu.to_primitive()))
        size += len(current.data_set.getvalue())
        peer.send(b"x")
    return size


@pytest.mark.informational
@pytest.mark.parametrize("busy", [False, True], ids=["alone", "busy"])
@pytest.mark.parametrize("receive", [by_the_core, fed, by_pynetdicom])
def test_receive(benchmark: Any, receive: Callable[[socket.socket], int], busy: bool) -> None:
    """All messages, received one after the other."""
    data = message()
    stop = threading.Event()
    spent: list[float] = []

    def other() -> None:
        while not stop.is_set():
            sum(range(20_000))

    def run() -> None:
        with sent(data) as peer:
            before = time.thread_time()
            assert receive(peer) > MESSAGES * 512 * 1024
            spent.append(time.thread_time() - before)

    beside = threading.Thread(target=other)
    if busy:
        beside.start()
    try:
        benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    finally:
        stop.set()
        if busy:
            beside.join()
    benchmark.extra_info["cpu_us_per_message"] = round(min(spent) / MESSAGES * 1e6)
    if benchmark.stats is not None:
        benchmark.extra_info["per_second"] = round(MESSAGES / benchmark.stats.stats.median)
