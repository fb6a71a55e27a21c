"""Repositories over HTTP, as a forge serves them: ``git http-backend`` behind a small server.

    FORGE_TOKEN=… python git_server.py PORT FOLDER

serves on all addresses, where only the standard library is.
"""

import os
import subprocess
import sys
import threading
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Forge:
    """Serves the repositories below a folder; ``token`` is then asked of everybody."""

    def __init__(self, folder, *, address="127.0.0.1", port=0, token=None):
        self.folder = folder
        self.token = token
        #: Where everything has moved, and what is held up until it is set.
        self.moved_to = None
        self.gate = threading.Event()
        self.gate.set()
        #: Method, path and the credentials of each request.
        self.requests = []
        forge = self

        class Handler(_Handler):
            pass

        Handler.forge = forge
        self._server = _Server((address, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_address[1]

    def url(self, name, host="127.0.0.1"):
        return f"http://{host}:{self.port}/{name}"

    def start(self):
        self._thread.start()

    def serve(self):
        self._server.serve_forever()

    def close(self):
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients may go before they are answered."""


@contextmanager
def forge_of(folder, **options):
    forge = Forge(folder, **options)
    forge.start()
    try:
        yield forge
    finally:
        forge.close()


class _Handler(BaseHTTPRequestHandler):
    forge = None

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        self._serve(self._body())

    def log_message(self, *_):
        pass

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _serve(self, body):
        forge, password = self.forge, self._password()
        forge.requests.append((self.command, self.path, password))
        forge.gate.wait(60)
        if forge.moved_to:
            return self._answer(301, [("Location", forge.moved_to + self.path)])
        if forge.token and password != forge.token:
            return self._answer(401, [("WWW-Authenticate", 'Basic realm="forge"')])
        head, _, content = self._run_backend(body).partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().splitlines()]
        status = next((int(value[:3]) for name, value in fields if name == "Status"), 200)
        return self._answer(status, [each for each in fields if each[0] != "Status"], content)

    def _password(self):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        return b64decode(value).decode().partition(":")[2] if kind == "Basic" else None

    def _run_backend(self, body):
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.forge.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            # Whoever is let in may push.
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            check=True,
            input=body,
            env=environment,
            capture_output=True,
            timeout=60,
        )
        return done.stdout

    def _answer(self, status, fields, content=b""):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    port, folder = sys.argv[1:]
    token = os.environ.get("FORGE_TOKEN")
    Forge(folder, address="", port=int(port), token=token).serve()
