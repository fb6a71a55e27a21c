"""Status follows what is done with the ``docker`` command behind Trinity's back."""

import json
import time

import pytest

from tests.product import next_frame
from tests.waiting import wait_until

pytestmark = pytest.mark.live

# As issue 2 has it: within a second, on the list and for who watches.
SECONDS = 1.0
TOO_MUCH = "b'x' * 2**31"


@pytest.fixture
def container(product, agent, container_of):
    """The agent's container, running."""
    product.post(f"/api/agents/{agent}/start").raise_for_status()
    return container_of(product, agent)


@pytest.fixture
def watch(product, agent):
    """A viewer of all agents, who has been told how they are now."""
    with product.socket("agents") as live:
        next_frame(live, "agent_status", where=lambda told: told["name"] == agent)
        yield live


def follows(product, agent, watch, status, reason=""):
    """Both the list and the viewer say so, within a second of now."""
    began = time.monotonic()

    def listed():
        found = product.get("/api/agents").json()
        one = next(each for each in found if each["name"] == agent)
        return (one["status"], one["status_reason"]) if one["status"] == status else None

    assert reason in wait_until(listed, seconds=SECONDS)[1]
    left = SECONDS - (time.monotonic() - began)
    wanted = next_frame(
        watch,
        "agent_status",
        # Pushed at the same moment; the list took its time too.
        seconds=max(left, 0.2),
        where=lambda told: told["name"] == agent and told["status"] == status,
    )
    assert reason in wanted["status_reason"]


def test_it_follows_a_stop_and_a_start(product, agent, container, watch):
    container.stop(timeout=1)
    follows(product, agent, watch, "stopped", "exit code 0")
    container.start()
    follows(product, agent, watch, "running")


def test_it_follows_a_kill(product, agent, container, watch):
    container.kill()
    follows(product, agent, watch, "stopped", "exit code 137")


def test_it_follows_a_removal_and_a_start_makes_the_container_again(
    product, agent, container, watch
):
    container.remove(force=True)
    follows(product, agent, watch, "missing", "removed")
    product.post(f"/api/agents/{agent}/start").raise_for_status()
    next_frame(watch, "agent_started", seconds=SECONDS)
    now = product.agent(agent)
    assert (now["status"], now["status_reason"]) == ("running", "")
    assert now["container_id"] != container.id


def test_it_says_when_memory_ran_out(product, agent, container, watch):
    operation = product.run(agent, "python3", "-c", TOO_MUCH)

    def out_of_memory(told):
        return told["name"] == agent and told["status_reason"] == "out_of_memory"

    next_frame(watch, "agent_status", seconds=20, where=out_of_memory)
    assert product.agent(agent)["status_reason"] == "out_of_memory"
    outcome = product.finished(operation)
    assert outcome["status"] == "failed", json.dumps(outcome)
    # The agent outlived it, and a clean end later is not put down to it.
    container.stop(timeout=1)
    follows(product, agent, watch, "stopped", "exit code 0")


def test_a_stop_by_trinity_is_told_at_once(product, agent, container, watch):
    product.post(f"/api/agents/{agent}/stop", {"timeout_seconds": 1}).raise_for_status()
    assert product.agent(agent)["status"] == "stopped"
    next_frame(watch, "agent_stopped", seconds=1)
