"""How the server process starts and ends."""

import http.client
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.web.apps import ROOT, connect, serving, start, wait_until

WITHIN_SECONDS = 12


def test_a_taken_port_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start(port) as process:
            output, errors = process.communicate(timeout=WITHIN_SECONDS)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        f"Port {port} of 127.0.0.1 is taken: set TRINITY_PORT to another one, "
        "or stop what uses it\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_background_task_and_open_streams(number):
    with (
        serving("--background", "cleans_up") as process,
        connect(process, "/idle", websocket=False) as stream,
        connect(process, "/idle", websocket=True) as viewer,
    ):
        assert stream.recv(1)
        assert viewer.recv(1)
        process.send_signal(number)
        output, errors = process.communicate(timeout=WITHIN_SECONDS)
        assert (process.returncode, output, errors) == (0, "cleaned up\n", "")


def test_a_background_task_that_lingers_is_left_behind_in_time():
    with serving("--background", "lingers") as process:
        begun = time.monotonic()
        process.terminate()
        process.communicate(timeout=2 * WITHIN_SECONDS)
        assert time.monotonic() - begun < WITHIN_SECONDS
        assert process.returncode == 0


def test_a_second_interrupt_ends_at_once():
    with serving("--background", "lingers") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "lingering\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=2) == -signal.SIGINT


def test_the_server_stops_when_its_background_task_fails():
    with serving("--background", "fails") as process:
        _, errors = process.communicate(timeout=WITHIN_SECONDS)
        assert process.returncode == 1
        assert "The background task failed" in errors


def test_the_server_tells_no_versions():
    with serving() as process:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
        connection.request("GET", "/report")
        assert connection.getresponse().getheader("Server") == "trinity"
        connection.close()
        with connect(process, "/idle", websocket=True) as viewer:
            assert b"Server: trinity\r\n" in viewer.recv(4096)


def test_a_websocket_message_over_a_mebibyte_is_refused():
    with serving() as process, connect(process, "/idle", websocket=True) as viewer:
        wait_until(lambda: b"begun" in viewer.recv(4096))
        viewer.sendall(b"\x82\xff" + (1024**2 + 1).to_bytes(8, "big") + b"mask")
        with pytest.raises(ConnectionResetError):
            viewer.recv(4096)


def test_what_is_sent_to_a_viewer_that_has_said_goodbye_is_no_error():
    # In a process of its own: the import installs a reactor.
    code = """
from trinity.server import WebSocket
viewer = WebSocket()
viewer.state = WebSocket.STATE_CLOSING
viewer.handle_reply({"type": "websocket.send", "text": "late"})
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
