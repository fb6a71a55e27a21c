"""Bodies that are served while they arrive: bounded, refused early, told when they break off."""

import http.client
import socket
from contextlib import closing, suppress

import pytest

from tests.web.apps import get_report, serving, wait_until

BLOCK = b"x" * 65536


def blocks(count):
    return (BLOCK for _ in range(count))


def connected(process):
    return closing(http.client.HTTPConnection("127.0.0.1", process.port, timeout=20))


def begin(process, path, *headers):
    """Open a connection and send the head of an upload."""
    client = socket.create_connection(("127.0.0.1", process.port), timeout=20)
    client.sendall("\r\n".join([f"PUT {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    return client


def received(client):
    """All that comes until the server closes."""
    found = b""
    while more := client.recv(65536):
        found += more
    return found


def sent_until_it_stops(client):
    sent = 0
    with suppress(TimeoutError):
        while sent < 2**30:
            sent += client.send(BLOCK)
    return sent


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("count", [0, 1, 160])
def test_it_arrives_whole_whatever_its_size(chunked, count):
    headers = {} if chunked else {"Content-Length": str(count * len(BLOCK))}
    with serving() as process, connected(process) as client:
        client.request("PUT", "/measure", blocks(count), headers=headers, encode_chunked=chunked)
        assert int(client.getresponse().read()) == count * len(BLOCK)
        # The connection serves the next one.
        client.request("PUT", "/measure", b"abc")
        assert int(client.getresponse().read()) == 3


def test_a_refusal_comes_before_the_body():
    with serving() as process, begin(process, "/refuse", "Content-Length: 100000000") as client:
        head = client.recv(65536)
        assert head.startswith(b"HTTP/1.1 403")
        assert b"\r\nConnection: close\r\n" in head


@pytest.mark.parametrize("chunked", [True, False])
def test_who_sends_on_after_a_refusal_still_reads_it(chunked):
    headers = {} if chunked else {"Content-Length": str(1600 * len(BLOCK))}
    with serving() as process, connected(process) as client:
        client.request("PUT", "/refuse", blocks(1600), headers=headers, encode_chunked=chunked)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (403, b"no")


def test_what_is_left_of_a_refused_body_is_no_request():
    smuggled = b"GET /report HTTP/1.1\r\nHost: x\r\n\r\n"
    length = f"Content-Length: {len(smuggled)}"
    with serving() as process, begin(process, "/refuse", length) as client:
        assert b" 403 " in client.recv(65536)
        client.sendall(smuggled * 2)
        assert b"HTTP/1.1" not in received(client)


def test_who_asks_before_he_sends_is_told_no_at_once():
    ask = ["Content-Length: 5", "Expect: 100-continue"]
    with serving() as process:
        with begin(process, "/refuse", *ask) as client:
            assert client.recv(65536).startswith(b"HTTP/1.1 403")
        with begin(process, "/measure", *ask) as client:
            assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"12345")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_sender_waits_for_the_application():
    with serving() as process, begin(process, "/hold", "Content-Length: 1000000000") as client:
        client.settimeout(1)
        # What the server keeps, and the kernel's buffers on both sides.
        assert sent_until_it_stops(client) < 16 * 1024**2
        with connected(process) as other:
            other.request("GET", "/hold")
            other.getresponse().read()
        client.settimeout(20)
        for _ in range(320):
            client.sendall(BLOCK)
        wait_until(lambda: get_report(process)["accepted"] > 20 * 1024**2)


@pytest.mark.parametrize("header", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_client_that_leaves_in_the_middle_is_told(header):
    with serving() as process:
        with connected(process) as other:
            other.request("GET", "/hold")
            other.getresponse().read()
        with begin(process, "/hold", header) as client:
            client.sendall(b"3\r\nabc\r\n")
            wait_until(lambda: get_report(process)["accepted"])
        wait_until(lambda: get_report(process)["disconnects"] == 1)
        assert get_report(process)["running"] == 0


@pytest.mark.parametrize("header", ["Upgrade: websocket", "Daphne-Root-Path: /hold"])
def test_what_leads_elsewhere_is_kept_to_the_limit_of_other_bodies(header):
    with serving() as process, begin(process, "/hold", header, "Content-Length: 5") as client:
        client.sendall(b"1234")
        with connected(process) as other:
            other.request("GET", "/report")
            assert b'"running": 0' in other.getresponse().read()
