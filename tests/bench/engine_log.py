"""The baseline process of ``firehose``: docker-py reads one container's log from the engine.

Says "ready" when the log is open, and when its standard input ends, for each of its readers, how
many lines came in each second, how many of them were not the first of their number, and when the
last came; and how much memory this process took at most. The writer's last line may be among
those that they never get: then a reader is at its end when nobody got any for a while.
"""

import json
import os
import sys
import time
from collections import Counter
from threading import Thread

import docker

from tests.bench.processes import resident_bytes

QUIET_SECONDS = 20
# For all that is read after the writer's end.
CATCH_UP_SECONDS = 300

url, container_id, mode, readers = sys.argv[1:]
follow = mode == "follow"
engine = docker.DockerClient(url, timeout=60, max_pool_size=100)
container = engine.containers.get(container_id)


class Numbers:
    """Which numbers were seen: a bit for each, so that fifty of these are no memory to speak of."""

    def __init__(self):
        self._bits = bytearray()
        self.repeated = 0

    def see(self, number):
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self.repeated += bool(self._bits[place] & bit)
        self._bits[place] |= bit


class Reader:
    def __init__(self):
        self.pieces = container.logs(stream=True, follow=follow, tail=0 if follow else "all")
        self.counts = Counter()
        self.numbers = Numbers()
        self.last_at = 0.0
        self.thread = Thread(target=self._read, daemon=True)

    def _read(self):
        for piece in self.pieces:
            self.last_at = time.monotonic()
            self.counts[int(self.last_at)] += piece.count(b"\n")
            for line in piece.splitlines():
                # What else the main process says has none.
                if line[:10].isdigit():
                    self.numbers.see(int(line[:10]))
            if follow and piece.endswith(b" end\n"):
                return


def finish(reading):
    asked = time.monotonic()
    while any(each.thread.is_alive() for each in reading):
        now = time.monotonic()
        quiet_since = max(asked, *(each.last_at for each in reading))
        if now - quiet_since > QUIET_SECONDS or now - asked > CATCH_UP_SECONDS:
            return
        time.sleep(0.1)


reading = [Reader() for _ in range(int(readers))]
begun = time.monotonic()
for each in reading:
    each.thread.start()
print("ready", flush=True)
sys.stdin.read()
finish(reading)
seconds = time.monotonic() - begun
told = [
    {"counts": each.counts, "repeated": each.numbers.repeated, "last_at": each.last_at}
    for each in reading
]
memory = resident_bytes(os.getpid(), most=True)
print(json.dumps({"readers": told, "seconds": seconds, "memory": memory}), flush=True)
