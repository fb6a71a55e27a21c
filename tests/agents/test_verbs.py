"""Starting, stopping and restarting: done and recorded when the answer comes."""

import pytest

from agents.models import Agent, Host
from agents.runtime import ContainerStatus
from tests import fakes
from tests.factories import client_of, make_agent
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def does(client, verb, **body):
    answer = client.post(f"/api/agents/scribe/{verb}", body)
    return answer.status_code, answer.json()


def container_of(agent, containers):
    agent.refresh_from_db()
    return containers.inspect(agent.container_id)


def test_start_brings_the_agent_up(agent, client, containers):
    assert does(client, "start") == (
        200,
        {"message": "Agent scribe started", "status": "running"},
    )
    assert container_of(agent, containers).status is ContainerStatus.RUNNING
    assert (agent.status, agent.desired, agent.verb) == ("running", "running", "")


def test_stop_takes_the_agent_down(agent, client, containers):
    does(client, "start")
    assert does(client, "stop") == (200, {"message": "Agent scribe stopped", "status": "stopped"})
    assert container_of(agent, containers).status is ContainerStatus.EXITED
    assert (agent.status, agent.desired, agent.verb) == ("stopped", "stopped", "")


def test_restart_ends_the_process_and_begins_another(agent, client, containers):
    does(client, "start")
    before = container_of(agent, containers)
    assert does(client, "restart", timeout_seconds=1) == (
        200,
        {"message": "Agent scribe restarted", "status": "running"},
    )
    after = container_of(agent, containers)
    assert after.id == before.id
    assert after.pid != before.pid
    assert agent.desired == "running"


def test_a_stopped_agent_can_be_restarted(agent, client, containers):
    assert does(client, "restart")[1]["status"] == "running"
    assert container_of(agent, containers).status is ContainerStatus.RUNNING


def test_starting_a_running_agent_changes_nothing(agent, client, containers):
    first = does(client, "start")
    before = container_of(agent, containers)
    at = agent.status_at
    assert does(client, "start") == first
    assert container_of(agent, containers) == before
    assert agent.status_at == at


def test_stopping_a_stopped_agent_changes_nothing(agent, client, containers):
    agent.record(status="stopped", status_reason="exit code 3")
    at = agent.status_at
    assert does(client, "stop") == (200, {"message": "Agent scribe stopped", "status": "stopped"})
    agent.refresh_from_db()
    assert (agent.status_at, agent.status_reason) == (at, "exit code 3")
    assert not containers.calls["stop"]


def test_a_container_that_was_removed_is_made_anew_with_the_next_generation(
    agent, client, containers
):
    does(client, "start")
    before = container_of(agent, containers)
    containers.remove(before.id)
    assert does(client, "start")[0] == 200
    after = container_of(agent, containers)
    assert after.id != before.id
    assert agent.generation == 2
    assert after.labels["trinity.generation"] == "2"


def test_a_container_that_was_killed_is_started_again(agent, client, containers):
    does(client, "start")
    before = container_of(agent, containers)
    containers.stop(before.id)
    assert does(client, "start")[0] == 200
    assert container_of(agent, containers).status is ContainerStatus.RUNNING
    assert agent.container_id == before.id


def test_an_agent_that_waits_for_its_image_can_be_stopped(agent, client):
    agent.record(status="starting", container_id="")
    assert does(client, "stop") == (200, {"message": "Agent scribe stopped", "status": "stopped"})


def test_an_agent_that_does_not_come_up_says_why(agent, client, monkeypatch, tmp_path):
    monkeypatch.setattr(fakes, "SERVER", tmp_path)
    status, body = does(client, "start")
    assert (status, body["code"]) == (503, "start_failed")
    agent.refresh_from_db()
    assert (agent.status, agent.verb) == ("error", "")
    assert "exit code 1" in agent.status_reason


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_without_an_engine_a_verb_says_so_and_changes_nothing(agent, client, containers, verb):
    containers.away = True
    answer = client.post(f"/api/agents/scribe/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert int(answer["Retry-After"]) > 0
    before = Agent.objects.values().get(pk=agent.pk)
    agent.refresh_from_db()
    assert Agent.objects.values().get(pk=agent.pk) == before
    assert agent.verb == ""


def test_an_engine_that_goes_in_the_middle_leaves_things_as_they_were(
    agent, client, containers, monkeypatch
):
    def start(_container_id):
        containers.away = True
        containers.check()

    monkeypatch.setattr(containers, "start", start)
    assert does(client, "start")[0] == 503
    agent.refresh_from_db()
    assert (agent.status, agent.desired, agent.verb) == ("stopped", "stopped", "")


@pytest.mark.parametrize("seconds", [-1, 16, "5", 1.5, True, None])
def test_a_grace_outside_its_bounds_is_refused(client, containers, seconds):
    status, body = does(client, "stop", timeout_seconds=seconds)
    assert status == 422
    assert body["detail"][0]["loc"] == ["body", "timeout_seconds"]
    assert not containers.calls


def test_every_verb_is_recorded_with_its_outcome(agent, client, containers):
    does(client, "start")
    Host.objects.local().record_away("stopped")
    does(client, "stop")
    stop, start = AuditEvent.objects.filter(object_name="scribe")
    assert (start.verb, start.outcome, start.actor) == ("start", "done", agent.owner)
    assert (stop.verb, stop.outcome) == ("stop", "failed")
