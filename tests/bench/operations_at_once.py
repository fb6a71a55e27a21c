"""A hundred operations at once in one agent, each with a client that reads its log."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench import sse
from tests.bench.fleet import installation, main_process, say
from tests.bench.processes import forget_most, resident_bytes
from tests.bench.tables import Table, megabytes, times_as_long

RATE, LINES = 5, 50
NOTES = (
    "From the clock's time that a program writes into a line, read just before its write(), to",
    "the return of read() with the event of its SSE stream that holds the line, by the same",
    f"clock; a sample is one line. Each operation writes {RATE} lines a second and {LINES} in all,",
    "from a moment on at which all have begun and all streams are open; each has a client of its",
    "own, a thread of the process that measures. All lines have come, once and in order, and all",
    "operations have succeeded. Baseline: one such operation alone in the same agent.",
)
# From one moment on, but not all in the same tenth of a second: programs are not soldiers.
WRITER = """
import os, sys, time
begin, rate, count = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
begin += os.getpid() % 100 / 100 / rate
for number in range(count):
    time.sleep(max(0, begin + number / rate - time.time()))
    os.write(1, b"%d %.6f\\n" % (number, time.time()))
"""
AGENT = "bench-crowd"
RAISED = {"TRINITY_OPERATIONS_PER_AGENT": "200", "TRINITY_OPERATIONS_PER_USER": "200"}


def run(*, quick):
    count, lead_seconds = (20, 10) if quick else (100, 25)
    table = Table(f"operations-at-once: {count} operations in one agent", *NOTES)
    with installation(**RAISED) as product:
        product.create_agent(AGENT, resources={"memory": "4g", "cpu": "2"})
        pid = main_process(product)
        say("one operation alone")
        baseline = _measure(product, 1, 3)
        before = resident_bytes(pid)
        forget_most(pid)
        say(f"{count} operations")
        ours = _measure(product, count, lead_seconds)
        most = resident_bytes(pid, most=True)
    table.add(f"operations: {count}", ours, ratio=times_as_long(ours, baseline))
    table.add("baseline: one operation", baseline, ratio="1")
    table.print()
    print(f"All {count} ran at the same time, and succeeded; no line was lost or came twice.")
    print(f"The product's resident memory: {megabytes(before)} before,", end=" ")
    print(f"at most {megabytes(most)} meanwhile.\n", flush=True)


def _measure(product, count, lead_seconds):
    begin = time.time() + lead_seconds
    arguments = [str(begin), str(RATE), str(LINES)]
    with ThreadPoolExecutor(count) as pool:
        begun = [product.run(AGENT, "python3", "-c", WRITER, *arguments) for _ in range(count)]
        clients = [Client(sse.opened(product, operation)) for operation in begun]
        reading = [pool.submit(client.read) for client in clients]
        # Nothing is written yet: no line's way is longer because its client came late.
        _wait_until_all_run(product, begun, begin)
        for each in reading:
            each.result()
    assert {product.operation(each)["status"] for each in begun} == {"succeeded"}
    assert all(len(client.latencies) == LINES for client in clients)
    return [latency for client in clients for latency in client.latencies]


def _wait_until_all_run(product, operations, begin):
    pending = set(operations)
    while pending:
        listed = product.get("/api/v1/operations?status=processing&limit=200").json()
        pending -= {each["id"] for each in listed}
        assert time.time() < begin, f"{len(pending)} of {len(operations)} had not begun in time"
        time.sleep(0.1)


class Client:
    """Notices what is missing and what comes twice."""

    def __init__(self, answer):
        self._stream = sse.Stream(answer, self._take)
        self.latencies = []

    def read(self):
        self._stream.read()
        assert b'"succeeded"' in self._stream.end, self._stream.end

    def _take(self, events, _at):
        at = time.time()
        for content in sse.contents(events):
            number, written = content.split()
            assert int(number) == len(self.latencies), content
            self.latencies.append((at - float(written)) * 1000)
