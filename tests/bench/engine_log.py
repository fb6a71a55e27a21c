"""The baseline process of ``firehose``: docker-py reads one container's log from the engine.

Says "ready" when the log is open, and when its standard input ends, for each of its readers, how
many lines came in each second, and when the last. The writer's last line may be among those that
they never get.
"""

import json
import sys
import time
from collections import Counter
from threading import Thread

import docker

CATCH_UP_SECONDS = 20

url, container_id, mode, readers = sys.argv[1:]
follow = mode == "follow"
engine = docker.DockerClient(url, timeout=60, max_pool_size=100)
container = engine.containers.get(container_id)


class Reader:
    def __init__(self):
        self.pieces = container.logs(stream=True, follow=follow, tail=0 if follow else "all")
        self.counts = Counter()
        self.last_at = 0.0

    def read(self):
        for piece in self.pieces:
            self.last_at = time.monotonic()
            self.counts[int(self.last_at)] += piece.count(b"\n")
            if follow and piece.endswith(b" end\n"):
                return


reading = [Reader() for _ in range(int(readers))]
threads = [Thread(target=each.read, daemon=True) for each in reading]
begun = time.monotonic()
for each in threads:
    each.start()
print("ready", flush=True)
sys.stdin.read()
give_up_at = time.monotonic() + CATCH_UP_SECONDS * (1 if readers == "1" else 2)
for each in threads:
    each.join(max(0, give_up_at - time.monotonic()))
seconds = time.monotonic() - begun
told = [{"counts": each.counts, "last_at": each.last_at} for each in reading]
print(json.dumps({"readers": told, "seconds": seconds}), flush=True)
