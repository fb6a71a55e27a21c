"""What a process that was killed left undone is ended by the supervisor, once."""

import subprocess
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from agents import containers as contract
from agents import network, process, reconcile, sockets
from agents.models import Agent, Host, Log
from agents.runtime import ContainerStatus
from tests import fakes
from tests.factories import make_agent
from tests.parallel import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def gone():
    """The name of a process that has ended."""
    child = subprocess.Popen(["sleep", "60"])
    holder = process.holder(child.pid)
    child.kill()
    child.wait()
    return holder


@pytest.fixture
def alive():
    """The name of another process that lives."""
    with subprocess.Popen(["sleep", "60"]) as child:
        yield process.holder(child.pid)
        child.kill()


def left(verb, holder, **fields):
    """An agent as a process leaves it that ends in the middle of a verb."""
    agent = make_agent(name="scribe", **fields)
    agent.claim(verb)
    agent.record(verb_holder=holder)
    return agent


def finish():
    """What the supervisor does; the statuses of the agents that it found to be unfinished."""
    found = reconcile.unfinished(Host.objects.local())
    assert all(map(reconcile.finish, found))
    assert not reconcile.unfinished(Host.objects.local())
    return [agent.status for agent in found]


def created(agent, containers):
    network.prepare_for(agent)
    spec = contract.spec_of(agent)
    sockets.remake_run_directory(spec.run_directory, contract.server_key(agent))
    return containers.create(spec)


@pytest.mark.parametrize("verb", ["create", "start", "restart"])
def test_a_start_that_was_only_intended_is_done(gone, containers, verb):
    agent = left(verb, gone, status="starting")
    assert finish() == ["running"]
    agent.refresh_from_db()
    assert (agent.verb, agent.verb_holder) == ("", "")
    assert containers.inspect(agent.container_id).status is ContainerStatus.RUNNING


def test_a_container_whose_number_was_not_recorded_is_adopted(gone, containers):
    agent = left("create", gone, status="starting")
    container_id = created(agent, containers)
    assert finish() == ["running"]
    agent.refresh_from_db()
    assert agent.container_id == container_id


def test_a_run_directory_without_a_container_is_used(gone):
    agent = left("create", gone, status="starting")
    directory = contract.run_directory(agent)
    sockets.remake_run_directory(directory, contract.server_key(agent))
    assert finish() == ["running"]


def test_a_container_that_runs_already_is_only_recorded(gone, containers):
    agent = left("start", gone, status="starting")
    container_id = created(agent, containers)
    containers.start(container_id)
    pid = containers.inspect(container_id).pid
    assert finish() == ["running"]
    assert containers.inspect(container_id).pid == pid


def test_a_stop_is_done(gone, containers):
    agent = left("stop", gone, status="stopping")
    agent.record(container_id=created(agent, containers))
    containers.start(agent.container_id)
    assert finish() == ["stopped"]
    assert containers.inspect(agent.container_id).status is ContainerStatus.EXITED


def test_a_deletion_is_done(gone, containers):
    agent = left("delete", gone, deleting=True)
    containers.start(created(agent, containers))
    finish()
    assert not Agent.objects.exists()
    assert not Log.objects.exists()
    assert containers.containers(instance=agent.host.instance) == []


def test_a_deletion_of_which_only_the_intent_was_recorded_is_done():
    make_agent(deleting=True)
    finish()
    assert not Agent.objects.exists()


def test_a_deletion_wins_over_the_verb_that_was_under_way(gone):
    left("start", gone, status="starting", deleting=True)
    finish()
    assert not Agent.objects.exists()


def test_an_image_that_was_missing_is_built(containers):
    make_agent(status="starting")
    containers.images.clear()
    assert finish() == ["running"]
    assert containers.calls["build_image"] == 1


def test_a_start_that_fails_says_why(gone, monkeypatch, tmp_path):
    monkeypatch.setattr(fakes, "SERVER", tmp_path)
    agent = left("start", gone, status="starting")
    assert finish() == ["error"]
    agent.refresh_from_db()
    assert agent.verb == ""
    assert "exit code 1" in agent.status_reason


@pytest.mark.parametrize("verb", Agent.Verb.values)
def test_a_verb_whose_process_lives_is_left_alone(alive, verb):
    agent = left(verb, alive, status="starting", deleting=verb == "delete")
    assert reconcile.unfinished(Host.objects.local()) == []
    agent.refresh_from_db()
    assert agent.verb == verb


def test_a_verb_of_this_very_process_is_left_alone():
    left("start", process.HOLDER, status="starting")
    assert reconcile.unfinished(Host.objects.local()) == []


def test_a_verb_that_has_outlived_its_time_is_taken_over(alive):
    left("stop", alive).record(verb_expires_at=Now() - timedelta(seconds=1))
    assert finish() == ["stopped"]


def test_an_agent_that_was_claimed_again_meanwhile_is_not_taken(gone):
    left("stop", gone)
    [found] = reconcile.unfinished(Host.objects.local())
    Agent.objects.update(verb_holder=process.HOLDER)
    assert not reconcile.finish(found)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_take_over_one_does(gone, containers):
    left("start", gone, status="starting")
    found = [reconcile.unfinished(Host.objects.local())[0] for _ in range(2)]
    taken = at_once(*(lambda agent=agent: reconcile.finish(agent) for agent in found))
    assert sorted(taken) == [False, True]
    assert containers.calls["start"] == 1
