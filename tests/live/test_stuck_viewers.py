"""Viewers that never read cost bounded memory and hold up nobody."""

import json
import os
import socket
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

GROWTH_BYTES = 100 * 1024**2
# Ten million bytes to each of ten streams is more than may be kept, were it kept.
LINES = 95_000
CHATTY = f"for _ in range({LINES}): print('chatty ' * 14)"
VIEWERS = 10


def resident(product):
    status = Path(f"/proc/{product.processes['up'].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def connection(product, request):
    """A raw connection whose answer nobody reads."""
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect(("127.0.0.1", product.port))
    viewer.sendall(request.encode())
    return viewer


def stream(product, operation):
    return connection(
        product,
        f"GET /api/v1/operations/{operation}/stream HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nAuthorization: Bearer {product.token}\r\n\r\n",
    )


def live_socket(product, operation):
    ticket = product.post("/api/tickets", {"for": "/ws"}).json()["ticket"]
    key = b64encode(os.urandom(16)).decode()
    viewer = connection(
        product,
        f"GET /ws?ticket={ticket} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
    )
    assert b" 101 " in viewer.recv(200, socket.MSG_PEEK)
    for topic in ("agents", f"operation:{operation}:logs"):
        message = json.dumps({"subscribe": topic, "after": 0}).encode()
        # A text frame with a mask of zeros.
        viewer.sendall(bytes([0x81, 0x80 | len(message)]) + b"\0\0\0\0" + message)
    return viewer


def lines_of(product, operation):
    return sum(event["type"] == "log" for _, event in product.stream(operation))


def test_twenty_of_them(own_product):
    own_product.create_agent("chatty", resources={"memory": "1g", "cpu": "1"})
    before = resident(own_product)
    operation = own_product.run("chatty", "python3", "-c", CHATTY)
    with ExitStack() as viewers:
        for _ in range(VIEWERS):
            viewers.enter_context(stream(own_product, operation))
            viewers.enter_context(live_socket(own_product, operation))
        reader = viewers.enter_context(ThreadPoolExecutor(1))
        lines = reader.submit(lines_of, own_product, operation)
        peak, slowest = before, 0.0

        def ended():
            nonlocal peak, slowest
            began = time.monotonic()
            assert own_product.get("/api/agents").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            peak = max(peak, resident(own_product))
            return own_product.operation(operation, tail=1)["finished_at"]

        wait_until(ended, seconds=60, step=0.05)
        # What would be sent is sent by now: who reads has it all, be it now or from the first
        # line on.
        assert lines.result(60) == lines_of(own_product, operation) == LINES
        ended()
    growth = peak - before
    print(f"{growth / 1024**2:.0f} MiB more for {VIEWERS * 2} viewers; slowest {slowest:.2f} s")
    assert growth < GROWTH_BYTES
    assert slowest < 5
