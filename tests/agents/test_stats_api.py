"""The last sample of an agent: null for what is not known."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Stats
from tests.factories import client_of, make_agent, make_running_agent

pytestmark = pytest.mark.django_db

FIELDS = {
    *("cpu_percent", "memory_used_bytes", "memory_limit_bytes", "memory_percent"),
    *("network_rx_bytes", "network_tx_bytes", "uptime_seconds", "status", "sampled_at"),
}


def stats(agent):
    return client_of(agent.owner).get(f"/api/agents/{agent.name}/stats")


@pytest.mark.parametrize("status", ["stopped", "starting", "stopping", "error", "missing"])
def test_an_agent_that_does_not_run_has_none(status, containers):
    answer = stats(make_agent(status=status))
    assert answer.status_code == 400
    assert answer.json() == {"detail": "Agent is not running", "code": "agent_not_running"}
    assert not containers.calls


def test_before_the_first_sample_all_is_null():
    told = stats(make_running_agent()).json()
    assert set(told) == FIELDS
    assert told.pop("status") == "running"
    assert set(told.values()) == {None}


def test_a_sample_is_told_as_it_was_recorded(containers):
    now = timezone.now()
    agent = make_running_agent(started_at=now - timedelta(seconds=30))
    Stats.objects.create(
        agent=agent, sampled_at=now, cpu_percent=12.5, memory_used_bytes=50, memory_limit_bytes=200
    )
    told = stats(agent).json()
    assert set(told) == FIELDS
    assert (told["cpu_percent"], told["memory_percent"], told["uptime_seconds"]) == (12.5, 25, 30)
    assert told["network_rx_bytes"] is None
    assert not containers.calls
