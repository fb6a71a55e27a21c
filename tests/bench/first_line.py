"""From the request of an operation to its first line, against `docker exec`."""

import json
import subprocess
from contextlib import closing
from time import perf_counter

from tests import engines
from tests.bench.fleet import SMALL, Caller, installation, say
from tests.bench.tables import Table, times_as_long

NOTES = (
    "From before POST /api/v1/operations is written to the first line at a client of its SSE",
    "stream, which it opens with the id from the answer; two keep-alive connections. Baseline:",
    "the same command in the same container by the command `docker exec`, from before its start",
    "to its first line. Besides, docker-py's exec (create, start) to its first bytes. All three",
    "by turns: what else the machine does meets each of them.",
)
COMMAND = ["echo", "the first line"]
AGENT = "bench-first-line"
WARM_UP = 5


def run(*, quick):
    count = 10 if quick else 200
    table = Table("first-line: POST of an operation -> its first line", *NOTES)
    with installation() as product, closing(engines.client()) as engine:
        product.create_agent(AGENT, resources=SMALL)
        [container] = product.containers(engine)
        say(f"{count} operations")
        requester = Requester(product)
        rounds = [
            (
                requester.first_line(),
                _typed(product, container),
                _exec(engine, container),
            )
            for _ in range(WARM_UP + count)
        ]
    ours, baseline, docker_py = zip(*rounds[WARM_UP:], strict=True)
    table.add("operation, first line by SSE", ours, ratio=times_as_long(ours, baseline))
    table.add("baseline: docker exec", baseline, ratio="1")
    table.add("docker-py's exec", docker_py, ratio=times_as_long(docker_py, baseline))
    table.print()


class Requester:
    def __init__(self, product):
        self._poster, self._reader = Caller(product), Caller(product)
        self._body = json.dumps({"agent": AGENT, "command": COMMAND})

    def first_line(self):
        """Milliseconds until the first line; the rest of the stream is read besides."""
        begun = perf_counter()
        created = json.loads(self._poster.call("POST", "/api/v1/operations", self._body))
        stream = self._reader.open("GET", f"/api/v1/operations/{created['id']}/stream")
        while COMMAND[-1].encode() not in (line := stream.readline()):
            assert line, "the stream ended without the line"
        taken = (perf_counter() - begun) * 1000
        assert b'"succeeded"' in stream.read()
        return taken


def _typed(product, container):
    command = ["docker", "-H", product.engine_url, "exec", container.id, *COMMAND]
    begun = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        taken = (perf_counter() - begun) * 1000
    assert COMMAND[-1].encode() in line
    return taken


def _exec(engine, container):
    begun = perf_counter()
    created = engine.api.exec_create(container.id, COMMAND)
    output = engine.api.exec_start(created["Id"], stream=True)
    assert COMMAND[-1].encode() in next(output)
    return (perf_counter() - begun) * 1000
