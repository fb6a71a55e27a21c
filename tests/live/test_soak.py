"""Many agents, many viewers, limits and shares that change all the time: nothing gives way.

`make test` runs it shortened; `make soak` at full length, and says what it measured.
"""

import json
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests import engines
from tests.product import Product
from tests.settled import differences, under_way
from tests.waiting import wait_until

pytestmark = pytest.mark.live

IS_WHOLE = os.environ.get("TRINITY_SOAK") == "1"
AGENTS, VIEWERS, SECONDS = (50, 20, 120) if IS_WHOLE else (8, 6, 15)
# Before the first look at the memory: caches fill, pools make their threads.
WARM_UP_SECONDS = 30 if IS_WHOLE else 5
MOST_GROWTH = 50 * 2**20
TALK = """
import os, sys, time
out, number = os.open("/proc/1/fd/1", os.O_WRONLY), 0
while True:
    os.write(out, b"".join(b"line %d\\n" % n for n in range(number, number + 5)))
    number += 5
    time.sleep(0.25)
"""
WRONG = re.compile(r"^.*(?:ERROR|CRITICAL|Traceback|Exception).*$", re.MULTILINE)


def name_of(number):
    return f"soak-{number:02}"


@pytest.fixture
def product():
    product = Product()
    try:
        product.start()
        yield product
    finally:
        product.remove()


class Viewer:
    """Looks at the log and the figures of one agent, and acknowledges as a page does."""

    def __init__(self, live, agent):
        self._live = live
        self._topic = f"agent:{agent}:logs"
        self.lines = self.samples = 0
        self.wrong = []
        self._seq = None

    def look(self, is_over):
        while not is_over.is_set():
            try:
                frame = json.loads(self._live.recv(timeout=1))
            except TimeoutError:
                continue
            self._take(frame["event"], frame["data"])

    def _take(self, event, data):
        if event == "agent_stats_update":
            self.samples += 1
        elif event == "log":
            first = data["seq"] - len(data["lines"]) + 1
            if self._seq is not None and first != self._seq + 1:
                self.wrong.append((self._seq, first))
            self._seq = data["seq"]
            self.lines += len(data["lines"])
            self._live.send(json.dumps({"ack": self._topic, "seq": data["seq"]}))
        elif event == "error":
            self.wrong.append(data)


def flip(product, is_over):
    """Change limits and shares of agents as fast as the answers come; return the answers."""
    answers, chance = [], random.Random(3)
    while not is_over.is_set():
        path = f"/api/agents/{name_of(chance.randrange(AGENTS))}"
        limits = {"memory": chance.choice(["1g", "2g", None]), "cpu": chance.choice(["1", "2"])}
        answers.append(product.call("PUT", f"{path}/resources", limits).status_code)
        guest = {"email": "guest@example.org"}
        answers.append(product.post(f"{path}/share", guest).status_code)
        gone = product.call("DELETE", f"{path}/share/guest@example.org")
        answers.append(gone.status_code)
    return answers


def memory(product):
    [process] = product.processes.values()
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(600)
def test_nothing_gives_way(product):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(product.create_agent, map(name_of, range(AGENTS))))
    for number in range(AGENTS):
        product.run(name_of(number), "python3", "-c", TALK)
    is_over = threading.Event()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(VIEWERS + 1))
        stack.callback(is_over.set)
        viewers = []
        for number in range(VIEWERS):
            agent = name_of(number % AGENTS)
            topics = (f"agent:{agent}:logs", f"agent:{agent}:stats", "agents")
            viewers.append(Viewer(stack.enter_context(product.socket(*topics)), agent))
        looking = [pool.submit(viewer.look, is_over) for viewer in viewers]
        flipping = pool.submit(flip, product, is_over)
        time.sleep(WARM_UP_SECONDS)
        before = memory(product)
        time.sleep(SECONDS)
        growth = memory(product) - before
        is_over.set()
        for each in looking:
            each.result(30)
        answers = flipping.result(60)
    print(
        f"{AGENTS} agents, {VIEWERS} viewers, {SECONDS} s after {WARM_UP_SECONDS} s:",
        f"{len(answers)} changes, {sum(viewer.lines for viewer in viewers)} lines and",
        f"{sum(viewer.samples for viewer in viewers)} samples seen,",
        f"memory {before / 2**20:.0f} MB, growth {growth / 2**20:.1f} MB",
    )
    assert set(answers) == {200}
    assert [viewer.wrong for viewer in viewers] == [[]] * VIEWERS
    assert min(viewer.lines for viewer in viewers) > SECONDS * 10
    assert min(viewer.samples for viewer in viewers) > SECONDS / 4
    assert growth < MOST_GROWTH
    check_settled(product)


def check_settled(product):
    wait_until(lambda: not under_way(product), seconds=30)
    statuses = {agent["status"] for agent in product.get("/api/agents").json()}
    assert statuses == {"running"}
    with closing(engines.client()) as engine:
        assert differences(product, engine) == []
    assert WRONG.findall(product.output()) == []
