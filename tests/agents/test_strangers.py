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
]
VERBS = [(method, path) for method, path in ENDPOINTS if method != "get"]


def answer(client, method, path, name):
    response = getattr(client, method)(path.format(name), {} if method != "get" else None)
    return response.status_code, response.json()


def test_every_endpoint_of_one_agent_is_listed_here():
    listed = {path.removeprefix("/").format("<str:name>") for _, path in ENDPOINTS}
    assert listed == {str(route.pattern) for route in api.urlpatterns if "name" in str(route)}


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


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_an_operator_may_not_do_what_is_the_owners(method):
    agent, operator = make_running_agent(), make_user()
    share(agent, operator, Share.Role.OPERATOR)
    status, body = answer(client_of(operator), method, "/api/agents/{}", agent.name)
    assert (status, body["code"]) == (403, "may_not_own")


def test_the_list_of_a_stranger_is_empty():
    make_running_agent()
    assert client_of(make_user()).get("/api/agents").json() == []
