"""Speaks to a Docker engine with the standard library alone, before anything is installed.

``engine_socket.py ADDRESS ping`` exits with 0 when the engine answers, with 3 when this user
may not use its socket, else with 1. ``engine_socket.py ADDRESS kill`` ends every container,
and ``engine_socket.py ADDRESS has IMAGE`` tells whether an image is there.
"""

import json
import socket
import sys
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlsplit

DENIED = 3
DOCKER_PORT = 2375
TIMEOUT_SECONDS = 5


class SocketConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str) -> tuple[int, bytes]:
    connection = SocketConnection(path)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ping(address: str) -> int:
    url = urlsplit(address)
    if url.scheme == "unix":
        return 0 if ask(url.path, "GET", "/_ping")[0] == 200 else 1
    # Certificates and the like are the product's matter: here it is enough that somebody listens.
    peer = (url.hostname or "localhost", url.port or DOCKER_PORT)
    socket.create_connection(peer, TIMEOUT_SECONDS).close()
    return 0


def kill(address: str) -> int:
    path = urlsplit(address).path
    for container in json.loads(ask(path, "GET", "/containers/json")[1]):
        ask(path, "POST", f"/containers/{container['Id']}/kill")
    return 0


def has(address: str, image: str) -> int:
    status, _ = ask(urlsplit(address).path, "GET", f"/images/{quote(image)}/json")
    return 0 if status == 200 else 1


VERBS: dict[str, Callable[..., int]] = {"ping": ping, "kill": kill, "has": has}


def main(address: str, verb: str, *arguments: str) -> int:
    try:
        return VERBS[verb](address, *arguments)
    except PermissionError:
        return DENIED
    except (OSError, HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
