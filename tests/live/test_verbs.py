"""Start, stop and restart: recorded, idempotent, one at a time."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.live

EVENTS = """
import json
from trinity.models import AuditEvent
events = AuditEvent.objects.filter(object_type="agent").order_by("pk")
print(json.dumps(list(events.values("verb", "object_name", "outcome", "actor_name", "address"))))
"""


def verb(product, agent, name):
    return product.post(f"/api/agents/{agent}/{name}", {"timeout_seconds": 1})


def events(product, agent):
    found = json.loads(product.manage("shell", "-v0", "-c", EVENTS))
    return [event for event in found if event["object_name"] == agent]


def test_each_is_done_when_it_answers_and_is_recorded(product, agent):
    for name, status in (
        ("stop", "stopped"),
        ("stop", "stopped"),
        ("start", "running"),
        ("start", "running"),
        ("restart", "running"),
    ):
        answer = verb(product, agent, name)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == status
        assert product.agent(agent)["status"] == status
    told = events(product, agent)[-5:]
    assert [event["verb"] for event in told] == ["stop", "stop", "start", "start", "restart"]
    assert {event["outcome"] for event in told} == {"done"}
    assert {event["actor_name"] for event in told} == {"admin"}
    assert {event["address"] for event in told} == {"127.0.0.1"}


def test_of_two_restarts_at_once_one_is_told_that_the_agent_is_busy(product, agent):
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: verb(product, agent, "restart"), range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "busy"
    assert product.agent(agent)["status"] == "running"
    told = events(product, agent)[-2:]
    assert [event["verb"] for event in told] == ["restart", "restart"]
    assert sorted(event["outcome"] for event in told) == ["done", "failed"]


def test_a_deleted_agent_leaves_nothing(product, engine):
    made = product.create_agent("short-lived")
    volumes = [
        mount["Name"]
        for mount in engine.containers.get(made["container_id"]).attrs["Mounts"]
        if mount["Type"] == "volume"
    ]
    answer = product.call("DELETE", "/api/agents/short-lived?workspace=remove&log=remove")
    assert answer.status_code == 200, answer.text
    assert product.get("/api/agents/short-lived").status_code == 404
    assert not engine.containers.list(all=True, filters={"id": made["container_id"]})
    names = {volume.name for volume in engine.volumes.list()}
    assert len(volumes) == 2
    assert not names & set(volumes)
    # Its name is free again.
    assert product.create_agent("short-lived")["status"] == "running"
    product.call("DELETE", "/api/agents/short-lived").raise_for_status()
