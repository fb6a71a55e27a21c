"""Programs that do not want to end, in both forms: in the agent's container, and in their own."""

import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

FORMS = (False, True)
# Told to end, none of its processes does; one is in another session, one a daemon without
# parents, and children are made until no more can be.
STUBBORN = """
import os, signal, time
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(name, signal.SIG_IGN)

def last():
    os.execvp("sleep", ["sleep", "98765431"])

def in_a_session_of_its_own():
    os.setsid()
    last()

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            # Nor does its environment tell whose it is.
            os.execve("/usr/bin/sleep", ["sleep", "98765431"], {})
    os._exit(0)

for kind in (last, in_a_session_of_its_own, daemon):
    if os.fork() == 0:
        kind()
{more}
print("ready", flush=True)
while True:
    time.sleep(60)
"""
FILL_PIDS = """
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            time.sleep(3600)
        made += 1
except OSError:
    print("full", made > 100, flush=True)
"""


def begun(product, agent, more="", **fields):
    """Start it in each form, and wait until all of its processes are there."""
    program = STUBBORN.replace("{more}", more)
    operations = [
        product.run(agent, "python3", "-c", program, isolated=isolated, **fields)
        for isolated in FORMS
    ]
    for operation in operations:
        wait_until(lambda: "ready" in logs(product, operation), seconds=30)  # noqa: B023
    return operations


def logs(product, operation):
    return product.operation(operation)["result"]["logs"]


def of_agent(container):
    """The processes in the agent's container; more than a server are an operation's."""
    return [row[-1] for row in container.top()["Processes"]]


def nothing_left(product, engine, container, quiet, operations):
    wait_until(lambda: of_agent(container) == quiet, seconds=10)
    found = [each["Names"][0] for each in engine.api.containers(all=True)]
    found += [each["Name"] for each in engine.api.volumes()["Volumes"] or []]
    found += [path.name for path in (product.data_dir / "sockets").iterdir()]
    return not [name for name in found for operation in operations if operation in name]


def test_its_time_limit_ends_all_of_it(embedded, stubborn, engine):
    agent, container, quiet = stubborn
    operations = begun(embedded, agent, timeout_seconds=4)
    for operation in operations:
        told = embedded.finished(operation, seconds=40)
        result = told["result"]
        assert (told["status"], result["error"], result["exit_code"]) == ("failed", "timeout", -9)
        # Four seconds, and ten for which it was asked nicely.
        assert 13.5 < result["execution_time"] < 23
    wait_until(lambda: nothing_left(embedded, engine, container, quiet, operations), seconds=30)
    assert embedded.finished(embedded.run(agent, "true"))["status"] == "succeeded"


def test_a_cancel_ends_all_of_it(embedded, stubborn, engine):
    agent, container, quiet = stubborn
    operations = begun(embedded, agent, FILL_PIDS)
    assert all("full True" in logs(embedded, operation) for operation in operations)
    embedded.cancel(*operations)
    wait_until(lambda: nothing_left(embedded, engine, container, quiet, operations), seconds=30)


@pytest.fixture(scope="module")
def stubborn(embedded, container_of):
    """An agent, its container, and what runs there while no operation does."""
    embedded.create_agent("stubborn", resources={"memory": "2g", "cpu": "1"})
    container = container_of(embedded, "stubborn")
    yield "stubborn", container, of_agent(container)
    embedded.call("DELETE", "/api/agents/stubborn")
