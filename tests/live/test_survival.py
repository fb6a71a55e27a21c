"""The supervisor is killed while many operations are streamed: all of them go on, for everybody."""

import pytest

from tests.following import Viewer
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

IN_AGENT, ISOLATED, LINES = 16, 4, 250
# Which run of it that was is part of what it says; the last one ends badly.
STEPS = """
import os, sys, time
runs = os.environ["TRINITY_WORKSPACE"] + "/runs-" + os.environ["TRINITY_OPERATION"]
with open(runs, "a") as file:
    file.write("ran\\n")
run = len(open(runs).readlines())
for number in range(1, int(sys.argv[1]) + 1):
    print("run", run, "step", number, flush=True)
    time.sleep(0.02)
sys.exit(int(sys.argv[2]))
"""
STEPPED = [f"run 1 step {number}" for number in range(1, LINES + 1)]


def begin(product, agent):
    """Start all of them; give each id with the exit code that it is to have."""
    command = ("python3", "-c", STEPS, str(LINES))
    expected = {}
    for number in range(IN_AGENT + ISOLATED):
        exit_code, is_isolated = 3 * (number % 5 == 4), number >= IN_AGENT
        operation = product.run(agent, *command, str(exit_code), isolated=is_isolated)
        expected[operation] = exit_code
    return expected


def all_were_told(viewers, expected):
    for operation, viewer in viewers.items():
        viewer.join(90)
        assert viewer.texts() == STEPPED
        status = "failed" if expected[operation] else "succeeded"
        assert viewer.end == {"type": "end", "status": status, "exit_code": expected[operation]}


def nothing_left(product, engine, agent, expected):
    def left():
        found = [each["Names"][0] for each in engine.api.containers(all=True)]
        found += [each.name for each in engine.volumes.list()]
        found += [path.name for path in (product.data_dir / "sockets").iterdir()]
        kept = "ls /var/lib/trinity/spool/operations"
        found += in_container(product, engine, agent, kept)
        return [name for name in found if any(each in name for each in expected)]

    # What a supervisor just did not come to, the next one looks for every 20 s.
    wait_until(lambda: not left(), seconds=50, step=0.5)
    # No operation ran a second time, and none of its programs goes on.
    counted = in_container(product, engine, agent, "cat /home/developer/runs-*")
    assert counted == ["ran"] * IN_AGENT
    assert "step" not in " ".join(in_container(product, engine, agent, "cat /proc/*/cmdline"))


def in_container(product, engine, agent, command):
    container = engine.containers.get(product.agent(agent)["container_id"])
    return container.exec_run(["sh", "-c", command]).output.decode(errors="replace").split()


def midway(viewers):
    wait_until(lambda: min(len(each.lines) for each in viewers.values()) >= 20, seconds=60)


def test_viewers_of_a_web_process_of_its_own_stay_connected(split, engine):
    split.create_agent("survivor")
    expected = begin(split, "survivor")
    viewers = {operation: Viewer(split, operation) for operation in expected}
    midway(viewers)
    supervisor = split.processes.pop("supervise")
    supervisor.kill()
    supervisor.wait(10)
    before = sum(len(each.lines) for each in viewers.values())
    split.start_half("supervise")
    all_were_told(viewers, expected)
    assert before < IN_AGENT * LINES
    assert {viewer.connections for viewer in viewers.values()} == {1}
    nothing_left(split, engine, "survivor", expected)
    split.call("DELETE", "/api/agents/survivor").raise_for_status()


def test_viewers_of_the_one_process_come_back_by_themselves(own_product, engine):
    own_product.create_agent("survivor")
    expected = begin(own_product, "survivor")
    viewers = {operation: Viewer(own_product, operation) for operation in expected}
    midway(viewers)
    own_product.kill()
    own_product.start()
    all_were_told(viewers, expected)
    assert min(viewer.connections for viewer in viewers.values()) > 1
    nothing_left(own_product, engine, "survivor", expected)
