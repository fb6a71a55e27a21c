"""Two requests about one agent at the same moment: one of them wins, and both hear the truth."""

import threading

import pytest

from agents.models import Agent, Log
from tests.factories import client_of, make_agent, make_running_agent, make_user
from tests.parallel import at_once, meanwhile
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def poster(client, path, **body):
    return lambda: client.post(path, body).status_code


@pytest.fixture
def held(containers, monkeypatch):
    """Make ``stop`` wait for a word; gives what to say it with."""
    go, real = threading.Event(), containers.stop

    def stop(container_id, **options):
        containers.calls["held"] += 1
        assert go.wait(20)
        real(container_id, **options)

    monkeypatch.setattr(containers, "stop", stop)
    return go


def test_of_two_agents_of_one_name_one_is_created():
    clients = [client_of(make_user()) for _ in range(2)]
    codes = at_once(*(poster(client, "/api/agents", name="scribe") for client in clients))
    assert sorted(codes) == [200, 409]
    assert Agent.objects.get().status == "running"
    assert Log.objects.count() == 1


@pytest.mark.parametrize("second", ["start", "stop", "restart"])
def test_another_verb_meanwhile_is_told_that_the_agent_is_busy(held, containers, second):
    agent = make_running_agent(name="scribe")
    client = client_of(agent.owner)
    with meanwhile(poster(client, "/api/agents/scribe/restart")) as first:
        wait_until(lambda: containers.calls["held"])
        answer = client.post(f"/api/agents/scribe/{second}")
        held.set()
        assert (answer.status_code, answer.json()["code"]) == (409, "busy")
        assert first.result() == 200
    assert containers.calls["stop"] == 1


def test_two_restarts_at_once_restart_once(held, containers):
    agent = make_running_agent(name="scribe")
    restart = poster(client_of(agent.owner), "/api/agents/scribe/restart")
    with meanwhile(lambda: at_once(restart, restart)) as both:
        wait_until(lambda: containers.calls["check"] == 2 and containers.calls["held"])
        wait_until(lambda: Agent.objects.get().status == "stopping")
        held.set()
        assert sorted(both.result()) == [200, 409]


def test_a_deletion_waits_for_the_verb_under_way_and_hides_the_agent_at_once(held, containers):
    agent = make_running_agent(name="scribe")
    client = client_of(agent.owner)
    with meanwhile(poster(client, "/api/agents/scribe/stop")) as stop:
        wait_until(lambda: containers.calls["held"])
        with meanwhile(lambda: client.delete("/api/agents/scribe").status_code) as deletion:
            wait_until(lambda: client.get("/api/agents/scribe").status_code == 404)
            assert not deletion.done()
            held.set()
            assert (stop.result(), deletion.result()) == (200, 200)
    assert not Agent.objects.exists()


def test_agents_do_not_wait_for_one_another(held, containers):
    agent = make_running_agent(name="scribe")
    make_agent(name="painter", owner=agent.owner)
    client = client_of(agent.owner)
    with meanwhile(poster(client, "/api/agents/scribe/stop")) as stop:
        wait_until(lambda: containers.calls["held"])
        assert client.post("/api/agents/painter/start").status_code == 200
        held.set()
        assert stop.result() == 200
