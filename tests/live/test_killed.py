"""Killed with ``kill -9`` in the middle of anything, it goes on where it was."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests

from tests.settled import differences, rows, under_way
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SETTLE_SECONDS = 30
STEPS = """
import os, time
with open(os.environ["TRINITY_WORKSPACE"] + "/runs", "a") as runs:
    runs.write("ran\\n")
for number in range(1, 501):
    print("step", number, flush=True)
    time.sleep(0.01)
"""


@contextmanager
def killed_at(product, condition):
    """Kill the product when the condition holds while the body's calls are under way."""
    with ThreadPoolExecutor(10) as threads:

        def call(path, body):
            # Cut off in the middle is what this is about.
            with suppress(requests.RequestException):
                product.post(path, body)

        yield lambda path, body=None: threads.submit(call, path, body)
        wait_until(condition, seconds=30, step=0.002)
        product.kill()


def goes_on(product, engine):
    product.start()
    wait_until(lambda: not under_way(product), seconds=SETTLE_SECONDS, step=0.1)
    assert differences(product, engine) == []


def test_while_agents_are_created(own_product, engine):
    instance = own_product.instance
    only_ours = {"label": f"trinity.instance={instance}"}

    def containers():
        return len(engine.api.containers(all=True, quiet=True, filters=only_ours))

    for moment in (1, 4, 9):
        before = containers()
        with killed_at(own_product, lambda: containers() >= before + moment) as post:  # noqa: B023
            for number in range(10):
                post("/api/agents", {"name": f"killed-{moment}-{number}"})
        goes_on(own_product, engine)
        # Each that was recorded was finished, not forgotten.
        statuses = rows(own_product, "SELECT status FROM agents_agent")
        assert set(statuses) == {("running",)}
        assert len(statuses) >= before + moment
        # And it works as before.
        one = f"after-{moment}"
        own_product.create_agent(one)
        own_product.call("DELETE", f"/api/agents/{one}").raise_for_status()


def test_while_agents_are_restarted(own_product, engine):
    names = [f"agent-{number}" for number in range(5)]
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(own_product.create_agent, names))
    own_product.post("/api/agents/agent-4/stop", {"timeout_seconds": 1}).raise_for_status()

    def stopping():
        query = "SELECT count(*) FROM agents_agent WHERE verb = 'restart' AND status <> 'running'"
        return rows(own_product, query)[0][0] >= 2

    with killed_at(own_product, stopping) as post:
        for name in names[:4]:
            post(f"/api/agents/{name}/restart", {"timeout_seconds": 1})
    goes_on(own_product, engine)
    statuses = dict(rows(own_product, "SELECT name, status FROM agents_agent"))
    assert statuses == dict.fromkeys(names, "running") | {"agent-4": "stopped"}


def test_while_an_operation_runs(own_product, engine):
    own_product.create_agent("worker")
    operation = own_product.run("worker", "python3", "-c", STEPS)
    # At once, whether or not its start was told to the container; then twice in its middle.
    own_product.kill()
    own_product.start()
    for enough in (50, 250):
        wait_until(
            lambda: own_product.operation(operation, tail=1)["result"]["log_count"] >= enough,  # noqa: B023
            seconds=30,
        )
        own_product.kill()
        own_product.start()
    # A viewer of the last of these lives sees all of them.
    events = list(own_product.stream(operation))
    lines = [(seq, event["content"]) for seq, event in events if event["type"] == "log"]
    assert lines == [(number, f"step {number}") for number in range(1, 501)]
    assert events[-1] == (501, {"type": "end", "status": "succeeded", "exit_code": 0})
    runs = own_product.finished(own_product.run("worker", "cat", "/home/developer/runs"))
    assert runs["result"]["logs"] == ["ran"]
    assert differences(own_product, engine) == []
