"""Limits: recorded, applied to what runs, refused where they cannot be."""

import pytest

from agents import reconcile
from agents.models import Agent, Host
from agents.runtime import Limits
from tests.factories import client_of, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

GIB = 1024**3
PATH = "/api/agents/scribe/resources"
DISK = {"disk_limit": None, "effective_disk": "10g", "disk_used_bytes": None}


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


@pytest.fixture
def running(agent, client):
    client.post("/api/agents/scribe/start")
    agent.refresh_from_db()
    return agent


def put(client, **limits):
    answer = client.put(PATH, limits)
    return answer.status_code, answer.json()


def updated(*, memory=None, cpu=None, restart_needed=False, applied_live=False):
    return {
        "message": "Resource limits updated",
        "memory": memory,
        "cpu": cpu,
        "restart_needed": restart_needed,
        "applied_live": applied_live,
    }


def limits_of(agent, containers):
    agent.refresh_from_db()
    return containers._get(agent.container_id).spec.limits


def test_what_is_recorded_applied_and_allowed_is_told_from_the_record(running, client, containers):
    containers.calls.clear()
    assert client.get(PATH).json() == {
        "memory": None,
        "cpu": None,
        "current_memory": "4g",
        "current_cpu": "2",
        "effective_memory": "4g",
        "effective_cpu": "2",
        **DISK,
    }
    assert not containers.calls


def test_without_a_container_nothing_is_applied(agent, client):
    told = client.get(PATH).json()
    assert (told["current_memory"], told["current_cpu"]) == (None, None)


def test_limits_are_applied_to_a_running_agent(running, client, containers):
    pid = containers.inspect(running.container_id).pid
    assert put(client, memory="8g", cpu="1") == (
        200,
        updated(memory="8g", cpu="1", applied_live=True),
    )
    assert limits_of(running, containers) == Limits(8 * GIB, 1)
    assert containers.inspect(running.container_id).pid == pid
    told = client.get(PATH).json()
    assert (told["memory"], told["current_memory"], told["current_cpu"]) == ("8g", "8g", "1")


@pytest.mark.parametrize("default", [{}, {"memory": None, "cpu": None}])
def test_null_brings_the_templates_back(running, client, containers, default):
    put(client, memory="8g", cpu="1")
    assert put(client, **default) == (200, updated(applied_live=True))
    assert limits_of(running, containers) == Limits(4 * GIB, 2)


def test_what_changes_nothing_needs_no_restart(running, client, containers):
    containers.calls.clear()
    assert put(client, memory="4g") == (200, updated(memory="4g"))
    assert not containers.calls["update"]


def test_a_stopped_agent_gets_them_with_its_next_start(running, client, containers):
    client.post("/api/agents/scribe/stop")
    assert put(client, memory="1g") == (200, updated(memory="1g", restart_needed=True))
    assert client.get(PATH).json()["current_memory"] == "4g"
    client.post("/api/agents/scribe/start")
    assert limits_of(running, containers) == Limits(1 * GIB, 2)
    assert client.get(PATH).json()["current_memory"] == "1g"


def test_what_the_engine_cannot_apply_now_waits_for_a_restart(running, client, containers):
    containers.refuses_limits = True
    assert put(client, memory="8g") == (200, updated(memory="8g", restart_needed=True))
    containers.refuses_limits = False
    client.post("/api/agents/scribe/restart", {"timeout_seconds": 1})
    assert limits_of(running, containers) == Limits(8 * GIB, 2)


def test_a_limit_below_what_is_used_is_refused_with_the_figure(running, client, containers):
    containers.used_bytes = int(1.5 * GIB)
    before = Agent.objects.values().get()
    status, body = put(client, memory="1g")
    assert (status, body["code"]) == (400, "limit_below_use")
    assert "uses 1.50 GiB of memory now: a limit of 1g is below that" in body["detail"]
    assert Agent.objects.values().get() == before
    assert put(client, memory="2g")[0] == 200


