"""Stands between a client and a server on loopback, and cuts connections as networks do."""

import socket
import threading
from contextlib import contextmanager, suppress
from select import select

READ_BYTES = 64 * 1024


@contextmanager
def relay(port, *, path, cuts):
    """Give a port from which connections are passed on to another.

    Each answer to a request for ``path`` is cut off behind the next of these numbers of bytes;
    when there are no more, it is passed on whole.
    """
    cuts = iter(cuts)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=pass_on, args=(client,), daemon=True).start()

        def pass_on(client):
            with client, suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
                _pass_on(client, server, lambda asked: next(cuts, None) if path in asked else None)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        # Closing alone would not wake the thread that accepts.
        listener.shutdown(socket.SHUT_RDWR)


def _pass_on(client, server, cut):
    left = None
    while left != 0:
        ready, _, _ = select([client, server], [], [])
        if client in ready:
            if not (asked := client.recv(READ_BYTES)):
                return
            left = cut(asked)
            server.sendall(asked)
        if server in ready:
            if not (answered := server.recv(READ_BYTES)):
                return
            answered = answered[:left]
            left = None if left is None else left - len(answered)
            client.sendall(answered)
