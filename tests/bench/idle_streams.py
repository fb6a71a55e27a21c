"""What it costs one web process to hold many streams of operations that say nothing."""

import re
import socket
import time
from contextlib import ExitStack

from tests.bench.fleet import SMALL, installation, main_process, say
from tests.bench.processes import cpu_percent, descriptors, resident_bytes, threads
from tests.bench.tables import Table, megabytes
from tests.waiting import wait_until

OPERATIONS = 10
SLICE_SECONDS = 3
SETTLE_SECONDS = 5
NOTES = (
    "Percent of one core of the process of `manage.py up`, which is web server and supervisor:",
    "user and system time in /proc/<pid>/stat, n slices of 3 s. Each client is a TCP connection",
    f"that has got the first events of the SSE stream of one of {OPERATIONS} operations; these",
    "sleep and print nothing. What comes later, comments that keep the connection alive, stays in",
    "the kernel's buffers, and nothing else calls the product. Baseline: the same process before",
    "anybody looks.",
)
AGENT = "bench-idle"


def run(*, quick):
    count, seconds = (50, 6) if quick else (500, 30)
    table = Table(f"idle-streams: {count} SSE clients that hear nothing", *NOTES, unit="%")
    with installation() as product:
        product.create_agent(AGENT, resources=SMALL)
        begun = [product.run(AGENT, "sleep", "3600") for _ in range(OPERATIONS)]
        process = Process(product, seconds)
        rows = [("before", process.look("nobody looks"))]
        for wave in ("first", "second"):
            with ExitStack() as stack:
                _open(product, begun, count, stack)
                rows.append((f"{wave} {count} clients", process.look(f"{wave} {count} clients")))
            wait_until(lambda: _viewers(product) == 0, seconds=30)
            rows.append((f"after the {wave}", process.look("they have left")))
    for what, look in rows:
        table.add(what, look.cpu)
    table.print()
    for what, look in rows:
        print(f"{what}: {megabytes(look.resident)} resident, {look.files} descriptors,", end=" ")
        print(f"{look.threads} threads")
    _per_client(count, *(look for _, look in rows[:2]))


def _per_client(count, before, with_clients):
    cpu = (_mean(with_clients.cpu) - _mean(before.cpu)) / count
    memory = (with_clients.resident - before.resident) / count
    print(f"Each client: {memory / 1000:.1f} KB, {cpu:.4f} % of a core.\n", flush=True)


def _mean(samples):
    return sum(samples) / len(samples)


def _open(product, operations, count, stack):
    head = f"Host: 127.0.0.1:{product.port}\r\nAuthorization: Bearer {product.token}\r\n\r\n"
    for number in range(count):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", product.port), 30))
        path = f"/api/v1/operations/{operations[number % len(operations)]}/stream"
        client.sendall(f"GET {path} HTTP/1.1\r\n{head}".encode())
        received = b""
        while b'"processing"' not in received:
            more = client.recv(4096)
            assert more, received
            received += more


def _viewers(product):
    [(count)] = re.findall(r'^trinity_viewers{kind="stream"} (\S+)$', _metrics(product), re.M)
    return float(count)


def _metrics(product):
    return product.get("/metrics").text


class Process:
    """Looks at the product's one process when it has come to rest."""

    def __init__(self, product, seconds):
        self._pid = main_process(product)
        self._seconds = seconds

    def look(self, what):
        say(f"{what}: {self._seconds} s, after {SETTLE_SECONDS} s of rest")
        time.sleep(SETTLE_SECONDS)
        return Look(self._pid, self._seconds)


class Look:
    def __init__(self, pid, seconds):
        measured = cpu_percent({"web": [pid]}, seconds=seconds, slice_seconds=SLICE_SECONDS)
        self.cpu = measured["web"]
        self.resident = resident_bytes(pid)
        self.files = descriptors(pid)
        self.threads = threads(pid)
