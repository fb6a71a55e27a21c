"""A server of endless producers, as a process: ``serving()`` starts it, ``main()`` is it."""

import argparse
import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = b"x" * 16384
SEQUENCE = b"".join(number.to_bytes(8, "big") for number in range(250_000))

released = asyncio.Event()
report = {"accepted": 0, "running": 0, "disconnects": 0}


async def application(scope, receive, send):
    route = {
        "/flood": flood,
        "/sequence": sequence,
        "/whole": whole,
        "/break": break_off,
        "/idle": idle,
        "/report": tell,
        "/measure": measure,
        "/refuse": refuse,
        "/hold": hold,
    }
    await route[scope["path"]](scope, receive, send)


async def flood(scope, receive, send):
    listener = asyncio.ensure_future(note_disconnect(receive))
    report["running"] += 1
    try:
        await accept(scope, send)
        while True:
            await send(message(scope, BLOCK))
            report["accepted"] += len(BLOCK)
    finally:
        report["running"] -= 1
        await asyncio.wait_for(listener, 1)


async def note_disconnect(receive):
    while not (await receive())["type"].endswith(".disconnect"):
        pass
    report["disconnects"] += 1


async def sequence(scope, receive, send):
    await accept(scope, send)
    for start in range(0, len(SEQUENCE), len(BLOCK)):
        await send(message(scope, SEQUENCE[start : start + len(BLOCK)]))
    await send({"type": "websocket.close"} if is_socket(scope) else {"type": "http.response.body"})


async def whole(scope, receive, send):
    await accept(scope, send)
    await send({"type": "http.response.body", "body": BLOCK * 1000})


async def break_off(scope, receive, send):
    await accept(scope, send)
    await send(message(scope, b"begun"))
    raise RuntimeError("broken on purpose")


async def idle(scope, receive, send):
    await accept(scope, send)
    await send(message(scope, b"begun"))
    await asyncio.Event().wait()


async def tell(scope, receive, send):
    await accept(scope, send)
    await send({"type": "http.response.body", "body": json.dumps(report).encode()})


async def measure(scope, receive, send):
    size = 0
    more = True
    while more:
        part = await receive()
        size += len(part.get("body", b""))
        more = part.get("more_body", False)
    await accept(scope, send)
    await send({"type": "http.response.body", "body": str(size).encode()})


async def refuse(scope, receive, send):
    await send({"type": "http.response.start", "status": 403, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def hold(scope, receive, send):
    """Read the first part of a body only when told to; note how it ends."""
    if scope["method"] == "GET":
        released.set()
        await accept(scope, send)
        await send({"type": "http.response.body"})
        return
    report["running"] += 1
    await released.wait()
    while (part := await receive()).get("more_body"):
        report["accepted"] += len(part["body"])
    report["disconnects"] += part["type"] == "http.disconnect"
    report["running"] -= 1
    await accept(scope, send)
    await send({"type": "http.response.body"})


async def accept(scope, send):
    if is_socket(scope):
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})


def message(scope, block):
    if is_socket(scope):
        return {"type": "websocket.send", "bytes": block}
    return {"type": "http.response.body", "body": block, "more_body": True}


def is_socket(scope):
    return scope["type"] == "websocket"


async def background_that_fails():
    raise RuntimeError("background broken on purpose")


async def background_that_cleans_up():
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up", flush=True)


async def background_that_lingers():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("lingering", flush=True)


def main():
    # Only in the process that serves: it installs a reactor.
    from trinity.server import STALL_SECONDS, Server

    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--stall", type=float, default=STALL_SECONDS)
    parser.add_argument("--background")
    options = parser.parse_args()
    server = Server(
        application,
        host="127.0.0.1",
        port=options.port,
        background=globals().get(f"background_that_{options.background}"),
        ready=lambda: print("ready", flush=True),
        stall_seconds=options.stall,
        is_upload=lambda method, _path: method == "PUT",
    )
    sys.exit(server.run())


def start(port, *options):
    """Start the server without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.web.apps", str(port), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(*options):
    """Run the server; give its process, with the port as an attribute."""
    port = free_port()
    with start(port, *options) as process:
        process.port = port
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def get_report(process):
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
    try:
        connection.request("GET", "/report")
        return json.load(connection.getresponse())
    finally:
        connection.close()


def wait_until(condition, *, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def connect(process, path, *, websocket, connection="keep-alive"):
    """Send a request and read nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", process.port))
    headers = [f"GET {path} HTTP/1.1", "Host: localhost"]
    headers += [f"Connection: {'Upgrade' if websocket else connection}"]
    if websocket:
        headers += [
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
    client.sendall("\r\n".join([*headers, "", ""]).encode())
    return client


if __name__ == "__main__":
    main()
