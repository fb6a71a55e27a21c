"""A copied or restored database is found out, and changes nothing on the engine."""

import os
import shutil

import pytest
from django.db.models.functions import Now

from agents import control, reconcile
from agents.errors import ReportOnly
from agents.models import Host
from operations import queue
from operations.executions import Executions
from tests.factories import client_of, make_administrator, make_agent, make_operation
from trinity import data_directory
from trinity.audit import Actor
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

CHANGES = ("create", "start", "stop", "remove", "update", "rename", "remove_volume")


@pytest.fixture
def host(containers):
    """As a supervisor leaves it that has acted here."""
    host = Host.objects.local()
    host.record_here(engine_id="fake", cpus=2, memory_bytes=8 * 1024**3)
    epoch = host.take_lease("somebody")
    control.look(host)
    control.beat(host, epoch)
    host.refresh_from_db()
    return host


@pytest.fixture
def copied(host, settings):
    """The same database, with a copy of the data directory."""
    # Beside it, and no deeper: the address of a socket is short.
    copy = settings.DATA_DIR.with_name(f"{settings.DATA_DIR.name}-copy")
    shutil.copytree(settings.DATA_DIR, copy, ignore=shutil.ignore_patterns("sockets"))
    settings.DATA_DIR = copy
    yield host
    shutil.rmtree(copy)


def is_trusted(host):
    return control.doubt(Host.objects.get(pk=host.pk)) == ""


def test_the_installation_that_was_always_here_acts(host):
    assert is_trusted(host)
    control.look(host)
    assert Host.objects.get().report_only_since is None


def test_a_copied_data_directory_is_found_out(copied):
    assert not is_trusted(copied)
    control.look(copied)
    assert "one is a copy" in Host.objects.get().report_only_reason


def test_a_copy_that_keeps_owners_and_times_is_found_out(host, settings, tmp_path):
    for name in (data_directory.MARK, data_directory.BEAT):
        shutil.copy2(f"{settings.DATA_DIR}/{name}", tmp_path)
    settings.DATA_DIR = tmp_path
    assert not is_trusted(host)


def test_a_data_directory_may_be_renamed_and_given_to_another_user(host, settings):
    moved = settings.DATA_DIR.with_name(f"{settings.DATA_DIR.name}-moved")
    os.rename(settings.DATA_DIR, moved)
    try:
        (moved / data_directory.MARK).chmod(0o640)
        settings.DATA_DIR = moved
        assert is_trusted(host)
    finally:
        os.rename(moved, moved.with_name(moved.name.removesuffix("-moved")))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"boot": "later"}, True),
        ({"boot": "later", "device": "9"}, True),
        ({"device": "9"}, False),
        ({"inode": "9"}, False),
        ({"machine": "other"}, False),
        ({"mark": "other"}, False),
    ],
)
def test_a_directory_is_known_by_mark_machine_and_place(change, same):
    known = {"mark": "a", "machine": "m", "boot": "b", "device": "1", "inode": "2"}
    present = {**known, **change}
    assert data_directory.is_same(" ".join(known.values()), " ".join(present.values())) is same


def test_a_database_that_was_put_back_is_found_out(host):
    older = host.beat
    control.beat(host, host.lease_epoch)
    Host.objects.update(beat=older)
    assert not is_trusted(host)
    control.look(Host.objects.get())
    assert "older" in Host.objects.get().report_only_reason


def test_counting_on_while_a_verb_looks_is_no_doubt(host):
    stale = Host.objects.get()
    control.beat(host, host.lease_epoch)
    assert control.doubt(stale) == ""


def test_only_the_holder_of_the_lease_counts(host):
    control.beat(host, host.lease_epoch - 1)
    assert Host.objects.get().beat == data_directory.noted_beat() == 1


def test_another_engine_is_found_out(host):
    control.meet(host, "fake")
    assert Host.objects.get().report_only_since is None
    control.meet(host, "another")
    assert "engine is another" in Host.objects.get().report_only_reason


