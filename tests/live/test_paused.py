"""A container that somebody pauses on the engine, and resumes."""

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.live

STEPS = "import time\nfor n in range(200):\n    print(n, flush=True)\n    time.sleep(0.01)"


def reason(product, agent):
    return wait_until(
        lambda: (found := product.agent(agent))["status"] == "running" and [found["status_reason"]]
    )


def has_begun(product, operation):
    return wait_until(lambda: product.operation(operation)["result"]["log_count"] > 5, seconds=15)


def test_an_agent_refuses_while_it_is_paused_and_then_goes_on(product, agent, container_of):
    before = product.run(agent, "python3", "-c", STEPS)
    has_begun(product, before)
    container = container_of(product, agent)
    container.pause()
    wait_until(lambda: reason(product, agent) == ["paused"], seconds=10)
    asked = {"agent": agent, "command": ["true"]}
    refused = product.post("/api/v1/operations", asked)
    assert (refused.status_code, refused.json()["code"]) == (400, "agent_not_running")
    assert "is paused on its engine" in refused.json()["detail"]
    held = product.operation(before)
    assert held["status"] == "processing"
    container.unpause()
    wait_until(lambda: reason(product, agent) == [""], seconds=10)
    assert product.finished(product.run(agent, "true"))["status"] == "succeeded"
    told = product.finished(before)
    assert (told["status"], told["result"]["log_count"]) == ("succeeded", 200)


def test_a_paused_agent_comes_back_with_a_restart(product, agent, container_of):
    container_of(product, agent).pause()
    wait_until(lambda: reason(product, agent) == ["paused"], seconds=10)
    answer = product.post(f"/api/agents/{agent}/restart", {"timeout_seconds": 1})
    assert answer.status_code == 200, answer.text
    assert reason(product, agent) == [""]
    assert product.finished(product.run(agent, "true"))["status"] == "succeeded"


def test_an_isolated_operation_is_only_late(product, agent, engine):
    operation = product.run(agent, "python3", "-c", STEPS, isolated=True)
    has_begun(product, operation)
    container = engine.containers.get(f"operation-{operation}")
    container.pause()
    # Whoever drives it looks for it anew, as after his own end.
    held = product.operation(operation)
    assert held["status"] == "processing"
    container.unpause()
    told = product.finished(operation)
    assert (told["status"], told["result"]["log_count"]) == ("succeeded", 200)
