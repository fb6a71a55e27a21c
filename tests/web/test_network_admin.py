"""The network of an agent, and the risk of one without a guard, in the admin and on pages."""

import pytest

from agents.models import Agent, Host
from tests.factories import make_administrator, make_agent, make_user
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

HOSTS = "/admin/agents/host/"
REASON = "iptables is missing"


@pytest.fixture
def administrator(client):
    user = make_administrator()
    client.force_login(user)
    return user


@pytest.fixture
def owner(client):
    """One of the staff, signed in."""
    user = make_user(is_staff=True)
    client.force_login(user)
    return user


@pytest.fixture
def unguarded():
    Host.objects.local().record_network(REASON)


def change(client, agent, **fields):
    page = f"/admin/agents/agent/{agent.pk}/change/"
    form = {"type": agent.type, "description": "changed", "tags": "", **fields}
    for inline in client.get(page).context["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        form |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    answer = client.post(page, form)
    assert answer.status_code == 302, answer.context["errors"]
    agent.refresh_from_db()
    assert agent.description == "changed"
    return agent


def act(client, action):
    form = {"action": action, "_selected_action": [Host.objects.local().pk]}
    return client.post(HOSTS, form, follow=True)


def test_an_administrator_changes_the_network_and_that_is_recorded(client, administrator):
    agent = change(client, make_agent(), network="private")
    assert agent.network == Agent.Network.PRIVATE
    event = AuditEvent.objects.get(verb="change_network")
    assert (event.actor, event.object_name, event.detail) == (administrator, agent.name, "private")


def test_a_network_that_stays_is_no_event(client, administrator):
    change(client, make_agent(), network="internet")
    assert not AuditEvent.objects.filter(verb="change_network").exists()


def test_an_owner_sees_the_network_and_cannot_change_it(client, owner):
    agent = make_agent(owner=owner, network="none")
    page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    assert "Network" in page
    assert 'name="network"' not in page
    assert change(client, agent, network="private").network == Agent.Network.NONE


def test_the_api_does_not_change_it(client, owner):
    agent = make_agent(owner=owner)
    path, body = f"/api/agents/{agent.name}", {"network": "private"}
    client.patch(path, body, content_type="application/json")
    agent.refresh_from_db()
    assert agent.network == Agent.Network.INTERNET


def test_an_administrator_accepts_the_risk_and_takes_that_back(client, administrator, unguarded):
    act(client, "accept_unguarded_networks")
    host = Host.objects.local()
    assert (host.gives_network, host.network_unguarded_since is None) == (True, False)
    assert REASON in AuditEvent.objects.get(verb="accept_unguarded_network").detail
    assert "unguarded" in client.get(HOSTS).content.decode()
    act(client, "refuse_unguarded_networks")
    assert not Host.objects.local().gives_network


def test_nobody_else_accepts_it(client, owner, unguarded):
    assert client.post(HOSTS, {"action": "accept_unguarded_networks"}).status_code == 403
    assert not Host.objects.local().gives_network


def test_every_page_says_that_there_is_no_network_and_why(client, owner, unguarded):
    agent = make_agent(owner=owner)
    for path in ("/agents", f"/agents/{agent.name}"):
        page = client.get(path, follow=True).content.decode()
        assert f"cannot be guarded: {REASON}" in page


def test_pages_say_nothing_of_a_network_that_is_guarded(client, owner):
    assert "guarded" not in client.get("/agents", follow=True).content.decode()
