"""The baseline process of ``firehose``: docker-py reads one container's log from the engine.

Says "ready" when the log is open, and when its standard input ends, how many lines came in each
second. The writer's last line may be among those that it never gets.
"""

import json
import sys
import time
from collections import Counter
from threading import Thread

import docker

CATCH_UP_SECONDS = 20

url, container_id, mode = sys.argv[1:]
follow = mode == "follow"
engine = docker.DockerClient(url, timeout=60)
container = engine.containers.get(container_id)
pieces = container.logs(stream=True, follow=follow, tail=0 if follow else "all")
counts = Counter()


def read():
    for piece in pieces:
        counts[int(time.monotonic())] += piece.count(b"\n")
        if follow and piece.endswith(b" end\n"):
            return


reading = Thread(target=read, daemon=True)
begun = time.monotonic()
reading.start()
print("ready", flush=True)
sys.stdin.read()
reading.join(CATCH_UP_SECONDS)
seconds = time.monotonic() - begun
print(json.dumps({"counts": counts, "seconds": seconds}), flush=True)
