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
    # Nor can what runs be ended, and nobody is told that it was.
    refused = product.post(f"/api/v1/operations/{before}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (400, "agent_not_running")
    assert "is paused on its engine" in refused.json()["detail"]
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


def test_what_ran_in_a_paused_agent_can_be_canceled_when_it_is_resumed(
    product, agent, container_of
):
    operation = product.run(agent, "sleep", "987655")
    wait_until(lambda: product.operation(operation)["status"] == "processing", seconds=15)
    container = container_of(product, agent)
    container.pause()
    wait_until(lambda: reason(product, agent) == ["paused"], seconds=10)
    assert product.post(f"/api/v1/operations/{operation}/cancel").status_code == 400
    container.unpause()
    wait_until(lambda: reason(product, agent) == [""], seconds=10)
    product.cancel(operation)


def test_a_pause_behind_a_cancel_does_not_hold_it_up(product, agent, container_of):
    operation = product.run(agent, "sh", "-c", "trap '' TERM; echo begun; sleep 987656")
    wait_until(lambda: product.operation(operation)["result"]["log_count"], seconds=15)
    container = container_of(product, agent)
    assert product.post(f"/api/v1/operations/{operation}/cancel").status_code == 204
    container.pause()
    told = product.finished(operation, seconds=20)
    assert (told["status"], told["result"]["error"]) == ("canceled", None), told
    assert "paused on its engine" in told["result"]["summary"]
    container.unpause()
    # What is left of it by then has no more to do.
    wait_until(lambda: "987656" not in str(container.top()["Processes"]), seconds=30)


def test_an_isolated_operation_is_canceled_though_its_container_is_paused(product, agent, engine):
    operation = product.run(agent, "python3", "-c", STEPS + "\ntime.sleep(600)", isolated=True)
    has_begun(product, operation)
    engine.containers.get(f"operation-{operation}").pause()
    [told] = product.cancel(operation)
    assert told["result"]["log_count"] > 5

    def names():
        return [each["Names"][0] for each in engine.api.containers(all=True)]

    wait_until(lambda: not any(operation in name for name in names()), seconds=30)
