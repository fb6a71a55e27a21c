"""Web and supervisor apart: which of several supervisors acts, and who takes over."""

import os
import signal
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.following import Viewer
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

TAKE_OVER_SECONDS = 15
STOPPED_SECONDS = 30
STEPS = """
import os, time
with open(os.environ["TRINITY_WORKSPACE"] + "/runs", "a") as runs:
    runs.write("ran\\n")
for number in range(1, 401):
    print("step", number, flush=True)
    time.sleep(0.01)
"""
# Counts its runs, says so, leaves a file.
PACED = """
import os, sys, time
runs = os.environ["TRINITY_WORKSPACE"] + "/runs-" + os.environ["TRINITY_OPERATION"]
with open(runs, "a") as file:
    file.write("ran\\n")
run, count, pause = len(open(runs).readlines()), int(sys.argv[1]), float(sys.argv[2])
for number in range(1, count + 1):
    print("run", run, "step", number, flush=True)
    time.sleep(pause)
open(os.environ["TRINITY_OUT"] + "/count.txt", "w").write(str(count))
"""


@pytest.fixture
def second(split):
    """Another supervisor beside the product's own."""
    split.start_half("supervise", name="second")
    database = urlsplit(split.environment["DATABASE_URL"]).port
    # Each of them may be the one that has to take over.
    for name in ("supervise", "second"):
        wait_until(lambda: is_connected(split.processes[name].pid, database), seconds=30)  # noqa: B023
    yield split.processes["second"]
    for name in ("supervise", "second"):
        process = split.processes.pop(name)
        if process.poll() is None:
            process.terminate()
            process.wait(20)
    split.start_half("supervise")


def is_connected(pid, port):
    """Tell whether a process has a connection to a port of this machine."""
    opened = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.add(os.readlink(file))
    connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    to_port = {each[9] for each in connections if int(each[2].partition(":")[2], 16) == port}
    return any(f"socket:[{inode}]" in opened for inode in to_port)


def lease(product):
    """Process and epoch of the supervisor that acts."""
    query = "SELECT lease_holder, lease_epoch FROM agents_host"
    with psycopg.connect(product.environment["DATABASE_URL"]) as database:
        holder, epoch = database.execute(query).fetchone()
    return (int(holder.split(":")[1]) if holder else None), epoch


def test_when_one_is_killed_the_other_takes_over(split, second, engine):
    split.create_agent("shared")
    first = split.processes["supervise"]
    holder, epoch = wait_until(lambda: lease(split)[0] and lease(split), seconds=30)
    acting, waiting = (first, second) if holder == first.pid else (second, first)
    assert holder == acting.pid
    operation = split.run("shared", "python3", "-c", STEPS)
    stream = split.stream(operation)
    lines = []
    for seq, event in stream:
        if event["type"] == "log":
            lines.append((seq, event["content"]))
        if len(lines) == 50:
            break
    acting.kill()
    killed = time.monotonic()
    acting.wait(10)
    wait_until(lambda: lease(split) == (waiting.pid, epoch + 1), seconds=TAKE_OVER_SECONDS)
    # The same viewer goes on: the web half was never away.
    rest = list(stream)
    print(f"taken over, and seen, {time.monotonic() - killed:.1f} s after the kill")
    lines += [(seq, event["content"]) for seq, event in rest if event["type"] == "log"]
    assert lines == [(number, f"step {number}") for number in range(1, 401)]
    assert rest[-1] == (401, {"type": "end", "status": "succeeded", "exit_code": 0})
    runs = split.finished(split.run("shared", "cat", "/home/developer/runs"))
    assert runs["result"]["logs"] == ["ran"]
    # It follows the engine too.
    engine.containers.get(split.agent("shared")["container_id"]).stop(timeout=1)
    wait_until(lambda: split.agent("shared")["status"] == "stopped", seconds=5)
    split.call("DELETE", "/api/agents/shared").raise_for_status()


