"""Agents that nobody can delete."""

import pytest
from django.core.management import CommandError, call_command

from agents.models import Agent
from tests.factories import client_of, make_administrator, make_agent
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    agent = make_agent(name="warden")
    call_command("system_agent", "warden")
    return agent


def test_nobody_deletes_one(agent, containers):
    for user in (agent.owner, make_administrator()):
        answer = client_of(user).delete("/api/agents/warden")
        assert (answer.status_code, answer.json()["code"]) == (403, "system_agent")
    assert Agent.objects.present().filter(name="warden").exists()
    assert not containers.calls


def test_it_is_shown_as_such(agent):
    told = client_of(agent.owner).get("/api/agents/warden").json()
    assert (told["is_system"], told["can_delete"]) == (True, False)


def test_whoever_runs_the_machine_can_take_it_back(agent):
    call_command("system_agent", "warden", "--undo")
    assert client_of(agent.owner).get("/api/agents/warden").json()["can_delete"]
    verbs = AuditEvent.objects.filter(object_name="warden").order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == ["mark_system", "unmark_system"]


def test_an_agent_that_is_not_there_is_told(agent):
    with pytest.raises(CommandError, match=r"There is no agent 'x'\. Agents: warden"):
        call_command("system_agent", "x")
