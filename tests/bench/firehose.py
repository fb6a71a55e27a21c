"""One container that writes as fast as it can, to ten viewers, against reading the engine's log."""

import hashlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from statistics import median

from tests import engines
from tests.bench.fleet import SMALL, installation, say
from tests.bench.tables import Table
from tests.product import ROOT
from tests.settled import rows

NOTES = (
    "Lines of 100 bytes with their numbers, in blocks of 8,000 bytes and without a pause, to the",
    "standard output of the container's main process. A sample is one second at one reader. Ten",
    "viewers have WebSockets and acknowledge every frame; a hash over all lines in order, of each",
    "viewer and of what is stored, is that of what was written.",
    "Baseline: Trinity is stopped, the same program writes into the same log once more, and",
    "docker-py's logs(follow=True) counts lines in a process of its own. What is kept: docker-py",
    "reads all that the engine still has of the log.",
)
# Its first line waits until everybody looks; the last says that it is the last.
WRITER = """
import os, sys, time
out, seconds = os.open("/proc/1/fd/1", os.O_WRONLY), float(sys.argv[1])
time.sleep(2)
end, number = time.time() + seconds, 0
while time.time() < end:
    block = b"".join(b"%010d %s\\n" % (n, b"x" * 88) for n in range(number, number + 80))
    number += 80
    while block:
        block = block[os.write(out, block):]
os.write(out, b"%010d end\\n" % number)
print(number + 1)
"""
VIEWERS = 10
AGENT = "bench-firehose"
TOPIC = f"agent:{AGENT}:logs"
_FRAME = re.compile(rb'"seq": (\d+), "lines": \[(.*)\]\}\}$', re.DOTALL)


def run(*, quick):
    seconds = 3 if quick else 20
    table = Table(f"firehose: one container writes for {seconds} s", *NOTES, unit="lines/s")
    # All that is written is compared with all that is stored.
    with (
        installation(TRINITY_AGENT_LOG_BYTES=str(2**32)) as product,
        closing(engines.client()) as engine,
    ):
        product.create_agent(AGENT, resources=SMALL)
        [container] = product.containers(engine)
        say(f"{VIEWERS} viewers, {seconds} s")
        written, viewers = _with_trinity(product, seconds)
        product.stop()
        kept = EngineReader(product, container, "kept")
        kept.stop()
        say(f"docker-py alone, {seconds} s")
        alone = EngineReader(product, container, "follow")
        alone_written = int(container.exec_run(["python3", "-c", WRITER, str(seconds)]).output)
        alone.stop()
    baseline = alone.rates
    ours = [rate for viewer in viewers for rate in viewer.rates]
    table.add(f"stored, and at {VIEWERS} viewers", ours, ratio=_times(ours, baseline))
    table.add("baseline: docker-py follow", baseline, ratio="1")
    table.add("docker-py, what is kept", [kept.rate], ratio=_times([kept.rate], baseline))
    table.print()
    print(f"Trinity: {written} lines written, stored and at each viewer, none lost or twice;")
    repeated = alone.got[0][1]
    print(f"docker-py got {alone.lines - repeated} lines of {alone_written} written, and")
    print(f"{repeated} once more.\n", flush=True)


def _times(samples, baseline):
    return f"{median(samples) / median(baseline):.1f} times as many"


def _with_trinity(product, seconds):
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(VIEWERS))
        looking = [stack.enter_context(product.socket(TOPIC)) for _ in range(VIEWERS)]
        viewers = [Viewer(live) for live in looking]
        viewing = [pool.submit(viewer.look) for viewer in viewers]
        first_seq = _last_seq(product) + 1
        operation = product.run(AGENT, "python3", "-c", WRITER, str(seconds))
        for each in viewing:
            each.result(seconds * 10)
        written = int(product.finished(operation)["result"]["logs"][-1])
    wanted = _hash(_written(written))
    for viewer in viewers:
        assert (viewer.lines, viewer.hash.digest()) == (written, wanted)
    assert _hash(_stored(product, first_seq)) == wanted
    return written, viewers


def _written(count):
    for number in range(count - 1):
        yield b"%010d %s" % (number, b"x" * 88)
    yield b"%010d end" % (count - 1)


def _last_seq(product):
    [(seq,)] = rows(product, "SELECT last_seq FROM agents_log ORDER BY id LIMIT 1")
    return seq


def _stored(product, first_seq):
    # The agent's log is older than that of the operation which writes into it.
    query = f"SELECT text FROM agents_logchunk WHERE first_seq >= {first_seq} ORDER BY log_id, id"
    for (text,) in rows(product, query):
        yield from text.encode().split(b"\n")


def _hash(lines):
    digest = hashlib.sha1()
    for line in lines:
        digest.update(b'"%s", ' % line)
    return digest.digest()


class Viewer:
    """Takes frames as a page does, and looks at each line only after the end: by one hash."""

    def __init__(self, live):
        self._live = live
        self._counts = Counter()
        self.lines = 0
        self.hash = hashlib.sha1()

    def look(self):
        is_over = False
        while not is_over:
            received = self._live.recv(timeout=60, decode=False)
            if found := _FRAME.search(received):
                seq, lines = found.groups()
                self._take(lines)
                self._live.send(json.dumps({"ack": TOPIC, "seq": int(seq)}))
                is_over = lines.endswith(b' end"')

    def _take(self, lines):
        count = lines.count(b'", "') + 1
        self._counts[int(time.monotonic())] += count
        self.lines += count
        self.hash.update(lines + b", ")

    @property
    def rates(self):
        return _whole_seconds(self._counts)


class EngineReader:
    """docker-py in a process of its own, with a thread for each of its readers."""

    def __init__(self, product, container, mode, *, readers=1):
        command = [sys.executable, "-m", "tests.bench.engine_log"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*command, product.engine_url, container.id, mode, str(readers)],
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def stop(self):
        told = json.loads(self._process.communicate(timeout=360)[0])
        #: Of each reader, how many lines it got, how many once more, and when the last of them.
        self.got = [
            (sum(each["counts"].values()), each["repeated"], each["last_at"])
            for each in told["readers"]
        ]
        #: What the process took at most.
        self.memory_bytes = told["memory"]
        # What follows is of the first.
        counts = {int(second): count for second, count in told["readers"][0]["counts"].items()}
        self.lines = sum(counts.values())
        self.rate = self.lines / told["seconds"]
        self.rates = _whole_seconds(counts)


def _whole_seconds(counts):
    """Lines of each second between the first and the last, which are not whole."""
    first, last = min(counts), max(counts)
    return [counts.get(second, 0) for second in range(first + 1, last)]