@pytest.mark.parametrize("supervisor_has_looked", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/agents/scribe/start", {}),
        ("post", "/api/agents/scribe/stop", {}),
        ("post", "/api/agents/scribe/restart", {}),
        ("delete", "/api/agents/scribe", None),
        ("post", "/api/agents", {"name": "other"}),
        ("put", "/api/agents/scribe/resources", {"memory": "2g"}),
        ("post", "/api/v1/operations", {"agent": "scribe", "command": ["true"]}),
    ],
)
def test_verbs_say_what_to_do_and_touch_nothing(
    copied, containers, supervisor_has_looked, method, path, body
):
    agent = make_agent(name="scribe", status="running", container_id="c")
    if supervisor_has_looked:
        control.look(copied)
    answer = getattr(client_of(agent.owner), method)(path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "report_only")
    assert "take_control" in answer.json()["detail"]
    assert not any(containers.calls[name] for name in CHANGES)
    listed = client_of(agent.owner).get("/api/agents").json()
    assert [(each["name"], each["status"]) for each in listed] == [("scribe", "running")]


def test_the_supervisor_finishes_no_verb(copied, containers):
    agent = make_agent(deleting=True, container_id="c")
    [left] = reconcile.unfinished(copied)
    control.look(copied)
    assert reconcile.unfinished(copied) == []
    assert reconcile.finish(left) is False
    agent.refresh_from_db()
    assert agent.verb == ""
    assert not any(containers.calls[name] for name in CHANGES)


def test_the_supervisor_drives_no_operation(copied):
    make_operation(agent=make_agent(status="running"), status="processing")
    make_operation(agent=make_agent(status="running"))
    executions = Executions(copied.pk, copied.lease_epoch, None)
    assert [len(found) for found in queue.standing(copied.pk)] == [1, 1]
    assert len(executions._running_agents()) == 2
    control.look(copied)
    assert queue.standing(copied.pk) == ([], [])
    assert executions._running_agents() == []


def test_an_agent_cannot_be_claimed(copied):
    agent = make_agent()
    control.look(copied)
    with pytest.raises(ReportOnly):
        agent.claim(agent.Verb.START)


def test_an_administrators_word_makes_it_act_again(copied, containers):
    control.look(copied)
    administrator = Actor(make_administrator())
    control.take(administrator)
    host = Host.objects.get()
    assert (host.report_only_since, host.report_only_reason) == (None, "")
    control.look(host)
    assert Host.objects.get().report_only_since is None
    event = AuditEvent.objects.get(verb="take_control")
    assert event.actor == administrator.user
    assert "one is a copy" in event.detail
    agent = make_agent(name="scribe")
    assert client_of(agent.owner).post("/api/agents/scribe/start").status_code == 200


def test_taking_control_of_an_older_database_makes_it_the_one_that_counts(host):
    for _ in range(3):
        control.beat(host, host.lease_epoch)
    Host.objects.update(beat=0)
    control.look(Host.objects.get())
    control.take(Actor(make_administrator()))
    assert is_trusted(host)
    # Whoever supervises has to begin anew, in an epoch that no agent's server has seen.
    assert not host.renew_lease(host.lease_epoch)
    assert Host.objects.get().lease_epoch > host.lease_epoch + 1000


def test_without_an_engine_nobody_takes_control(copied, containers):
    control.look(copied)
    containers.away = True
    with pytest.raises(Exception, match="away"):
        control.take(Actor(make_administrator()))
    assert Host.objects.get().report_only_since
    assert AuditEvent.objects.get().outcome == "failed"


def test_where_trinity_acts_already_taking_control_is_nothing(host):
    control.take(Actor(make_administrator()))
    assert not AuditEvent.objects.exists()
    assert host.renew_lease(host.lease_epoch)


def test_agents_that_went_down_meanwhile_are_started_and_others_not(copied, containers):
    stopped = make_agent(status="stopped", desired="running", status_at="2020-01-01T00:00Z")
    by_hand = make_agent(status="stopped", desired="stopped", status_at=Now())
    control.look(copied)
    gone = make_agent(status="missing", desired="running", status_at=Now())
    control.take(Actor(make_administrator()))
    assert [agent.pk for agent in reconcile.unfinished(Host.objects.get())] == [gone.pk]
    for agent in (stopped, by_hand):
        agent.refresh_from_db()
        assert agent.status == "stopped"


def test_an_agent_gets_the_container_that_was_made_after_the_backup(host, containers):
    agent = make_agent(name="scribe")
    client = client_of(agent.owner)
    client.post("/api/agents/scribe/start")
    agent.refresh_from_db()
    # The backup knows of an older container, which has been replaced since.
    agent.record(container_id="older", generation=0, status="missing", desired="running")
    host.record_report_only("restored")
    assert control.take(Actor(make_administrator())) == 1
    before, agent = agent, type(agent).objects.get()
    assert agent.container_id != before.container_id
    assert (agent.generation, agent.status) == (1, "running")
