"""Web and supervisor apart: which of several supervisors acts, and who takes over."""

import time

import psycopg
import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

TAKE_OVER_SECONDS = 15
STEPS = """
import os, time
with open(os.environ["TRINITY_WORKSPACE"] + "/runs", "a") as runs:
    runs.write("ran\\n")
for number in range(1, 401):
    print("step", number, flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def second(split):
    """Another supervisor beside the product's own."""
    split.start_half("supervise", name="second")
    yield split.processes["second"]
    for name in ("supervise", "second"):
        process = split.processes.pop(name)
        if process.poll() is None:
            process.terminate()
            process.wait(20)
    split.start_half("supervise")


def lease(product):
    """Process and epoch of the supervisor that acts."""
    query = "SELECT lease_holder, lease_epoch FROM agents_host"
    with psycopg.connect(product.environment["DATABASE_URL"]) as database:
        holder, epoch = database.execute(query).fetchone()
    return (int(holder.split(":")[1]) if holder else None), epoch


def test_when_one_is_killed_the_other_takes_over(split, second, engine):
    split.create_agent("shared")
    first = split.processes["supervise"]
    holder, epoch = wait_until(lambda: lease(split)[0] and lease(split))
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


def test_one_that_ends_in_good_order_gives_the_lease_back_at_once(split, second):
    holder, _ = wait_until(lambda: lease(split)[0] and lease(split))
    first = split.processes["supervise"]
    acting, waiting = (first, second) if holder == first.pid else (second, first)
    acting.terminate()
    asked = time.monotonic()
    assert acting.wait(10) == 0
    wait_until(lambda: lease(split)[0] == waiting.pid, seconds=5)
    print(f"handed over in {time.monotonic() - asked:.1f} s")
