"""What applications send waits for clients that read slowly, and ends with those that do not."""

import http.client
import select
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.web.apps import SEQUENCE, connect, get_report, serving, wait_until

MEGABYTE = 1024**2


@pytest.fixture
def clients():
    """Connect ten viewers of a stream and ten of a WebSocket, none of which reads."""
    with ExitStack() as stack:

        def connect_all(process):
            return [
                stack.enter_context(connect(process, "/flood", websocket=number >= 10))
                for number in range(20)
            ]

        yield connect_all


def resident_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(kilobytes) * 1024


def settled_report(process):
    """Wait until applications are not given leave to send any more."""
    reports = [get_report(process)]

    def has_settled():
        time.sleep(0.5)
        reports.append(get_report(process))
        return reports[-1] == reports[-2] and reports[-1]["running"] == 20

    wait_until(has_settled)
    return reports[-1]


def test_clients_that_do_not_read_cost_bounded_memory(clients):
    with serving() as process:
        before = resident_bytes(process)
        clients(process)
        assert settled_report(process)["accepted"] < 100 * MEGABYTE
        assert resident_bytes(process) - before < 100 * MEGABYTE


def test_clients_that_do_not_read_are_closed_and_their_applications_told(clients):
    with serving("--stall", "1") as process:
        sockets = clients(process)
        wait_until(lambda: get_report(process)["disconnects"] == 20)
        wait_until(lambda: get_report(process)["running"] == 0)
        for client in sockets:
            with pytest.raises(ConnectionResetError):
                read_to_end(client)
        process.terminate()
        _, errors = process.communicate(timeout=12)
        assert errors == ""


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_stalled_client_is_closed_even_after_its_application_has_ended(connection):
    with (
        serving("--stall", "1") as process,
        connect(process, "/whole", websocket=False, connection=connection) as client,
    ):
        poll = select.poll()
        poll.register(client, 0)
        [(_, events)] = poll.poll(5000)
        assert events & select.POLLERR


@pytest.mark.parametrize("websocket", [False, True])
def test_a_slow_reader_gets_every_byte_in_order(websocket):
    with (
        serving("--stall", "5") as process,
        connect(process, "/sequence", websocket=websocket) as client,
        closing(client.makefile("rb")) as stream,
    ):
        if websocket:
            assert b"101" in stream.readline()
            while stream.readline() != b"\r\n":
                pass
            received = b"".join(slowly(frames(stream)))
        else:
            response = http.client.HTTPResponse(client)
            response.begin()
            received = b"".join(slowly(iter(lambda: response.read(16384), b"")))
            response.close()
        assert received == SEQUENCE


def test_an_answer_that_breaks_is_cut_off_and_others_are_still_cleaned_up():
    with serving("--stall", "1") as process:
        with (
            connect(process, "/break", websocket=False) as client,
            pytest.raises(ConnectionResetError),
        ):
            read_to_end(client)
        with connect(process, "/flood", websocket=False):
            wait_until(lambda: get_report(process)["running"] == 1)
        wait_until(lambda: get_report(process)["running"] == 0)


def read_to_end(client):
    while client.recv(65536):
        pass


def slowly(blocks):
    for block in blocks:
        time.sleep(0.005)
        yield block


def frames(stream):
    """The binary payloads of a server's unmasked frames, up to the close."""
    while True:
        opcode, length = stream.read(2)
        if opcode == 0x88:
            return
        assert opcode == 0x82
        if length == 126:
            length = int.from_bytes(stream.read(2), "big")
        yield stream.read(length)
