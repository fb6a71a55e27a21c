"""Every endpoint of operations answers a stranger as if there were none."""

import re
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from agents.models import Share
from operations import api
from operations.models import Operation
from tests.factories import (
    client_of,
    make_administrator,
    make_operation,
    make_running_agent,
    make_user,
    share,
)

pytestmark = pytest.mark.django_db

ENDPOINTS = [
    ("get", "/api/v1/operations/{}"),
    ("post", "/api/v1/operations/{}/cancel"),
    ("post", "/api/v1/operations/{}/run-again"),
    ("get", "/api/v1/operations/{}/logs"),
]


def answer(client, method, path, operation_id):
    response = getattr(client, method)(path.format(operation_id))
    return response.status_code, response.json() if response.content else None


def test_every_endpoint_of_one_operation_is_listed_here():
    listed = {path.removeprefix("/").format("<uuid:operation_id>") for _, path in ENDPOINTS}
    assert listed == {
        str(route.pattern)
        for route in api.urlpatterns
        # The stream and the log's file are applications of their own, with tests of their own.
        if "operation_id" in str(route) and not re.search("stream|download", str(route))
    }


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_operation_of_others_and_one_that_does_not_exist_look_the_same(method, path):
    operation, client = make_operation(), client_of(make_user())
    refused = answer(client, method, path, operation.pk)
    assert refused == (404, {"detail": "Operation not found", "code": "operation_not_found"})
    assert refused == answer(client, method, path, uuid4())
    operation.refresh_from_db()
    assert operation.cancel_requested_at is None


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_without_credentials_nothing_is_answered(method, path):
    assert answer(APIClient(), method, path, make_operation().pk)[0] == 401


def test_a_stranger_runs_nothing_and_hears_the_same_as_of_no_agent():
    agent, client = make_running_agent(name="scribe"), client_of(make_user())
    refused, unknown = (
        client.post("/api/v1/operations", {"agent": name, "command": ["true"]})
        for name in (agent.name, "nobody")
    )
    assert refused.status_code == unknown.status_code == 404
    assert refused.json() == unknown.json()
    assert not Operation.objects.exists()


def test_the_list_of_a_stranger_is_empty_also_for_an_agent_by_name():
    operation, client = make_operation(), client_of(make_user())
    assert client.get("/api/v1/operations").json() == []
    assert client.get(f"/api/v1/operations?agent={operation.agent.name}").json() == []


def test_a_viewer_reads_and_neither_runs_nor_cancels():
    operation, viewer = make_operation(), make_user()
    share(operation.agent, viewer)
    client = client_of(viewer)
    assert answer(client, "get", "/api/v1/operations/{}", operation.pk)[0] == 200
    assert answer(client, "get", "/api/v1/operations/{}/logs", operation.pk)[0] == 200
    assert answer(client, "post", "/api/v1/operations/{}/cancel", operation.pk)[0] == 403
    body = {"agent": operation.agent.name, "command": ["true"]}
    assert client.post("/api/v1/operations", body).status_code == 403
    operation.refresh_from_db()
    assert operation.cancel_requested_at is None


def test_operators_and_administrators_cancel():
    operator = make_user()
    for user in (operator, make_administrator()):
        operation = make_operation()
        share(operation.agent, operator, Share.Role.OPERATOR)
        status, _ = answer(client_of(user), "post", "/api/v1/operations/{}/cancel", operation.pk)
        assert status == 204


def test_a_requester_sees_and_cancels_what_is_his_also_without_the_agent():
    requester = make_user()
    operation = make_operation(requester=requester)
    client = client_of(requester)
    assert answer(client, "get", "/api/v1/operations/{}", operation.pk)[0] == 200
    assert answer(client, "post", "/api/v1/operations/{}/cancel", operation.pk)[0] == 204


def test_a_disabled_user_sees_nothing():
    requester = make_user(is_active=False)
    make_operation(requester=requester)
    assert not Operation.objects.visible_to(requester).exists()
    assert not Operation.objects.cancelable_by(requester).exists()
