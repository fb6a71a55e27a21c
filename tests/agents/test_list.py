"""The list of agents: from recorded state alone, whatever it holds."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Host, Share, Stats
from tests.factories import (
    client_of,
    make_administrator,
    make_agent,
    make_running_agent,
    make_user,
    share,
)

pytestmark = pytest.mark.django_db

FIELDS = {
    *("name", "description", "tags", "type", "status", "port", "created", "resources"),
    *("container_id", "template", "image", "owner", "is_owner", "is_shared", "is_system"),
    *("github_repo", "autonomy_enabled", "memory_limit", "cpu_limit", "base_image_version"),
    "status_reason",
}


def queries_of(client, path):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("path", ["/api/agents", "/api/agents?stats=1"])
def test_one_agent_and_fifty_cost_the_same_queries_and_no_engine_call(path, containers):
    agent = make_running_agent()
    client = client_of(agent.owner)
    client.get(path)
    queries = queries_of(client, path)
    for _ in range(49):
        share(make_running_agent(), agent.owner)
    assert len(client.get(path).json()) == 50
    assert queries_of(client, path) == queries
    assert not containers.calls


def test_an_agent_has_every_field_of_the_contract():
    agent = make_running_agent(name="scribe", description="writes", tags=["a"])
    [told] = client_of(agent.owner).get("/api/agents").json()
    assert set(told) == FIELDS
    assert told["name"] == "scribe"
    assert told["status"] == "running"
    assert told["resources"] == {"cpu": "2", "memory": "4g"}
    assert told["memory_limit"] is None
    assert told["owner"] == agent.owner.username
    assert (told["is_owner"], told["is_shared"]) == (True, False)
    assert len(told["created"]) == len("2026-01-31T23:59:59.123456Z")


def test_a_shared_agent_says_so_to_whom_it_is_shared_with():
    agent, user = make_agent(), make_user()
    share(agent, user, Share.Role.OPERATOR)
    [told] = client_of(user).get("/api/agents").json()
    assert (told["is_owner"], told["is_shared"]) == (False, True)
    [told] = client_of(make_administrator()).get("/api/agents").json()
    assert (told["is_owner"], told["is_shared"]) == (False, False)


def test_the_last_sample_comes_when_it_is_asked_for():
    agent = make_running_agent()
    Stats.objects.create(agent=agent, sampled_at=timezone.now(), cpu_percent=1.5)
    client = client_of(agent.owner)
    [told] = client.get("/api/agents?stats=1").json()
    assert told["stats"]["cpu_percent"] == 1.5
    assert told["stats"]["memory_used_bytes"] is None
    assert "stats" not in client.get("/api/agents").json()[0]


def test_while_the_engine_is_away_every_answer_says_since_when():
    agent = make_running_agent()
    client = client_of(agent.owner)
    assert "Trinity-Engine" not in client.get("/api/agents")
    host = Host.objects.local()
    host.record_away("stopped")
    since = host.away_since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for path in ("/api/agents", f"/api/agents/{agent.name}", f"/api/agents/{agent.name}/logs"):
        assert client.get(path)["Trinity-Engine"] == f"away; since={since}"
