"""Isolated operations on a real engine: what they cannot see, what they may use, what is left."""

import pytest

from tests.settled import differences, rows
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

LOOK = """
import os
from pathlib import Path
# Every fresh workspace has what the image put there, hidden files all of them.
print("workspace", [x for x in os.listdir(os.environ["TRINITY_WORKSPACE"]) if x[0] != "."])
print("secret", os.environ.get("HUSH"))
print("given", os.environ.get("GIVEN"))
print("capabilities", [x.split()[1] for x in open("/proc/self/status") if x.startswith("CapEff")])
cards = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
print("network", [card for card in cards if card == "eth0"])
for place in (Path("/etc/x"), Path("/opt/trinity/x")):
    try:
        place.write_text("x")
    except OSError as error:
        print("write", error.strerror)
"""
HOG = "x = bytearray(3 * 1024**3); print(len(x))"
STEPS = """
import time
for number in range(1, 401):
    print("step", number, flush=True)
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def owner(product):
    """An agent with something to hide, which does not run."""
    product.create_agent("hidden", resources={"memory": "2g", "cpu": "1"})
    secret = {"variables": [{"name": "HUSH", "value": "hush hush", "is_secret": True}]}
    product.call("PUT", "/api/agents/hidden/environment", secret)
    touch = product.run("hidden", "touch", "/home/developer/private")
    assert product.finished(touch)["status"] == "succeeded"
    product.post("/api/agents/hidden/stop", {"timeout_seconds": 1}).raise_for_status()
    yield "hidden"
    product.call("DELETE", "/api/agents/hidden")


def isolated(product, agent, *command, **fields):
    return product.run(agent, *command, isolated=True, **fields)


def left(product, engine, operation):
    # Not containers.list(), which fails when another's container goes while it looks.
    found = [each["Names"][0] for each in engine.api.containers(all=True)]
    found += [each.name for each in engine.volumes.list()]
    found += [path.name for path in (product.data_dir / "sockets").iterdir()]
    return [name for name in found if operation in name]


def nothing_left(product, engine, operation):
    # Killed just before it removed it, a supervisor leaves that to the next one.
    wait_until(lambda: not left(product, engine, operation), seconds=30)


def test_it_sees_nothing_of_its_agent(product, owner, engine):
    operation = isolated(product, owner, "python3", "-c", LOOK, env={"GIVEN": "for this one"})
    told = product.finished(operation)
    assert told["result"]["logs"] == [
        "workspace []",
        "secret None",
        "given for this one",
        "capabilities ['0000000000000000']",
        "network []",
        "write Read-only file system",
        "write Read-only file system",
    ]
    assert (told["status"], told["isolated"]) == ("succeeded", True)
    assert product.agent(owner)["status"] == "stopped"
    nothing_left(product, engine, operation)


def test_what_is_to_run_in_the_stopped_agent_itself_is_refused_and_leaves_nothing(product, owner):
    count = "SELECT (SELECT count(*) FROM operations_operation), (SELECT count(*) FROM agents_log)"
    before = rows(product, count)
    refused = product.post("/api/v1/operations", {"agent": owner, "command": ["true"]})
    told = {"detail": f"Agent {owner} is stopped: start it first", "code": "agent_not_running"}
    assert (refused.status_code, refused.json()) == (400, told)
    assert rows(product, count) == before


def test_its_limits_hold(product, owner, engine):
    operation = isolated(product, owner, "sleep", "60", memory="1g", cpu="1")

    def found():
        return [each["Id"] for each in engine.api.containers() if operation in each["Names"][0]]

    [container] = wait_until(found, seconds=15)
    config = engine.api.inspect_container(container)["HostConfig"]
    assert (config["Memory"], config["MemorySwap"]) == (1024**3, 1024**3)
    assert (config["NanoCpus"], config["NetworkMode"]) == (10**9, "none")
    assert (config["ReadonlyRootfs"], config["CapDrop"]) == (True, ["ALL"])
    wait_until(lambda: product.operation(operation)["status"] == "processing", seconds=15)
    product.cancel(operation)
    nothing_left(product, engine, operation)


def test_too_little_memory_is_told(product, owner, engine):
    operation = isolated(product, owner, "python3", "-c", HOG, memory="1g")
    told = product.finished(operation)
    result = told["result"]
    outcome = (told["status"], result["error"], result["exit_code"], result["logs"])
    assert outcome == ("failed", "out_of_memory", -9, [])
    nothing_left(product, engine, operation)


def test_one_goes_on_after_its_supervisor_was_killed(own_product, engine):
    own_product.create_agent("worker")
    operations = [isolated(own_product, "worker", "python3", "-c", STEPS) for _ in range(3)]
    # At once, whatever has been made by then; then twice in the middle.
    own_product.kill()
    own_product.start()
    for enough in (20, 200):
        wait_until(
            lambda: own_product.operation(operations[0], tail=1)["result"]["log_count"] >= enough,  # noqa: B023
            seconds=30,
        )
        own_product.kill()
        own_product.start()
    for operation in operations:
        told = own_product.finished(operation, seconds=60)
        assert told["status"] == "succeeded"
        assert told["result"]["logs"] == [f"step {number}" for number in range(1, 401)]
        nothing_left(own_product, engine, operation)
    assert rows(own_product, "SELECT count(*) FROM operations_operation") == [(3,)]
    assert differences(own_product, engine) == []
