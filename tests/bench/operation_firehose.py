"""One operation that writes as fast as it can, to many clients, against following the engine."""

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median

from tests import engines
from tests.bench import sse
from tests.bench.firehose import EngineReader
from tests.bench.fleet import SMALL, installation, main_process, say
from tests.bench.processes import forget_most, resident_bytes
from tests.bench.tables import Table, megabytes

LINE_BYTES = 100
# All that an operation's log takes: ten million bytes.
LINES = 100_000
BLOCK = 80
NOTES = (
    "Lines of 100 bytes with their numbers, in blocks of 8,000 bytes and without a pause, to the",
    "standard output of an operation in a running agent; the log takes the first 100,000 of them,",
    "and one line that says so. A sample is one client: the lines that it got, by the time from",
    "the POST of the operation to its last line. Each opens the stream with the id from the",
    "answer, and a hash over all its events in order, numbers included, is that of what was",
    "written: none is lost, none comes twice. All clients are threads of the one process that",
    "measures. Baseline: Trinity is stopped, and the same program writes as many lines to the",
    "standard output of the same container's main process, while docker-py's logs(follow=True)",
    "counts them, a thread for each client in a process of its own; from the start of the exec to",
    "the last line. It marks the number of each line in a map of bits: a number that never came is",
    "lost, one that came again is repeated, and the rate counts it twice. Fifty clients take",
    "docker-py a minute, so they follow once.",
)
# Waits until everybody looks, then tells how fast it was let write, below the cap and above.
WRITER = """
import json, os, sys, time
path, kept, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
out = os.open(path, os.O_WRONLY) if path else 1
begun, capped = time.time(), None
for first in range(0, count, 80):
    if first == kept:
        capped = time.time()
    block = b"".join(b"%010d %s\\n" % (n, b"x" * 88) for n in range(first, first + 80))
    while block:
        block = block[os.write(out, block):]
if path:
    os.write(out, b"%010d end\\n" % count)
else:
    ended = time.time()
    told = {"begun": begun, "capped": capped, "ended": ended}
    with open(os.environ["TRINITY_OUT"] + "/told.json", "w") as file:
        json.dump(told, file)
"""
MARKER = "[... logs truncated at 10MB limit ...]"
AGENT = "bench-drain"
CLIENTS = (1, 10, 50)


def run(*, quick):
    rounds, drained = (1, 2) if quick else (3, 10)
    table = Table(
        "operation-firehose: an operation writes as fast as it can", *NOTES, unit="lines/s"
    )
    held, drains, ours = [], [], {}
    with installation() as product, closing(engines.client()) as engine:
        product.create_agent(AGENT, resources=SMALL)
        [container] = product.containers(engine)
        pid, wanted = main_process(product), _wanted()
        held.append(f"{megabytes(resident_bytes(pid))} before")
        for count in CLIENTS:
            say(f"{count} clients, {rounds} times")
            forget_most(pid)
            ours[count] = []
            for _ in range(rounds):
                rates, drain = _measure(product, count, wanted, LINES * drained)
                ours[count] += rates
                drains.append(drain)
            held.append(f"at most {megabytes(resident_bytes(pid, most=True))} with {count}")
        product.stop()
        followed = [
            _followed(product, container, count, rounds if count < max(CLIENTS) else 1)
            for count in CLIENTS
        ]
    baseline = followed[0].rates
    for count, rates in ours.items():
        table.add(f"clients: {count}", rates, ratio=_ratio(rates, baseline))
    for each in followed:
        ratio = "1" if each.clients == 1 else _ratio(each.rates, baseline)
        what = f"baseline: docker-py follow, clients: {each.clients}"
        table.add(what, each.rates, ratio=ratio)
    table.print()
    print(f"Trinity: {LINES} lines and the marker at each client, none lost or twice.")
    for each in followed:
        print(f"docker-py, clients: {each.clients}: of {LINES} lines one client lost", end=" ")
        print(f"{each.lost:,} and another got {each.repeated:,} once more, at most;", end=" ")
        print(f"its process took at most {megabytes(each.memory_bytes)}.")
    below, above = (median(each) for each in zip(*drains, strict=True))
    print("The program's own rate, the median of all rounds: it was let write", end=" ")
    print(f"{below:,.0f} lines/s below the cap, {above:,.0f} lines/s above it.")
    print(f"The product's resident memory: {', '.join(held)}.\n", flush=True)


def _ratio(rates, baseline):
    return f"{median(rates) / median(baseline):.1f} times as many"


def _measure(product, count, wanted, lines):
    with ThreadPoolExecutor(count) as pool:
        begun = time.perf_counter()
        operation = product.run(AGENT, "python3", "-c", WRITER, "", str(LINES), str(lines))
        clients = [Client() for _ in range(count)]
        for client in pool.map(lambda each: each.look(product, operation), clients):
            assert (client.lines, client.hash.digest()) == (LINES + 1, wanted)
    told = product.get(f"/api/v1/operations/{operation}/artifacts/told.json").json()
    below = LINES / (told["capped"] - told["begun"])
    above = (lines - LINES) / (told["ended"] - told["capped"])
    return [client.lines / (client.last_at - begun) for client in clients], (below, above)


def _wanted():
    digest = hashlib.sha1()
    for number in range(LINES):
        digest.update(_event(number + 1, f"{number:010} {'x' * 88}"))
    digest.update(_event(LINES + 1, MARKER))
    return digest.digest()


def _event(seq, content):
    return f"id: {seq}\ndata: {json.dumps({'type': 'log', 'content': content})}\n\n".encode()


class Client:
    """Counts the lines of a stream, and looks at each only after the end: by one hash."""

    def __init__(self):
        self.lines = 0
        self.last_at = 0.0
        self.hash = hashlib.sha1()

    def look(self, product, operation):
        sse.Stream(sse.opened(product, operation), self._take).read()
        return self

    def _take(self, events, at):
        self.lines += sse.count_lines(events)
        self.last_at = at
        self.hash.update(events)


@dataclass
class Followed:
    """What docker-py's clients got, in all rounds; of losses, repeats and memory the most."""

    clients: int
    rates: list[float] = field(default_factory=list)
    lost: int = 0
    repeated: int = 0
    memory_bytes: int = 0

    def add(self, reader, begun):
        for lines, repeated, at in reader.got:
            self.rates.append(lines / (at - begun))
            # With the one that says that it is the last.
            self.lost = max(self.lost, LINES + 1 - (lines - repeated))
            self.repeated = max(self.repeated, repeated)
        self.memory_bytes = max(self.memory_bytes, reader.memory_bytes)


def _followed(product, container, count, rounds):
    say(f"docker-py alone, {count} clients, {rounds} times")
    followed = Followed(count)
    for _ in range(rounds):
        reader = EngineReader(product, container, "follow", readers=count)
        begun = time.monotonic()
        arguments = ["/proc/1/fd/1", str(LINES), str(LINES)]
        assert container.exec_run(["python3", "-c", WRITER, *arguments]).exit_code == 0
        reader.stop()
        followed.add(reader, begun)
    return followed
