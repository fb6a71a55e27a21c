"""Something that listens where an agent's server should, and does what a test says."""

import json
import socket
import threading
from contextlib import contextmanager, suppress

from agents.sockets import SOCKET_NAME
from agents.wire import prove

KEY = "5" * 64


@contextmanager
def listening(path, answer=lambda _connection: None):
    """Listen; ``answer`` gets each connection in a thread. Gives the list of connections."""
    seen = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    seen.append(connection)
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection):
            with connection, suppress(OSError):
                connection.settimeout(10)
                answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in seen:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def agent_listening(directory, answer):
    return listening(directory / SOCKET_NAME, answer)


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        received = connection.recv(1)
        if not received:
            raise ConnectionError
        line += received
    return json.loads(line)


def greeting(challenge, *, key=KEY, **fields):
    hello = {
        "protocol": 1,
        "generation": 7,
        "proof": prove(key, "server", challenge),
        "challenge": "c" * 64,
    }
    return json.dumps(hello | fields).encode() + b"\n"


def greets(*answers, key=KEY, **fields):
    """An agent server that proves itself, then answers the request with these bytes."""

    def answer(connection):
        connection.sendall(greeting(read_line(connection)["challenge"], key=key, **fields))
        assert read_line(connection)["proof"] == prove(key, "client", "c" * 64)
        read_line(connection)
        for part in answers:
            connection.sendall(part)
        with suppress(OSError):
            connection.recv(1)

    return answer


def says(*parts):
    """A peer that sends this to whoever connects."""

    def answer(connection):
        for part in parts:
            connection.sendall(part)
        with suppress(OSError):
            while connection.recv(4096):
                pass

    return answer
