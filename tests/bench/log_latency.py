"""From the write of a line in a container to a viewer that has it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Event

from tests import engines
from tests.bench.fleet import SMALL, installation, say
from tests.bench.tables import Table, times_as_long

NOTES = (
    "From the clock's time that a program in the agent writes into a line, read just before its",
    "write(), to the return of recv() with the WebSocket frame that holds the line, by the same",
    "clock; a sample is one line at one viewer. Viewers acknowledge every frame, and all lines",
    "have come, once and in order. Container's log: written to the main process's standard output,",
    "so that the engine stores it first. Operation's log: written to its own standard output.",
    "Baseline: docker-py's logs(follow=True) of the same container during the first row.",
)
# Its first line waits until everybody looks.
WRITER = """
import os, sys, time
path, rate, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
out = os.open(path, os.O_WRONLY) if path else 1
begun = time.time() + 2
for number in range(count):
    time.sleep(max(0, begun + number / rate - time.time()))
    os.write(out, b"%d %.6f\\n" % (number, time.time()))
"""
CONTAINER = "/proc/1/fd/1"
OPERATION = ""
AGENT = "bench-log"


def run(*, quick):
    table = Table("log: a line written in a container -> a viewer has it", *NOTES)
    seconds = 2 if quick else 20
    with installation() as product:
        product.create_agent(AGENT, resources=SMALL)
        say(f"4 rows of {seconds} s each")
        with ThreadPoolExecutor(1) as follower, closing(engines.client()) as engine:
            [container] = product.containers(engine)
            begun = Event()
            following = follower.submit(_follow_engine, container, 100 * seconds, begun)
            assert begun.wait(30)
            ours = _measure(product, CONTAINER, 100, 1, seconds)
            baseline = following.result(60)
        table.add("container's log, 100 lines/s", ours, ratio=times_as_long(ours, baseline))
        table.add("baseline: docker-py follow", baseline, ratio="1")
        for rate, viewers in ((1000, 1), (1000, 10)):
            ours = _measure(product, CONTAINER, rate, viewers, seconds)
            what = f"container's log, {rate} lines/s, viewers: {viewers}"
            table.add(what, ours, ratio=times_as_long(ours, baseline))
        ours = _measure(product, OPERATION, 100, 1, seconds)
        table.add("operation's log, 100 lines/s", ours, ratio=times_as_long(ours, baseline))
    table.print()


def _measure(product, path, rate, viewers, seconds):
    count = rate * seconds
    command = ("python3", "-c", WRITER, path, str(rate), str(count))
    with ExitStack() as sockets:

        def opened(topic, **positions):
            for _ in range(viewers):
                yield topic, sockets.enter_context(product.socket(topic, **positions))

        if path == OPERATION:
            operation = product.run(AGENT, *command)
            looking = list(opened(f"operation:{operation}:logs", after=0))
        else:
            looking = list(opened(f"agent:{AGENT}:logs"))
            operation = product.run(AGENT, *command)
        with ThreadPoolExecutor(viewers) as pool:
            seen = list(pool.map(lambda each: _view(*each, count), looking))
    assert product.finished(operation)["status"] == "succeeded"
    return [latency for each in seen for latency in each]


def _view(topic, live, count):
    """Milliseconds from write to receipt of so many lines."""
    lines = Lines()
    while len(lines.latencies) < count:
        received = live.recv(timeout=30)
        at = time.time()
        frame = json.loads(received)
        if frame["event"] == "log":
            lines.take(frame["data"]["lines"], at)
            live.send(json.dumps({"ack": topic, "seq": frame["data"]["seq"]}))
    return lines.latencies


def _follow_engine(container, count, begun):
    """What the engine's own follow takes, without Trinity."""
    lines, rest = Lines(), b""
    received = container.logs(stream=True, follow=True, tail=0)
    begun.set()
    for piece in received:
        at = time.time()
        *whole, rest = (rest + piece).split(b"\n")
        lines.take(whole, at)
        if len(lines.latencies) >= count:
            break
    return lines.latencies


class Lines:
    """Lines as one reader gets them; notices what is missing and what comes twice."""

    def __init__(self):
        self.latencies = []

    def take(self, lines, at):
        for line in lines:
            number, written = line.split()
            assert int(number) == len(self.latencies), line
            self.latencies.append((at - float(written)) * 1000)
