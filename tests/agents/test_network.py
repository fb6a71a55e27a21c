"""Which network an agent gets, and what is said where it cannot be guarded."""

import pytest

from agents import lifecycle, network
from agents.lifecycle import NewAgent
from agents.models import Host
from agents.runtime import Network, get_runtime
from tests.factories import client_of, make_administrator, make_agent, make_user
from trinity.audit import SYSTEM, Actor
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

REASON = "iptables is missing"


@pytest.fixture
def agent():
    return lifecycle.create(SYSTEM, NewAgent(owner=make_user(), name="one"))


def network_of(agent, containers):
    agent.refresh_from_db(fields=["container_id"])
    return containers._get(agent.container_id).spec.network


def started_anew(agent):
    lifecycle.restart(agent, SYSTEM, grace_seconds=1)
    return agent


def test_a_new_agent_reaches_the_internet(agent, containers):
    assert network_of(agent, containers) is Network.INTERNET


def test_another_network_counts_from_the_next_start_on(agent, containers):
    actor = Actor(make_administrator())
    network.choose(agent, actor, Network.PRIVATE)
    assert network_of(agent, containers) is Network.INTERNET
    assert network_of(started_anew(agent), containers) is Network.PRIVATE
    event = AuditEvent.objects.get(verb="change_network")
    assert (event.actor, event.object_name, event.detail) == (actor.user, "one", "private")


def test_one_without_a_network_asks_for_none(containers):
    agent = make_agent(network="none")
    lifecycle.start(agent, SYSTEM)
    assert network_of(agent, containers) is Network.NONE
    assert containers.calls["prepare_network"] == 0


def test_without_a_guard_there_is_no_network_and_the_owner_reads_why(agent, containers):
    containers.unguardable = REASON
    assert network_of(started_anew(agent), containers) is Network.NONE
    told = client_of(agent.owner).get("/api/agents/one").json()
    assert told["network"] == "internet"
    assert REASON in told["network_notice"]


def test_a_guard_that_is_refused_keeps_a_container_with_a_network_from_starting(agent, containers):
    before = agent.container_id
    lifecycle.stop(agent, SYSTEM, grace_seconds=1)
    containers.unguardable = REASON
    lifecycle.start(agent, SYSTEM)
    assert agent.container_id != before
    assert network_of(agent, containers) is Network.NONE


def test_an_accepted_risk_gives_the_network_until_it_is_withdrawn(agent, containers):
    containers.unguardable = REASON
    started_anew(agent)
    actor = Actor(make_administrator())
    network.accept_risk(Host.objects.local(), actor)
    assert network_of(started_anew(agent), containers) is Network.INTERNET
    assert "unguarded" in Host.objects.local().network_notice
    network.withdraw_risk(Host.objects.local(), actor)
    assert network_of(started_anew(agent), containers) is Network.NONE
    verbs = AuditEvent.objects.filter(object_type="host", actor=actor.user)
    assert [event.verb for event in verbs.order_by("pk")] == [
        "accept_unguarded_network",
        "refuse_unguarded_network",
    ]


def test_the_supervisor_tries_again_what_was_refused(agent, containers):
    containers.unguardable = REASON
    started_anew(agent)
    containers.unguardable = ""
    host = Host.objects.local()
    network.see_to(host, retry=False)
    assert Host.objects.local().network_notice
    network.see_to(host, retry=True)
    assert Host.objects.local().network_notice == ""
    assert network_of(started_anew(agent), containers) is Network.INTERNET


def test_a_host_that_only_reports_gets_no_network_made(containers):
    Host.objects.local().record_report_only("restored")
    network.see_to(Host.objects.local(), retry=True)
    assert get_runtime().calls["prepare_network"] == 0
