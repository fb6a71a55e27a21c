"""A viewer as a browser's ``EventSource``: it comes back by itself, from where it was.

It comes back when a connection breaks or is refused. What is answered otherwise than by a stream
or by a 204 makes an ``EventSource`` give up, and so fails the test.
"""

import json
import threading
import time
from contextlib import suppress

import requests

RETRY_SECONDS = 1.0


class Viewer:
    """Follows one operation in a thread, until the server says that there is no more."""

    def __init__(self, product, operation):
        self._url = f"{product.url}/api/v1/operations/{operation}/stream"
        self._token = product.token
        self._last = 0
        #: Each line with its number, and the end.
        self.lines, self.end = [], None
        self.connections = 0
        self._refusal = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def texts(self):
        """The lines; fails unless their numbers are all there, once and in order."""
        assert [seq for seq, _ in self.lines] == list(range(1, len(self.lines) + 1))
        return [text for _, text in self.lines]

    def join(self, seconds):
        self._thread.join(seconds)
        assert not self._refusal, self._refusal
        assert not self._thread.is_alive(), f"no end within {seconds} s, after {len(self.lines)}"

    def _run(self):
        while not self._is_over():
            time.sleep(RETRY_SECONDS)

    def _is_over(self):
        """Connect, read while it lasts, and tell whether that was the last time."""
        headers = {"Authorization": f"Bearer {self._token}", "Last-Event-ID": str(self._last)}
        with (
            suppress(requests.RequestException),
            requests.get(self._url, headers=headers, stream=True, timeout=30) as answer,
        ):
            self.connections += 1
            if answer.status_code not in {200, 204}:
                told = f"{answer.status_code} {answer.text[:200]}"
                self._refusal = f"connection {self.connections} was answered {told}"
            if answer.status_code != 200:
                return True
            self._read(answer)
        return self.end is not None

    def _read(self, answer):
        for line in answer.iter_lines(chunk_size=None):
            name, _, value = line.decode().partition(": ")
            if name == "id":
                self._last = int(value)
            elif name == "data":
                self._take(json.loads(value))

    def _take(self, event):
        if event["type"] == "log":
            self.lines.append((self._last, event["content"]))
        elif event["type"] == "end":
            self.end = event
