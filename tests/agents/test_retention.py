"""A deleted agent's workspace and log: kept for a while unless they are to go at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import retention
from agents.models import Agent, EnvironmentValue, GitConfig, Host, Log, RetainedWorkspace
from agents.output import logs
from tests.factories import client_of, make_agent
from trinity.encryption import seal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(containers):
    """One that has run, and has something in its workspace and its log."""
    agent = make_agent(name="scribe", description="writes", memory_limit="2g")
    client_of(agent.owner).post("/api/agents/scribe/start")
    agent.refresh_from_db()
    (workspace(containers, agent) / "notes").write_text("mine")
    logs.append(agent.log_id, [(False, "a line")], {})
    return agent


def workspace(containers, agent):
    host = Host.objects.local()
    return containers.folder / f"trinity-{host.instance}-{agent.uid}-workspace"


def delete(agent, query=""):
    return client_of(agent.owner).delete(f"/api/agents/{agent.name}{query}")


def due(retained):
    retained.purge_at = timezone.now() - timedelta(seconds=1)
    retained.save(update_fields=["purge_at"])


def test_the_workspace_and_the_log_are_kept_for_a_week(agent, containers):
    answer = delete(agent)
    assert (answer.status_code, answer.json()) == (200, {"message": "Agent scribe deleted"})
    assert not Agent.objects.exists()
    assert (workspace(containers, agent) / "notes").read_text() == "mine"
    retained = RetainedWorkspace.objects.get()
    assert (retained.name, retained.owner, retained.uid) == ("scribe", agent.owner, agent.uid)
    assert retained.deleted_by == agent.owner
    assert retained.purge_at - timezone.now() == pytest.approx(
        timedelta(days=7), abs=timedelta(minutes=1)
    )
    kept, _ = logs.tail(retained.log_id, 100)
    assert "a line" in kept
    # What the container had said, and nobody had stored yet.
    assert any("agent server ready" in line for line in kept)
    assert AuditEvent.objects.get(verb="delete").detail == "keeping workspace and log"


@pytest.mark.parametrize(
    ("query", "has_workspace", "has_log"),
    [
        ("?workspace=remove", False, True),
        ("?log=remove", True, False),
        ("?workspace=keep&log=keep", True, True),
    ],
)
def test_each_can_be_removed_at_once(agent, containers, query, has_workspace, has_log):
    assert delete(agent, query).status_code == 200
    retained = RetainedWorkspace.objects.get()
    assert (retained.has_workspace, retained.log_id is not None) == (has_workspace, has_log)
    assert workspace(containers, agent).exists() is has_workspace
    assert Log.objects.exists() is has_log


def test_nothing_is_kept_of_what_is_removed_whole(agent, containers):
    assert delete(agent, "?workspace=remove&log=remove").status_code == 200
    assert not RetainedWorkspace.objects.exists()
    assert not Log.objects.exists()
    assert not workspace(containers, agent).exists()


def test_nothing_is_kept_where_the_setting_says_no_days(agent, containers, settings):
    settings.TRINITY_KEEP_WORKSPACES_DAYS = 0
    assert delete(agent).status_code == 200
    assert not RetainedWorkspace.objects.exists()
    assert not workspace(containers, agent).exists()


def test_another_word_than_keep_or_remove_is_refused(agent):
    answer = delete(agent, "?workspace=burn")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "workspace"]
    assert Agent.objects.present().contains(agent)


def test_its_name_is_free_and_another_of_that_name_has_a_workspace_of_its_own(agent, containers):
    delete(agent)
    answer = client_of(agent.owner).post("/api/agents", {"name": "scribe"})
    assert answer.status_code == 200
    other = Agent.objects.get()
    assert not (workspace(containers, other) / "notes").exists()


def test_its_secrets_are_kept_sealed(agent):
    sealed = seal("hunter2").decode()
    EnvironmentValue.objects.create(agent=agent, name="TOKEN", is_secret=True, value=sealed)
    GitConfig.objects.create_for(agent, "https://example.org/repository.git")
    delete(agent)
    retained = RetainedWorkspace.objects.get()
    assert retained.environment
    assert "hunter2" not in f"{retained.environment} {retained.record}"


def test_the_supervisor_purges_what_is_due_and_nothing_else(agent, containers):
    delete(agent)
    host = Host.objects.local()
    assert retention.purge_due(host) == 0
    due(RetainedWorkspace.objects.get())
    assert retention.purge_due(host) == 1
    assert not RetainedWorkspace.objects.exists()
    assert not Log.objects.exists()
    assert not workspace(containers, agent).exists()
    assert AuditEvent.objects.filter(verb="purge", actor_name="system").count() == 1


def test_what_is_still_being_deleted_is_not_purged(agent, containers):
    delete(agent)
    due(RetainedWorkspace.objects.get())
    make_agent(uid=agent.uid, deleting=True)
    assert retention.purge_due(Host.objects.local()) == 0
    assert workspace(containers, agent).exists()


def test_an_engine_that_goes_in_the_middle_loses_nothing_that_is_to_be_kept(
    agent, containers, monkeypatch
):
    def go(_name):
        containers.away = True
        containers.check()

    with monkeypatch.context() as patched:
        patched.setattr(containers, "remove", go)
        assert delete(agent).status_code == 200
    containers.away = False
    assert RetainedWorkspace.objects.get().uid == agent.uid
    assert workspace(containers, agent).exists()
