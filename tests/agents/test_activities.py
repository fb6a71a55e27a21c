"""Activities: recorded as they begin, ended once, closed when their process has gone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import activities, process, reconcile
from agents.models import Activity, Agent
from tests.factories import client_of, make_agent, make_user
from trinity.audit import SYSTEM, Actor
from trinity.errors import Invalid

pytestmark = pytest.mark.django_db

Type, State = Activity.Type, Activity.State
GONE = process.holder(2**22 + 1)


@pytest.fixture
def agent():
    return make_agent()


def only():
    return Activity.objects.get()


def lifecycle_of(agent):
    found = Activity.objects.filter(agent=agent, activity_type=Type.AGENT_LIFECYCLE)
    return [
        (each.details["verb"], each.activity_state, each.triggered_by)
        for each in found.order_by("started_at")
    ]


def test_what_is_done_is_recorded_from_its_beginning_to_its_end(agent):
    with activities.recorded(agent, Type.GIT_SYNC, Actor(agent.owner)) as activity:
        assert only().activity_state == State.STARTED
        activity.details["commit_sha"] = "abc"
    ended = only()
    assert (ended.activity_state, ended.error, ended.user) == ("completed", "", agent.owner)
    assert ended.details == {"commit_sha": "abc"}
    assert ended.duration_ms == round((ended.completed_at - ended.started_at).total_seconds() * 1e3)


def test_what_fails_is_recorded_with_its_reason_and_no_more(agent):
    with pytest.raises(Invalid), activities.recorded(agent, Type.FILE_ACCESS, SYSTEM):
        raise Invalid("No such file")
    assert (only().activity_state, only().error) == ("failed", "No such file")
    Activity.objects.all().delete()
    with pytest.raises(ZeroDivisionError), activities.recorded(agent, Type.FILE_ACCESS, SYSTEM):
        raise ZeroDivisionError("/secret/path")
    assert (only().activity_state, only().triggered_by) == ("failed", "system")
    assert "secret" not in only().error


def test_an_end_comes_once(agent):
    activity = activities.begin(agent, Type.TOOL_CALL, SYSTEM)
    assert activities.close(activity, State.COMPLETED)
    assert not activities.close(activity, State.FAILED, error="late")
    assert (only().activity_state, only().error) == ("completed", "")


def test_one_whose_process_has_gone_has_failed(agent):
    activities.begin(agent, Type.GIT_SYNC, SYSTEM, holder=GONE)
    kept = activities.begin(agent, Type.GIT_SYNC, SYSTEM, holder=process.HOLDER)
    of_execution = activities.begin(agent, Type.OPERATION, SYSTEM, execution="x")
    [closed] = activities.close_abandoned()
    assert (closed.activity_state, closed.error) == ("failed", activities.ABANDONED)
    left = Activity.objects.filter(activity_state=State.STARTED)
    assert {each.pk for each in left} == {kept.pk, of_execution.pk}


def test_one_of_another_machine_is_given_up_after_an_hour(agent):
    elsewhere = activities.begin(agent, Type.GIT_SYNC, SYSTEM, holder="another/1:1:1")
    assert activities.close_abandoned() == []
    Activity.objects.filter(pk=elsewhere.pk).update(started_at=timezone.now() - activities.LONGEST)
    assert activities.close_abandoned() == [elsewhere]


def test_what_is_old_is_forgotten_unless_it_goes_on(agent, settings):
    settings.TRINITY_ACTIVITY_DAYS = 7
    now = timezone.now()
    old = {"agent": agent, "activity_type": Type.OPERATION, "started_at": now - timedelta(days=8)}
    Activity.objects.create(**old, activity_state=State.COMPLETED)
    going_on = Activity.objects.create(**old)
    fresh = Activity.objects.create(**old | {"started_at": now}, activity_state=State.FAILED)
    activities.purge(now)
    assert set(Activity.objects.all()) == {going_on, fresh}


def test_every_verb_on_an_agent_is_an_activity(containers):
    user = make_user()
    client = client_of(user)
    client.post("/api/agents", {"name": "a"})
    for verb in ("stop", "start", "restart"):
        client.post(f"/api/agents/a/{verb}", {"timeout_seconds": 1})
    agent = Agent.objects.get(name="a")
    assert lifecycle_of(agent) == [
        (verb, "completed", "user") for verb in ("create", "stop", "start", "restart")
    ]
    assert set(Activity.objects.values_list("user", flat=True)) == {user.pk}


def test_a_verb_that_changes_nothing_is_none(containers):
    client = client_of(make_user())
    client.post("/api/agents", {"name": "a"})
    client.post("/api/agents/a/start")
    assert [verb for verb, _, _ in lifecycle_of(Agent.objects.get())] == ["create"]


def test_a_verb_that_fails_is_recorded_as_failed(agent, containers, monkeypatch):
    def refuse(_spec):
        raise Invalid("The image is no good")

    monkeypatch.setattr(containers, "create", refuse)
    assert client_of(agent.owner).post(f"/api/agents/{agent.name}/start").status_code == 400
    assert lifecycle_of(agent) == [("start", "failed", "user")]
    assert only().error == "The image is no good"


def test_what_the_supervisor_ends_is_its_own_activity(agent, containers):
    agent.claim(Agent.Verb.START)
    assert reconcile.finish(agent)
    assert lifecycle_of(agent) == [("start", "completed", "system")]


def test_activities_go_with_their_agent(containers):
    client = client_of(make_user())
    client.post("/api/agents", {"name": "a"})
    assert client.delete("/api/agents/a").status_code == 200
    assert not Activity.objects.exists()
