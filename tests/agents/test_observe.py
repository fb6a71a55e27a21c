"""What became of containers behind Trinity's back is recorded, with the reason."""

import pytest

from agents import lifecycle, reconcile
from agents.models import Agent, Host
from agents.runtime import Change, Container, ContainerStatus
from tests.factories import make_agent
from tests.waiting import wait_until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    lifecycle.start(agent, SYSTEM)
    return agent


@pytest.fixture
def host(agent):
    host = Host.objects.local()
    host.take_lease("this supervisor")
    return host


def observe(host, agent, change=Change.STOPPED):
    observed = reconcile.observe(host, host.lease_epoch, agent.container_id, change)
    agent.refresh_from_db()
    return observed.changed, agent.status, agent.status_reason


def exits(containers, agent, how=None):
    (how or containers.kill)(agent.container_id)
    wait_until(lambda: containers.inspect(agent.container_id).status is ContainerStatus.EXITED)


def test_a_container_that_was_stopped_is_stopped(agent, host, containers):
    exits(containers, agent, containers.stop)
    assert observe(host, agent) == (True, "stopped", "exit code 0")
    assert agent.desired == "running"


def test_a_container_that_was_killed_tells_its_exit_code(agent, host, containers):
    exits(containers, agent)
    assert observe(host, agent) == (True, "stopped", "exit code 137")


def test_a_container_that_was_removed_is_missing(agent, host, containers):
    containers.remove(agent.container_id)
    changed, status, reason = observe(host, agent, Change.REMOVED)
    assert (changed, status) == (True, "missing")
    assert reason.startswith("removed")


def test_a_container_that_was_started_by_hand_runs(agent, host, containers):
    lifecycle.stop(agent, SYSTEM)
    containers.start(agent.container_id)
    assert observe(host, agent, Change.STARTED) == (True, "running", "")


def test_a_container_that_was_paused_runs_and_says_so(agent, host, containers):
    containers.pause(agent.container_id)
    assert observe(host, agent, Change.PAUSED) == (True, "running", "paused")
    assert observe(host, agent, Change.OTHER)[0] is False
    containers.resume(agent.container_id)
    assert observe(host, agent, Change.RESUMED) == (True, "running", "")
    assert observe(host, agent, Change.OTHER)[0] is False


def test_a_paused_container_can_be_stopped(agent, host, containers):
    containers.pause(agent.container_id)
    observe(host, agent, Change.PAUSED)
    lifecycle.stop(agent, SYSTEM)
    assert (agent.status, agent.status_reason) == ("stopped", "")
    assert not containers.inspect(agent.container_id).is_paused


def test_what_is_known_already_is_not_recorded_again(agent, host, containers):
    exits(containers, agent)
    observe(host, agent)
    at = agent.status_at
    assert observe(host, agent)[0] is False
    assert agent.status_at == at


def test_a_process_killed_for_memory_in_a_container_that_goes_on_is_told(agent, host):
    changed, status, reason = observe(host, agent, Change.OUT_OF_MEMORY)
    assert (changed, status, reason) == (True, "running", "out_of_memory")


def test_a_container_that_ended_for_memory_says_so():
    ended = Container("1", "a", ContainerStatus.EXITED, {}, exit_code=137, out_of_memory=True)
    assert reconcile.status_of(ended) == ("stopped", "out_of_memory")


def test_a_change_while_a_verb_is_under_way_is_left_to_the_verb(agent, host, containers):
    agent.claim(Agent.Verb.RESTART)
    exits(containers, agent)
    assert observe(host, agent) == (False, "running", "")


def test_the_holder_of_an_earlier_lease_writes_nothing(agent, host, containers):
    exits(containers, agent)
    Host.objects.update(lease_epoch=host.lease_epoch + 1)
    assert observe(host, agent) == (False, "running", "")


def test_a_container_that_is_no_agents_is_passed_over(host):
    assert reconcile.observe(host, host.lease_epoch, "f" * 64, Change.STOPPED) is None


def test_a_comparison_of_all_finds_what_nobody_saw(agent, host, containers):
    down = make_agent(name="down", status="stopped")
    lifecycle.start(down, SYSTEM)
    lifecycle.stop(down, SYSTEM)
    exits(containers, agent)
    calls = containers.calls["inspect"]
    seen = reconcile.resync(host, host.lease_epoch)
    assert [(each.agent.name, each.agent.status, each.changed) for each in seen] == [
        ("scribe", "stopped", True)
    ]
    # One for all, and one more for the difference.
    assert containers.calls["containers"] == 1
    assert containers.calls["inspect"] == calls + 1


def test_a_comparison_sees_what_runs_so_that_it_can_be_followed(agent, host):
    [seen] = reconcile.resync(host, host.lease_epoch)
    assert (seen.agent, seen.changed) == (agent, False)
    assert seen.container.pid


def test_agents_under_a_verb_are_left_out_of_a_comparison(agent, host):
    agent.claim(Agent.Verb.STOP)
    assert reconcile.resync(host, host.lease_epoch) == []


def test_only_what_should_run_is_brought_back(agent, host, containers):
    by_hand = make_agent(name="by-hand")
    lifecycle.start(by_hand, SYSTEM)
    lifecycle.stop(by_hand, SYSTEM)
    exits(containers, agent)
    since = agent.status_at
    observe(host, agent)
    down = reconcile.down_since(host, since)
    assert [each.name for each in down if reconcile.should_run(each)] == ["scribe"]
