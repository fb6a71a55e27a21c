"""Recreation against a real engine: killed after every step, and undone where it fails."""

import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests

from tests import engines
from tests.live.conftest import running
from tests.product import ROOT
from tests.settled import differences, rows, under_way
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

# Counts from 0 under a name of its own for each run, and says where it ended.
COUNTS = """
import signal, sys, time, uuid
run, stopped = uuid.uuid4().hex, []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
number = 0
while not stopped:
    print(run, number, flush=True)
    number += 1
    time.sleep(0.01)
print(run, "end", number, flush=True)
"""
# What a web process does that is killed in the middle: tests/agents/interrupted.py counts.
DIES = """
import os, signal
from agents.models import Agent
from agents.runtime import get_runtime
from tests.agents.interrupted import interrupted, recreate
die = lambda number: os.kill(os.getpid(), signal.SIGKILL)
with interrupted(get_runtime(), at={moment}, by=die):
    recreate(Agent.objects.get(name="counter"))
"""
DOWNLOAD = "/api/agents/counter/logs/download"
# The moments that tests/agents/test_recreation_interrupted.py finds.
MOMENTS = 14


@pytest.fixture(scope="module")
def own(engine):
    """A product with an agent that writes into its log and its workspace."""
    with running() as product:
        product.create_agent("counter")
        shell(product, f'Agent.objects.filter(name="counter").update(command={counting()!r})')
        finished(product, "sh", "-c", "echo keep me >$TRINITY_WORKSPACE/note")
        restart(product)
        yield product


def counting():
    return ["python3", "-u", "-c", COUNTS]


def shell(product, code):
    return product.manage("shell", "-v0", "-c", f"from agents.models import Agent\n{code}")


def finished(product, *command):
    outcome = product.finished(product.run("counter", *command))
    assert outcome["status"] == "succeeded", outcome
    return outcome["result"]["logs"]


def restart(product, *, status=200):
    answer = product.post("/api/agents/counter/restart", {"timeout_seconds": 5})
    assert answer.status_code == status, answer.text
    return answer.json()


def make_due(product, value):
    path = "/api/agents/counter/environment"
    answer = product.call("PUT", path, {"variables": [{"name": "VALUE", "value": str(value)}]})
    answer.raise_for_status()
    assert answer.json()["recreate_needed"]


def settled(product, engine):
    """All is as recorded: one container of the right name, workspace and log whole."""
    wait_until(lambda: not under_way(product), seconds=60, step=0.1)
    wait_until(lambda: recreations(product) == [("",)], seconds=60, step=0.1)
    assert differences(product, engine) == []
    [container] = product.containers(engine)
    assert re.fullmatch(r"agent-counter(-\w+)?", container.name)
    assert finished(product, "sh", "-c", "cat $TRINITY_WORKSPACE/note") == ["keep me"]
    check_log(product)


def recreations(product):
    return rows(product, "SELECT recreation FROM agents_agent")


def check_log(product):
    """Each run's numbers are there from 0 on, none twice, and all but the last have an end."""
    found = {}
    for line in product.get(DOWNLOAD).text.splitlines():
        if match := re.fullmatch(r"([0-9a-f]{32}) (\d+|end \d+)", line):
            found.setdefault(match[1], []).append(match[2])
    assert found
    *ended, last = found.values()
    for numbers in ended:
        count = len(numbers) - 1
        assert numbers == [*map(str, range(count)), f"end {count}"]
    assert last == [*map(str, range(len(last)))]


def test_what_was_set_comes_with_a_new_container(own, engine):
    before = own.agent("counter")["container_id"]
    make_due(own, "first")
    restart(own)
    told = own.agent("counter")
    assert told["container_id"] != before
    assert not told["recreate_needed"]
    assert finished(own, "sh", "-c", "echo $VALUE") == ["first"]
    settled(own, engine)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_process_killed_after_any_moment_leaves_nothing_undone(own, engine, moment):
    make_due(own, f"killed {moment}")
    died = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", DIES.format(moment=moment)],
        cwd=ROOT,
        env=own.environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert died.returncode == -9, died.stderr
    settled(own, engine)
    assert own.agent("counter")["status"] == "running"
    if own.agent("counter")["recreate_needed"]:
        # It died before it had recorded that it would.
        assert moment == 0
        restart(own)
    assert finished(own, "sh", "-c", "echo $VALUE") == [f"killed {moment}"]


@pytest.mark.parametrize("phase", ["making", "spent"])
def test_trinity_itself_killed_in_the_middle_ends_it_after_its_next_start(own, engine, phase):
    make_due(own, f"killed while {phase}")

    def ask():
        try:
            restart(own)
        except requests.RequestException:
            return  # Cut off in the middle is what this is about.

    with ThreadPoolExecutor(1) as thread:
        thread.submit(ask)
        wait_until(lambda: recreations(own) == [(phase,)], seconds=30, step=0.001)
        own.kill()
    own.start()
    settled(own, engine)
    assert finished(own, "sh", "-c", "echo $VALUE") == [f"killed while {phase}"]


def test_an_operation_under_way_ends_with_its_container(own, engine):
    operation = own.run("counter", "sh", "-c", "echo begun; sleep 600")
    wait_until(lambda: own.operation(operation)["result"]["log_count"] == 1)
    make_due(own, "an operation")
    restart(own)
    outcome = own.finished(operation, seconds=20)
    assert (outcome["status"], outcome["result"]["logs"]) == ("failed", ["begun"])
    settled(own, engine)


@pytest.fixture
def broken_image(engine):
    """An image whose containers end at once."""
    tag = "trinity-test-broken:latest"
    content = f'FROM {engines.IMAGE}\nENTRYPOINT ["sh", "-c", "echo cannot begin; exit 9"]\n'
    with closing(io.BytesIO(content.encode())) as dockerfile:
        engine.images.build(fileobj=dockerfile, tag=tag)
    yield tag
    engine.images.remove(tag, force=True)


def test_a_new_container_that_ends_at_once_is_taken_back(own, engine, broken_image):
    before = own.agent("counter")
    shell(own, f'Agent.objects.update(image="{broken_image}")')
    assert own.agent("counter")["recreate_needed"]
    answer = restart(own, status=503)
    assert answer["code"] == "start_failed"
    told = own.agent("counter")
    assert (told["status"], told["container_id"]) == ("running", before["container_id"])
    assert told["status_reason"].startswith("not recreated: counter ended while it came up")
    # What it had to say is kept, though its container is gone.
    assert "cannot begin" in own.get("/api/agents/counter/logs?tail=1000").json()["logs"]
    settled(own, engine)
    shell(own, f'Agent.objects.update(image="{engines.IMAGE}")')
    assert not own.agent("counter")["recreate_needed"]


def test_a_container_that_is_restarted_by_hand_has_its_environment(own, engine):
    make_due(own, "by hand")
    before = runs(own)
    restart(own)
    # What it writes comes a moment after it runs.
    wait_until(lambda: runs(own) == before + 1, seconds=20)
    engine.containers.get(own.agent("counter")["container_id"]).restart(timeout=5)
    # Its own program waits for what it was given, and writes again.
    wait_until(lambda: runs(own) == before + 2, seconds=20)

    def found():
        if own.agent("counter")["status"] != "running":
            return False
        outcome = own.finished(own.run("counter", "sh", "-c", "echo $VALUE"))
        return outcome["result"]["logs"] == ["by hand"]

    wait_until(found, seconds=20)
    settled(own, engine)


def runs(product):
    """How often its own program has begun."""
    return len(re.findall(r"^\w{32} 0$", product.get(DOWNLOAD).text, re.MULTILINE))
