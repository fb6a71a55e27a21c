"""A client of an operation's stream that does as little as it can beside reading it."""

import json
import re
from time import perf_counter

from tests.bench.fleet import Caller

READ_BYTES = 256 * 1024
# All that is no line of the log: it comes in between, at no certain place.
_OTHERS = re.compile(rb'^(?:retry: \d+|: [^\n]*|data: {"type": "status"[^\n]*)\n\n', re.MULTILINE)
_END = b'"type": "end"'
_LOG = b'\ndata: {"type": "log", '


def opened(product, operation, *, after=0):
    """Open the stream and return the answer; its first bytes may not have come."""
    caller = Caller(product)
    answer = caller.open("GET", f"/api/v1/operations/{operation}/stream?after={after}")
    assert answer.status == 200
    # Else the connection is closed with it.
    answer.caller = caller
    return answer


class Stream:
    """Reads one stream to its end."""

    def __init__(self, answer, take):
        """``take`` gets the bytes of whole events, log lines only, and the time."""
        self._answer = answer
        self._take = take
        self.end = b""

    def read(self):
        rest = b""
        while received := self._answer.read1(READ_BYTES):
            at = perf_counter()
            whole, separator, rest = (rest + received).rpartition(b"\n\n")
            events = _OTHERS.sub(b"", whole + separator)
            if _END in events:
                events, _, self.end = events[:-2].rpartition(b"\n\n")
                events += b"\n\n" if events else b""
            if events:
                self._take(events, at)
        assert self.end, "the stream ended without saying so"


def count_lines(events):
    return events.count(_LOG)


def contents(events):
    """The text of each line."""
    for event in events.removesuffix(b"\n\n").split(b"\n\n"):
        yield json.loads(event.partition(b"\ndata: ")[2])["content"]
