"""The admin asks what becomes of a deleted agent's own, and shows what is left over."""

import pytest
from django.urls import reverse

from agents import control, found
from agents.models import Agent, Found, Host, RetainedWorkspace
from tests.factories import client_of, make_administrator, make_agent, make_user

pytestmark = pytest.mark.django_db(transaction=True)

AGENTS = "/admin/agents/agent/"
RETAINED = "/admin/agents/retainedworkspace/"
FOUND = "/admin/agents/found/"
HOSTS = "/admin/agents/host/"


@pytest.fixture
def root(client):
    user = make_administrator(username="root")
    client.force_login(user)
    return user


@pytest.fixture
def scribe(root):
    """A running agent."""
    agent = make_agent(name="scribe", owner=root)
    client_of(root).post("/api/agents/scribe/start")
    agent.refresh_from_db()
    return agent


@pytest.fixture
def retained(scribe):
    client_of(scribe.owner).delete("/api/agents/scribe")
    return RetainedWorkspace.objects.get()


@pytest.fixture
def orphan(scribe):
    """The three things on the engine whose row was lost."""
    Agent.objects.filter(pk=scribe.pk).delete()
    found.note(Host.objects.local())
    return Found.objects.get(kind="container")


def act(client, page, action, *rows, **more):
    form = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(page, form, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


def test_deleting_one_asks_what_becomes_of_workspace_and_log(client, scribe):
    page = reverse("admin:agents_agent_delete", args=[scribe.pk])
    asked = client.get(page).content.decode()
    assert 'name="workspace"' in asked
    assert "keep for 7 days" in asked
    client.post(page, {"post": "yes", "workspace": "keep", "log": "remove"})
    retained = RetainedWorkspace.objects.get()
    assert (retained.has_workspace, retained.log_id) == (True, None)


def test_deleting_many_asks_what_becomes_of_workspace_and_log(client, root, scribe):
    asked = act(client, AGENTS, "delete_agents", scribe).content.decode()
    assert 'name="workspace"' in asked
    assert 'name="log"' in asked
    choices = {"workspace": "remove", "log": "remove"}
    response = act(client, AGENTS, "delete_agents", scribe, confirmed="yes", **choices)
    assert told(response) == ["Deleted scribe."]
    assert not RetainedWorkspace.objects.exists()


def test_what_is_kept_is_listed_and_restored_under_another_name(client, retained):
    listed = client.get(RETAINED).content.decode()
    assert "scribe" in listed
    assert "keeping workspace and log" in listed
    owner = make_user(username="ada")
    asked = act(client, RETAINED, "restore", retained).content.decode()
    assert 'value="scribe"' in asked
    chosen = {"name": "second", "owner": str(owner.pk)}
    response = act(client, RETAINED, "restore", retained, confirmed="yes", **chosen)
    assert told(response) == ["Restored scribe."]
    agent = Agent.objects.get()
    assert (agent.name, agent.owner, agent.status) == ("second", owner, "running")


def test_a_refused_restore_says_why(client, retained, root):
    make_agent(name="scribe")
    chosen = {"name": "scribe", "owner": str(root.pk)}
    response = act(client, RETAINED, "restore", retained, confirmed="yes", **chosen)
    assert told(response) == ["Agent already exists"]
    assert RetainedWorkspace.objects.exists()


def test_what_is_kept_is_removed_before_its_time_only_when_confirmed(client, retained):
    assert b"Nothing brings them back" in act(client, RETAINED, "purge", retained).content
    assert RetainedWorkspace.objects.exists()
    act(client, RETAINED, "purge", retained, confirmed="yes")
    assert not RetainedWorkspace.objects.exists()


def test_what_was_found_is_shown_without_asking_the_engine(client, orphan, containers):
    containers.calls.clear()
    listed = client.get(FOUND).content.decode()
    assert "agent-scribe" in listed
    assert client.get(f"{FOUND}{orphan.pk}/change/").status_code == 200
    assert not containers.calls


def test_what_was_found_is_adopted(client, orphan, root):
    asked = act(client, FOUND, "adopt", orphan).content.decode()
    assert 'value="scribe"' in asked
    chosen = {"name": "scribe", "owner": str(root.pk), "image": "trinity-agent-base:latest"}
    response = act(client, FOUND, "adopt", orphan, confirmed="yes", **chosen)
    assert told(response) == ["Adopted container agent-scribe."]
    assert Agent.objects.get().status == "running"


def test_what_was_found_is_removed_container_first(client, orphan, containers):
    assert b"Nothing brings them back" in act(client, FOUND, "remove", orphan).content
    act(client, FOUND, "remove", *Found.objects.all(), confirmed="yes")
    assert not Found.objects.exists()
    host = Host.objects.local()
    assert containers.containers(instance=host.instance) == []
    assert containers.volumes(prefix=f"trinity-{host.instance}-") == []


def test_an_administrator_takes_control(client, root):
    host = Host.objects.local()
    control.report_only(host, "restored from a backup")
    assert "restored from a backup" in client.get(HOSTS).content.decode()
    assert b"no other Trinity" in act(client, HOSTS, "take_control", host).content
    assert Host.objects.get().report_only_since
    response = act(client, HOSTS, "take_control", host, confirmed="yes")
    assert told(response) == ["Trinity acts on this engine."]
    assert Host.objects.get().report_only_since is None


def test_pages_say_that_trinity_only_reports(client, root):
    control.report_only(Host.objects.local(), "restored from a backup")
    page = client.get("/agents").content.decode()
    assert "Trinity only reports" in page
    assert "restored from a backup." in page


@pytest.mark.parametrize("page", [RETAINED, FOUND, HOSTS])
def test_these_are_for_administrators(client, page):
    client.force_login(make_user(is_staff=True))
    assert client.get(page).status_code == 403
    assert client.post(page, {"action": "remove"}).status_code == 403
