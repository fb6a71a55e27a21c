"""What is kept of a deleted agent becomes an agent again, whole or not at all."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents import restoring, retention
from agents.errors import EngineUnavailable, ImageNotAllowed, NameTaken, NotRestorable
from agents.models import Agent, EnvironmentValue, GitConfig, Host, Log, RetainedWorkspace
from agents.output import logs
from tests.factories import client_of, make_administrator, make_agent, make_user
from tests.parallel import at_once
from trinity.audit import Actor
from trinity.encryption import seal, unseal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator():
    return Actor(make_administrator())


@pytest.fixture
def deleted(containers):
    """What is kept of an agent that has run."""
    agent = make_agent(name="scribe", description="writes", tags=["a"], memory_limit="2g")
    client = client_of(agent.owner)
    client.post("/api/agents/scribe/start")
    (workspace(containers, agent) / "notes").write_text("mine")
    logs.append(agent.log_id, [(False, "a line")], {})
    EnvironmentValue.objects.create(agent=agent, name="PLAIN", value="text")
    secret = seal("hunter2").decode()
    EnvironmentValue.objects.create(agent=agent, name="TOKEN", is_secret=True, value=secret)
    GitConfig.objects.create_for(agent, "https://example.org/repository.git")
    assert client.delete("/api/agents/scribe").status_code == 200
    return RetainedWorkspace.objects.get()


def workspace(containers, agent):
    host = Host.objects.local()
    return containers.folder / f"trinity-{host.instance}-{agent.uid}-workspace"


def test_it_runs_again_with_all_that_it_had(deleted, administrator, containers):
    agent = restoring.restore(deleted, administrator)
    agent.refresh_from_db()
    assert (agent.name, agent.owner, agent.uid) == ("scribe", deleted.owner, deleted.uid)
    assert (agent.description, agent.tags, agent.memory_limit) == ("writes", ["a"], "2g")
    assert agent.status == "running"
    assert (workspace(containers, agent) / "notes").read_text() == "mine"
    assert "a line" in logs.tail(agent.log_id, 100)[0]
    assert agent.git.repository == "https://example.org/repository.git"
    values = {each.name: each for each in agent.environment.all()}
    assert values["PLAIN"].value == "text"
    assert unseal(values["TOKEN"].value.encode()) == "hunter2"
    assert not RetainedWorkspace.objects.exists()
    event = AuditEvent.objects.get(verb="restore")
    assert (event.actor, event.object_name) == (administrator.user, "scribe")


def test_its_secrets_outlive_a_change_of_the_encryption_key(deleted, administrator, settings):
    old, *_ = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = ["another key", old]
    call_command("rotate_keys", stdout=StringIO())
    settings.ENCRYPTION_KEYS = ["another key"]
    agent = restoring.restore(RetainedWorkspace.objects.get(), administrator)
    assert unseal(agent.environment.get(name="TOKEN").value.encode()) == "hunter2"


def test_its_next_container_is_of_another_generation(deleted, administrator):
    before = deleted.record["generation"]
    agent = restoring.restore(deleted, administrator)
    assert agent.generation == before + 1


def test_it_may_have_another_name_and_owner(deleted, administrator):
    owner = make_user()
    agent = restoring.restore(deleted, administrator, name="New Name", owner=owner)
    assert (agent.name, agent.owner) == ("new-name", owner)


def test_without_an_owner_another_must_be_chosen(deleted, administrator):
    deleted.owner.delete()
    deleted.refresh_from_db()
    with pytest.raises(NotRestorable, match="choose another"):
        restoring.restore(deleted, administrator)
    assert restoring.restore(deleted, administrator, owner=make_user()).name == "scribe"


def still_kept(deleted, containers):
    return (
        RetainedWorkspace.objects.contains(deleted)
        and Log.objects.filter(pk=deleted.log_id).exists()
        and workspace(containers, deleted).exists()
        and not Agent.objects.filter(uid=deleted.uid).exists()
    )


def test_a_name_that_is_taken_is_refused_and_all_is_kept(deleted, administrator, containers):
    make_agent(name="scribe")
    with pytest.raises(NameTaken):
        restoring.restore(deleted, administrator)
    assert still_kept(deleted, containers)


def test_without_an_engine_all_is_kept(deleted, administrator, containers):
    containers.away = True
    with pytest.raises(EngineUnavailable):
        restoring.restore(deleted, administrator)
    assert still_kept(deleted, containers)


def test_an_image_that_is_not_allowed_any_more_is_refused(
    deleted, administrator, containers, settings
):
    settings.TRINITY_IMAGES = ["other:latest"]
    with pytest.raises(ImageNotAllowed):
        restoring.restore(deleted, administrator)
    assert still_kept(deleted, containers)


def test_what_is_due_is_not_restored_any_more(deleted, administrator):
    RetainedWorkspace.objects.update(purge_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotRestorable, match="is gone"):
        restoring.restore(deleted, administrator)
    assert not Agent.objects.exists()


def test_an_agent_that_cannot_start_is_there_and_says_why(deleted, administrator, containers):
    def refuse(_container_id):
        containers.check()
        raise NotRestorable("no")

    containers.start = refuse
    with pytest.raises(NotRestorable):
        restoring.restore(deleted, administrator)
    agent = Agent.objects.get()
    assert (agent.status, agent.status_reason) == ("error", "no")
    assert (workspace(containers, agent) / "notes").read_text() == "mine"


@pytest.mark.django_db(transaction=True)
def test_of_two_restores_at_once_one_makes_the_agent(deleted, administrator):
    outcomes = at_once(*[lambda: attempt(deleted.pk, administrator)] * 2)
    assert sorted(outcomes) == ["refused", "restored"]
    assert Agent.objects.count() == 1


def attempt(pk, administrator):
    try:
        restoring.restore(RetainedWorkspace.objects.get(pk=pk), administrator)
    except (NotRestorable, NameTaken, RetainedWorkspace.DoesNotExist):
        return "refused"
    return "restored"


def test_purging_now_removes_it(deleted, administrator, containers):
    retention.purge_now(deleted, administrator)
    assert not RetainedWorkspace.objects.exists()
    assert not workspace(containers, deleted).exists()
    assert not Log.objects.exists()
    assert AuditEvent.objects.get(verb="purge").actor == administrator.user


def test_without_an_engine_nothing_is_purged(deleted, administrator, containers):
    containers.away = True
    with pytest.raises(EngineUnavailable):
        retention.purge_now(deleted, administrator)
    assert still_kept(deleted, containers)