class Both:
    """Operations of both forms, each followed by a viewer from its beginning on."""

    def __init__(self, product, agent):
        self._product, self._agent = product, agent
        self.viewers, self.counts, self.isolated = {}, {}, set()

    def begin(self, count, pause):
        begun = []
        for is_isolated in (False, True):
            command = ("python3", "-c", PACED, str(count), str(pause))
            operation = self._product.run(self._agent, *command, isolated=is_isolated)
            self.viewers[operation] = Viewer(self._product, operation)
            self.counts[operation] = count
            self.isolated |= {operation} if is_isolated else set()
            begun.append(operation)
        return begun

    def seen(self, operations):
        return min(len(self.viewers[each].lines) for each in operations)

    def check(self, operation, status="succeeded"):
        viewer = self.viewers[operation]
        viewer.join(60)
        steps = [f"run 1 step {number}" for number in range(1, self.counts[operation] + 1)]
        texts = viewer.texts()
        assert texts == (steps if status == "succeeded" else steps[: len(texts)])
        assert (viewer.end["status"], viewer.connections) == (status, 1)
        files = self._product.get(f"/api/v1/operations/{operation}/artifacts").json()["artifacts"]
        assert [each["path"] for each in files] == ["count.txt"] * (status == "succeeded")


@pytest.fixture
def made(engine, split):
    with containers_counted(engine, split.instance) as counted:
        yield counted


def test_one_that_is_stopped_and_wakes_up_late_changes_nothing(split, second, made):
    """Of what it had begun, of what it was about to begin, and of what came later."""
    split.create_agent("twice")
    first = split.processes["supervise"]
    holder, epoch = wait_until(lambda: lease(split)[0] and lease(split), seconds=30)
    acting, waiting = (first, second) if holder == first.pid else (second, first)
    both = Both(split, "twice")
    # Over all of the stop; to their end in it; cancelled in it.
    long, short, endless = both.begin(250, 0.2), both.begin(80, 0.05), both.begin(1000, 0.2)
    wait_until(lambda: both.seen(long + short + endless) >= 3, seconds=30)
    sudden = both.begin(20, 0.01)
    acting.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        later = both.begin(20, 0.01)
        wait_until(lambda: lease(split) == (waiting.pid, epoch + 1), seconds=TAKE_OVER_SECONDS)
        print(f"taken over {time.monotonic() - stopped:.1f} s after the stop")
        for operation in endless:
            assert split.post(f"/api/v1/operations/{operation}/cancel").status_code == 204
        for operation in short + sudden + later:
            both.check(operation)
        for operation in endless:
            both.check(operation, "canceled")
        before = both.seen(long)
        assert before < both.counts[long[0]]
        # What this is about is so long a stop.
        time.sleep(max(0, STOPPED_SECONDS - (time.monotonic() - stopped)))
    finally:
        acting.send_signal(signal.SIGCONT)
    wait_until(lambda: both.seen(long) > before + 10, seconds=20)
    assert (acting.poll(), lease(split)) == (None, (waiting.pid, epoch + 1))
    # It takes over itself, and knows of all that was done meanwhile.
    waiting.kill()
    waiting.wait(10)
    wait_until(lambda: lease(split) == (acting.pid, epoch + 2), seconds=TAKE_OVER_SECONDS)
    for operation in long:
        both.check(operation)
    runs = split.finished(split.run("twice", "sh", "-c", "cat /home/developer/runs-*"))
    assert runs["result"]["logs"] == ["ran"] * (len(both.viewers) - len(both.isolated))
    wait_until(lambda: each_once(both.isolated).items() <= made.items(), seconds=30)
    split.call("DELETE", "/api/agents/twice").raise_for_status()


def each_once(operations):
    return {(each, action): 1 for each in operations for action in ("create", "start", "destroy")}


@contextmanager
def containers_counted(engine, instance):
    """Count how often each operation's container is made, started and removed from now on.

    Asked for afterwards, the engine tells of its last 256 events only.
    """
    counted = Counter()
    kinds = ["create", "start", "destroy"]
    wanted = {"type": "container", "event": kinds, "label": f"trinity.instance={instance}"}
    events = engine.events(filters=wanted, decode=True)

    def count():
        for each in events:
            if operation := each["Actor"]["Attributes"].get("trinity.operation"):
                counted[operation, each["Action"]] += 1

    thread = Thread(target=count, daemon=True)
    thread.start()
    try:
        yield counted
    finally:
        events.close()
        thread.join(10)


def test_one_that_ends_in_good_order_gives_the_lease_back_at_once(split, second):
    holder, _ = wait_until(lambda: lease(split)[0] and lease(split), seconds=30)
    first = split.processes["supervise"]
    acting, waiting = (first, second) if holder == first.pid else (second, first)
    acting.terminate()
    asked = time.monotonic()
    assert acting.wait(10) == 0
    wait_until(lambda: lease(split)[0] == waiting.pid, seconds=5)
    print(f"handed over in {time.monotonic() - asked:.1f} s")
