"""What it costs to know the CPU and memory of many running containers."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from statistics import mean

from tests import engines
from tests.bench.fleet import grow, installation, say
from tests.bench.processes import cpu_percent, engine_processes
from tests.bench.tables import Table
from tests.product import ROOT

NOTES = (
    "Percent of one core: user and system time in /proc/<pid>/stat, n slices of 2 s, of which one",
    "tick is 0.5 %; the ratio is that of the means. Trinity: the whole process of `manage.py up`,",
    "with its web server, which nobody calls. Engine: dockerd, its containerd, these containers'",
    "shims. Baseline: Trinity is stopped, and one process holds one docker-py",
    "stats(stream=True, decode=True) for each of the same containers, in a thread each.",
)
SLICE_SECONDS = 2
SETTLE_SECONDS = 10


def run(*, quick):
    count, seconds = (10, 6) if quick else (100, 30)
    title = f"stats: CPU and memory of {count} running containers, for {seconds} s"
    table = Table(title, *NOTES, unit="%")
    with installation() as product:
        [process] = product.processes.values()
        trinity = {"Trinity": [process.pid]}
        without_agents = _measured("Trinity without agents", trinity, seconds)
        grow(product, count)
        engine = {"engine": _engine_processes(product)}
        rounds = Rounds(product, count)
        ours = _measured("Trinity", {**trinity, **engine}, seconds, rounds.look)
        product.stop()
        at_rest = _measured("nobody asks", engine, seconds)
        with _streams(product) as client:
            baseline = _measured("streams", {"client": [client.pid], **engine}, seconds)
    _add(table, f"Trinity, {count} agents", ours["Trinity"], baseline["client"])
    _add(table, "engine meanwhile", ours["engine"], baseline["engine"])
    _add(table, "both", _sums(ours), _sums(baseline))
    _add(table, "baseline: client of the streams", baseline["client"])
    _add(table, "baseline: engine meanwhile", baseline["engine"])
    _add(table, "baseline: both", _sums(baseline))
    _add(table, "Trinity without agents", without_agents["Trinity"])
    _add(table, "engine, nobody asks", at_rest["engine"])
    table.print()
    print(f"Trinity stored {rounds.seen} rounds of all {count} in the {seconds} s;", end=" ")
    print(f"the streams brought {client.samples} samples while they were open.\n", flush=True)


def _add(table, what, samples, baseline=None):
    ratio = "" if baseline is None else f"{mean(samples) / mean(baseline):.2f} of it"
    table.add(what, samples, ratio=ratio)


def _sums(groups):
    return [sum(each) for each in zip(*groups.values(), strict=True)]


def _measured(what, groups, seconds, after_slice=lambda: None):
    say(f"{what}: {seconds} s, after {SETTLE_SECONDS} s of rest")
    time.sleep(SETTLE_SECONDS)
    return cpu_percent(
        groups, seconds=seconds, slice_seconds=SLICE_SECONDS, after_slice=after_slice
    )


def _engine_processes(product):
    with closing(engines.client()) as engine:
        containers = [container.id for container in product.containers(engine)]
    return engine_processes(product.engine_url, containers)


class Rounds:
    """Counts how often the samples of all agents were replaced; reads the file, asks nobody."""

    def __init__(self, product, count):
        self._path = product.data_dir / "trinity.sqlite3"
        self._count = count
        self._last = None
        self.seen = 0

    def look(self):
        query = "SELECT sampled_at, count(*) FROM agents_stats GROUP BY 1 ORDER BY 1 DESC LIMIT 1"
        with closing(sqlite3.connect(self._path)) as database:
            at, count = database.execute(query).fetchone()
        self.seen += at != self._last and count == self._count
        self._last = at


@contextmanager
def _streams(product):
    label = f"trinity.instance={product.instance}"
    command = [sys.executable, "-m", "tests.bench.stats_streams", product.engine_url, label]
    pipe = subprocess.PIPE
    client = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    try:
        yield client
    finally:
        client.samples = int(client.communicate(timeout=30)[0])
