"""From the request of an operation to its first line, against the engine's exec."""

import json
import subprocess
from contextlib import closing
from time import perf_counter

from tests import engines
from tests.bench.fleet import SMALL, Caller, installation, sampled, say
from tests.bench.tables import Table, times_faster

NOTES = (
    "From before POST /api/v1/operations is written to the first line at a client of its SSE",
    "stream, which it opens with the id from the answer; two keep-alive connections.",
    "Baselines: the same command in the same container by the engine's exec, until its first",
    "output: docker-py (create, start, first bytes), and the command `docker exec` to its end.",
)
COMMAND = ["echo", "the first line"]
AGENT = "bench-first-line"


def run(*, quick):
    count = 10 if quick else 200
    table = Table("first-line: POST of an operation -> its first line", *NOTES)
    with installation() as product, closing(engines.client()) as engine:
        product.create_agent(AGENT, resources=SMALL)
        say(f"{count} operations")
        requester = Requester(product)
        ours = [requester.first_line() for _ in range(count + 5)][5:]
        [container] = product.containers(engine)
        baseline = sampled(lambda: _exec(engine, container), count)
        command = ["docker", "-H", product.engine_url, "exec", container.id, *COMMAND]
        typed = sampled(lambda: subprocess.run(command, check=True, capture_output=True), count)
    table.add("operation, first line by SSE", ours, ratio=times_faster(ours, baseline))
    table.add("baseline: exec by docker-py", baseline, ratio="1")
    table.add("docker exec", typed, ratio=times_faster(typed, baseline))
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


def _exec(engine, container):
    created = engine.api.exec_create(container.id, COMMAND)
    output = engine.api.exec_start(created["Id"], stream=True)
    assert COMMAND[-1].encode() in next(output)
