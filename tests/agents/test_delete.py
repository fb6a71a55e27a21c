"""Deleting: hidden at once, and then nothing of the agent is left where all shall go."""

import pytest

from agents import reconcile
from agents.models import Agent, Host, Log
from tests.factories import client_of, make_agent, make_operation

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def delete(client):
    return client.delete("/api/agents/scribe?workspace=remove&log=remove")


def nothing_is_left(containers):
    directories = list((containers.folder / "sockets").glob("*"))
    seen = containers.containers(instance=Host.objects.local().instance)
    return not (Agent.objects.exists() or Log.objects.exists() or directories or seen)


def test_a_running_agent_is_deleted_with_all_it_had(agent, client, containers):
    client.post("/api/agents/scribe/start")
    make_operation(agent=agent)
    answer = delete(client)
    assert (answer.status_code, answer.json()) == (200, {"message": "Agent scribe deleted"})
    assert nothing_is_left(containers)
    assert containers.calls["remove_volume"] == 2
    assert client.get("/api/agents/scribe").status_code == 404


def test_an_agent_that_never_ran_is_deleted(client, containers):
    assert delete(client).status_code == 200
    assert nothing_is_left(containers)
    assert delete(client).status_code == 404


def test_a_system_agent_is_not_deleted(agent, client):
    agent.record(is_system=True)
    assert delete(client).status_code == 403
    assert client.get("/api/agents/scribe").status_code == 200


def test_without_an_engine_the_agent_stays(client, containers):
    containers.away = True
    answer = delete(client)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert client.get("/api/agents/scribe").status_code == 200


def test_an_engine_that_goes_in_the_middle_leaves_the_rest_to_the_supervisor(
    agent, client, containers, monkeypatch
):
    client.post("/api/agents/scribe/start")
    remove = containers.remove

    def go(_name):
        containers.away = True
        containers.check()

    monkeypatch.setattr(containers, "remove", go)
    assert delete(client).status_code == 200
    assert client.get("/api/agents/scribe").status_code == 404
    containers.away = False
    monkeypatch.setattr(containers, "remove", remove)
    [left] = reconcile.unfinished(Host.objects.local())
    assert reconcile.finish(left)
    assert nothing_is_left(containers)