def test_a_limit_above_the_host_is_applied_as_far_as_it_goes(running, client, containers):
    Host.objects.update(cpus=3, memory_bytes=int(5.5 * GIB))
    effective = {"effective_memory": "5632m", "effective_cpu": "3"}
    warning = (
        "The host has only 5632m of memory and 3 CPU: the limit is applied as far as that goes"
    )
    told = updated(memory="64g", cpu="16", applied_live=True)
    assert put(client, memory="64g", cpu="16") == (200, {**told, **effective, "warning": warning})
    assert limits_of(running, containers) == Limits(int(5.5 * GIB), 3)
    assert client.get(PATH).json() == {
        "memory": "64g",
        "cpu": "16",
        "current_memory": "5632m",
        "current_cpu": "3",
        **effective,
        **DISK,
        "warning": warning,
    }
    assert warning in AuditEvent.objects.filter(verb="set_limits").get().detail


@pytest.mark.parametrize(
    ("limits", "detail"),
    [
        ({"memory": "3g"}, "Invalid memory value. Must be one of: 1g, 2g, 4g, 8g, 16g, 32g, 64g"),
        ({"memory": ""}, "Invalid memory value. Must be one of: 1g, 2g, 4g, 8g, 16g, 32g, 64g"),
        ({"cpu": "3"}, "Invalid CPU value. Must be one of: 1, 2, 4, 8, 16"),
    ],
)
def test_a_value_that_is_not_listed_is_refused(agent, client, containers, limits, detail):
    assert put(client, **limits) == (400, {"detail": detail, "code": "invalid_limit"})
    assert not containers.calls


@pytest.mark.parametrize("value", [4, 1.5, True, [], {}])
@pytest.mark.parametrize("field", ["memory", "cpu"])
def test_anything_but_text_or_null_is_malformed(agent, client, field, value):
    status, body = put(client, **{field: value})
    assert status == 422
    assert body["detail"][0]["loc"] == ["body", field]


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_owners_may_change_them_and_all_who_see_it_may_read(agent, role):
    person = make_user()
    share(agent, person, role)
    refusal = {"detail": "Only owners can change resource limits", "code": "may_not_own"}
    assert put(client_of(person), memory="8g") == (403, refusal)
    assert client_of(person).get(PATH).status_code == 200


def test_without_an_engine_nothing_is_changed(running, client, containers):
    before = Agent.objects.values().get()
    containers.away = True
    status, body = put(client, memory="8g")
    assert (status, body["code"]) == (503, "engine_unavailable")
    assert Agent.objects.values().get() == before


def test_an_engine_that_goes_in_the_middle_leaves_the_record_as_it_was(
    running, client, containers, monkeypatch
):
    def go_away(_container_id, _limits):
        containers.away = True
        containers.check()

    monkeypatch.setattr(containers, "update", go_away)
    assert put(client, memory="8g")[0] == 503
    running.refresh_from_db()
    assert (running.memory_limit, running.verb, running.status) == (None, "", "running")
    # It may have applied them: the next start asks it again.
    assert running.applied_limits is None


def test_while_another_verb_works_on_the_agent_it_is_busy(agent, client):
    agent.claim(Agent.Verb.START)
    assert put(client, memory="8g")[0] == 409


def test_a_change_left_undone_is_finished_and_starts_nothing(running, client, containers):
    running.claim(Agent.Verb.LIMIT)
    running.record(memory_limit="8g")
    assert reconcile.finish(running)
    assert limits_of(running, containers) == Limits(8 * GIB, 2)
    assert (running.verb, running.status) == ("", "running")
    client.post("/api/agents/scribe/stop")
    running.refresh_from_db()
    running.claim(Agent.Verb.LIMIT)
    assert reconcile.finish(running)
    running.refresh_from_db()
    assert (running.verb, running.status) == ("", "stopped")


def test_a_change_is_audited_with_its_outcome(agent, client, containers):
    put(client, memory="8g")
    put(client, memory="3g")
    failed, done = AuditEvent.objects.filter(verb="set_limits", object_name="scribe")
    assert (done.outcome, done.detail, done.actor) == (
        "done",
        "memory 8g, cpu default",
        agent.owner,
    )
    assert (failed.outcome, failed.detail[:20]) == ("failed", "Invalid memory value")
