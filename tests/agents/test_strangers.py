"""Every endpoint of agents answers a stranger as if the agent did not exist."""

import pytest
from rest_framework.test import APIClient

from agents import api
from agents.models import Agent, Share
from tests.factories import client_of, make_running_agent, make_user, share

pytestmark = pytest.mark.django_db

ENDPOINTS = [
    ("get", "/api/agents/{}"),
    ("patch", "/api/agents/{}"),
    ("delete", "/api/agents/{}"),
    ("post", "/api/agents/{}/start"),
    ("post", "/api/agents/{}/stop"),
    ("post", "/api/agents/{}/restart"),
    ("get", "/api/agents/{}/logs"),
    ("get", "/api/agents/{}/stats"),
    ("post", "/api/agents/{}/share"),
    ("get", "/api/agents/{}/shares"),
    ("delete", "/api/agents/{}/share/{}"),
    ("get", "/api/agents/{}/audit"),
    ("get", "/api/agents/{}/stats/history"),
    ("get", "/api/agents/{}/resources"),
    ("put", "/api/agents/{}/resources"),
    ("get", "/api/agents/{}/info"),
    ("get", "/api/agents/{}/metrics"),
    ("get", "/api/agents/{}/activity"),
    ("get", "/api/agents/{}/activities"),
    ("get", "/api/agents/{}/autonomy"),
    ("put", "/api/agents/{}/autonomy"),
    ("get", "/api/agents/{}/files"),
    ("delete", "/api/agents/{}/files"),
    ("get", "/api/agents/{}/environment"),
    ("put", "/api/agents/{}/environment"),
    ("get", "/api/agents/{}/git/config"),
    ("put", "/api/agents/{}/git/config"),
    ("get", "/api/agents/{}/git/status"),
    ("get", "/api/agents/{}/git/log"),
    ("post", "/api/agents/{}/git/sync"),
    ("post", "/api/agents/{}/git/pull"),
]
BESIDE = {
    "api/agents/<str:name>/audit.csv",
    "api/agents/<str:name>/environment/<str:variable>",
    "api/agents/<str:name>/files/download",
    "api/agents/<str:name>/logs/stream",
    "api/agents/<str:name>/logs/download",
}
VERBS = [(method, path) for method, path in ENDPOINTS if method != "get"]
EMAIL = "ada@example.org"
OF_OWNERS = [
    ("patch", "/api/agents/{}"),
    ("delete", "/api/agents/{}"),
    ("post", "/api/agents/{}/share"),
    ("get", "/api/agents/{}/shares"),
    ("delete", "/api/agents/{}/share/{}"),
    ("get", "/api/agents/{}/audit"),
    ("put", "/api/agents/{}/autonomy"),
    ("put", "/api/agents/{}/environment"),
    ("put", "/api/agents/{}/git/config"),
    ("post", "/api/agents/{}/git/sync"),
    ("post", "/api/agents/{}/git/pull"),
]
BODY = {
    "email": EMAIL,
    "github_repo": "team/work",
    "enabled": True,
    "variables": [{"name": "TOKEN", "value": "hush"}],
}


def answer(client, method, path, name):
    # The shape of a body is looked at before the access, so this is one that each of them takes.
    body = None if method == "get" else BODY
    response = getattr(client, method)(path.format(name, EMAIL), body)
    return response.status_code, response.json()


def test_every_endpoint_of_one_agent_is_listed_here():
    places = ("<str:name>", "<path:email>")
    listed = {path.removeprefix("/").format(*places) for _, path in ENDPOINTS}
    assert listed == {
        str(route.pattern)
        for route in api.urlpatterns
        # What is answered beside Django has tests of its own.
        if "name" in str(route) and str(route.pattern) not in BESIDE
    }


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_agent_of_others_and_one_that_does_not_exist_look_the_same(method, path, containers):
    agent, client = make_running_agent(), client_of(make_user())
    refused = answer(client, method, path, agent.name)
    assert refused == (404, {"detail": "Agent not found", "code": "agent_not_found"})
    assert refused == answer(client, method, path, "no-such-agent")
    agent.refresh_from_db()
    assert agent.status == Agent.Status.RUNNING
    assert not containers.calls


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_without_credentials_nothing_is_answered(method, path):
    agent = make_running_agent()
    assert answer(APIClient(), method, path, agent.name) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize(("method", "path"), VERBS)
def test_a_viewer_may_not_change_anything(method, path, containers):
    agent, viewer = make_running_agent(), make_user()
    share(agent, viewer)
    status, body = answer(client_of(viewer), method, path, agent.name)
    assert status == 403
    assert body["code"] in {"may_not_operate", "may_not_own"}
    assert not containers.calls


@pytest.mark.parametrize("role", Share.Role)
@pytest.mark.parametrize(("method", "path"), OF_OWNERS)
def test_nobody_it_is_shared_with_may_do_what_is_the_owners(method, path, role):
    agent, user = make_running_agent(), make_user()
    share(agent, user, role)
    status, body = answer(client_of(user), method, path, agent.name)
    assert (status, body["code"]) == (403, "may_not_own")


def test_the_list_of_a_stranger_is_empty():
    make_running_agent()
    assert client_of(make_user()).get("/api/agents").json() == []
