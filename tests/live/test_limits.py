"""Limits that are changed while the agent runs, seen from inside of its container."""

import json

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.live

GIB = 1024**3
NAME = "limited"
PATH = f"/api/agents/{NAME}/resources"

# The first of v1 and v2 that is there; in v1 each controller has a tree of its own.
LOOK = """
import json
from pathlib import Path

def first(*names):
    for name in names:
        path = Path("/sys/fs/cgroup") / name
        if path.exists():
            return path.read_text().split()

quota = first("cpu.max") or first("cpu/cpu.cfs_quota_us") + first("cpu/cpu.cfs_period_us")
memory = int(first("memory.max", "memory/memory.limit_in_bytes")[0])
swap = int(first("memory.swap.max", "memory/memory.memsw.limit_in_bytes")[0])
is_v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
print(json.dumps([memory, swap if is_v2 else swap - memory, int(quota[0]) / int(quota[1])]))
"""
HOLD = "import time; held = bytearray(b'x') * {}; print('held', flush=True); time.sleep({})"
SPIN = """
import os, time
began = time.monotonic()
for _ in range(4):
    if not os.fork():
        while time.monotonic() < began + 2:
            pass
        os._exit(0)
for _ in range(4):
    os.wait()
used = os.times()
print((used.children_user + used.children_system) / (time.monotonic() - began))
"""


@pytest.fixture(scope="module")
def product(embedded):
    embedded.create_agent(NAME, resources={"memory": "2g", "cpu": "2"})
    yield embedded
    embedded.call("DELETE", f"/api/agents/{NAME}")


def put(product, **limits):
    answer = product.call("PUT", PATH, limits)
    return answer.status_code, answer.json()


def python(product, code):
    return product.finished(product.run(NAME, "python3", "-c", code))


def seen(product):
    """Memory, swap beyond it, and CPUs that the container has by its own cgroup."""
    return json.loads(python(product, LOOK)["result"]["logs"][-1])


def test_they_go_up_and_down_while_it_runs(product, engine, container_of):
    began = container_of(product, NAME).attrs["State"]["StartedAt"]
    for memory, cpu in (("4g", "1"), ("1g", "2"), ("2g", "1")):
        status, body = put(product, memory=memory, cpu=cpu)
        assert (status, body["applied_live"], body["restart_needed"]) == (200, True, False)
        assert seen(product) == [int(memory[:-1]) * GIB, 0, float(cpu)]
    assert container_of(product, NAME).attrs["State"]["StartedAt"] == began


def test_they_hold(product):
    put(product, memory="1g", cpu="1")
    assert float(python(product, SPIN)["result"]["logs"][-1]) < 1.15
    held = python(product, HOLD.format(int(1.2 * GIB), 0))
    assert held["result"]["exit_code"] in {-9, 137}
    assert wait_until(lambda: product.agent(NAME)["status_reason"], seconds=10) == "out_of_memory"


def test_one_below_what_is_used_is_refused_and_nothing_is_killed(product):
    put(product, memory="2g")
    operation = product.run(NAME, "python3", "-c", HOLD.format(int(1.2 * GIB), 60))
    wait_until(lambda: product.operation(operation)["result"]["logs"] == ["held"], seconds=30)
    status, body = put(product, memory="1g")
    assert (status, body["code"]) == (400, "limit_below_use")
    assert "uses 1.2" in body["detail"]
    assert seen(product)[0] == 2 * GIB
    assert product.operation(operation)["status"] == "processing"
    product.post(f"/api/v1/operations/{operation}/cancel")
    product.finished(operation)


def test_one_above_the_host_goes_as_far_as_the_host(product, engine):
    host = engine.info()
    status, body = put(product, memory="64g", cpu="16")
    assert status == 200
    expected = [min(64 * GIB, host["MemTotal"]), 0, min(16.0, host["NCPU"])]
    assert seen(product) == expected
    assert bool(body.get("warning")) is (expected[0] < 64 * GIB or expected[2] < 16)


def test_those_of_a_stopped_agent_are_there_after_the_next_start(product):
    put(product, memory="2g", cpu="2")
    product.post(f"/api/agents/{NAME}/stop", {"timeout_seconds": 1})
    status, body = put(product, memory="1g", cpu="1")
    assert (status, body["applied_live"], body["restart_needed"]) == (200, False, True)
    product.post(f"/api/agents/{NAME}/start")
    assert seen(product) == [1 * GIB, 0, 1.0]
