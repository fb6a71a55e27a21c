"""Asking for an isolated operation: never more than the agent has, also while it is stopped."""

import pytest

from operations.models import Operation
from tests.factories import client_of, make_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_agent(name="scribe", memory_limit="4g", cpu_limit="2")


def ask(agent, **fields):
    body = {"agent": "scribe", "command": ["true"], "isolated": True, **fields}
    return client_of(agent.owner).post("/api/v1/operations", body)


def test_it_has_what_its_agent_has_unless_less_is_asked_for(agent):
    assert ask(agent).status_code == 202
    assert ask(agent, memory="1g", cpu="1", network="internet").status_code == 202
    fields = ("is_isolated", "memory", "cpu", "network")
    found = Operation.objects.order_by("created_at").values_list(*fields)
    assert list(found) == [(True, "4g", "2", "none"), (True, "1g", "1", "internet")]


def test_its_status_says_that_it_is_isolated(agent):
    operation = ask(agent).json()["id"]
    told = client_of(agent.owner).get(f"/api/v1/operations/{operation}").json()
    assert (told["isolated"], told["queue_position"]) == (True, 1)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"memory": "8g"}, "invalid_limit", "memory must not be above the agent's own: 4g"),
        ({"cpu": "4"}, "invalid_limit", "cpu must not be above the agent's own: 2"),
        ({"memory": "3g"}, "invalid_limit", "Invalid memory value"),
        ({"cpu": "half"}, "invalid_limit", "Invalid CPU value"),
        ({"network": "private"}, "invalid_operation", "network must be none or internet"),
        ({"isolated": False, "memory": "1g"}, "invalid_operation", "only for isolated operations"),
        ({"isolated": False, "cpu": "1"}, "invalid_operation", "only for isolated operations"),
        ({"isolated": False, "network": "none"}, "invalid_operation", "only for isolated"),
    ],
)
def test_what_it_cannot_have_is_refused(agent, fields, code, text):
    answer = ask(agent, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert text in answer.json()["detail"]
    assert not Operation.objects.exists()


def test_an_agent_without_network_gives_none(agent):
    agent.network = "none"
    agent.save()
    answer = ask(agent, network="internet")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_operation")
    assert ask(agent, network="none").status_code == 202


def test_no_network_is_given_that_cannot_be_guarded(agent):
    agent.host.record_network("no packet filter")
    answer = ask(agent, network="internet")
    assert answer.status_code == 400
    assert "no packet filter" in answer.json()["detail"]
