"""What every endpoint of the OpenAPI document answers alike, tried with each of them."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from agents.models import Agent
from tests.api.asking import ask
from tests.api.documented import operations
from tests.factories import (
    make_administrator,
    make_operation,
    make_running_agent,
    make_user,
    token_of,
)
from trinity.models import IdempotentRequest

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN = UUID(int=0)
# Requests that are right but for what the test is about; the rest take none.
BODIES = {
    ("post", "/api/agents"): {"name": "another"},
    ("post", "/api/agents/{name}/chat"): {"message": "Hello"},
    ("post", "/api/agents/{name}/share"): {"email": "grace@example.org"},
    ("put", "/api/agents/{name}/autonomy"): {"enabled": True},
    ("put", "/api/agents/{name}/environment"): {"variables": [{"name": "A", "value": "1"}]},
    ("put", "/api/agents/{name}/git/config"): {"github_repo": "team/work"},
    ("post", "/api/setup/admin-password"): {"password": "x" * 12, "confirm_password": "x" * 12},
    ("post", "/api/tickets"): {"for": "/ws"},
    ("post", "/api/token"): b"username=ada&password=wrong",
    ("post", "/token"): b"username=ada&password=wrong",
    ("post", "/api/tokens"): {"name": "mine"},
    ("post", "/api/v1/artifacts/download"): {"operation_id": str(UNKNOWN), "artifact_path": "a"},
    ("post", "/api/v1/operations"): {"agent": "scribe", "command": ["true"]},
}
QUERIES = {("get", "/api/templates/env-template"): "template_id=local:default"}
# What every token may read, whatever it is limited to.
OF_ANY_TOKEN = [
    ("get", "/api/auth/validate"),
    ("get", "/api/docs"),
    ("get", "/api/schema"),
    ("get", "/api/users/me"),
]


def documented(status, *, without=()):
    """The operations that may answer so."""
    found = [key for key, told in operations() if str(status) in told["responses"]]
    assert found
    return [key for key in found if key not in without]


def answer(key, token=None, **given):
    method, path = key
    places = {"name": "scribe", "email": "ada@example.org", "variable": "A", "token_id": 10**6}
    places |= {
        "template_id": "local:none",
        "path": "a.txt",
        "operation_id": UNKNOWN,
        **given.pop("places", {}),
    }
    request = {"body": BODIES.get(key), "query": QUERIES.get(key, ""), **given}
    return ask(method, path.format(**places), token=token, **request)


def differing(keys, expected, **given):
    """The operations whose answer has another status, or another code."""
    found = {}
    for key in keys:
        got = answer(key, **given)
        told = got.json() if got.headers.get("content-type") == "application/json" else {}
        if (got.status, told.get("code")) not in expected:
            found[key] = (got.status, told)
    return found


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def token(agent):
    return token_of(agent.owner)


def test_nothing_is_answered_without_credentials(agent):
    keys = documented(401, without=[("post", "/token"), ("post", "/api/token")])
    assert len(keys) > 55
    assert differing(keys, {(401, None)}) == {}
    assert differing(keys, {(401, None)}, token="stale") == {}


def test_a_token_that_may_do_nothing_is_refused(agent):
    setup = [key for key, told in operations() if told["security"] == [{}]]
    keys = documented(403, without=[*setup, *OF_ANY_TOKEN, ("get", "/metrics")])
    useless = token_of(make_administrator(), scopes=["metrics"])
    assert differing(keys, {(403, "insufficient_scope")}, token=useless) == {}
    reading = token_of(make_administrator(), scopes=["read"])
    assert answer(("get", "/metrics"), reading).status == 403


def polled(_digest):
    return UNKNOWN, "0x" + "0" * 40


def test_a_poll_token_opens_nothing_but_operations(agent, settings):
    settings.TRINITY_POLL_TOKENS = f"{__name__}.polled"
    public = [key for key, told in operations() if told["security"] == [{}]]
    keys = [key for key in documented(403, without=public) if "/v1/" not in key[1]]
    assert differing(keys, {(403, "insufficient_scope")}, token="poll_x") == {}


def test_what_strangers_may_not_see_is_not_there(agent):
    stranger = token_of(make_user())
    keys = documented(404, without=[("post", "/api/tokens")])
    of_agents = [key for key in keys if "{name}" in key[1]]
    assert differing(of_agents, {(404, "agent_not_found")}, token=stranger) == {}
    rest = [key for key in keys if key not in of_agents]
    nouns = ("agent", "operation", "token", "template", "artifact")
    expected = {(404, f"{noun}_not_found") for noun in nouns}
    for operation_id in (UNKNOWN, make_operation(agent=agent).pk):
        given = {"query": "template_id=local:none", "places": {"operation_id": operation_id}}
        assert differing(rest, expected, token=stranger, **given) == {}
    assert Agent.objects.get(pk=agent.pk).status == "running"


def test_a_body_without_the_right_shape_is_malformed(token):
    keys = [key for key in documented(422) if "requestBody" in dict(operations())[key]]
    assert len(keys) >= 20
    forms = [("post", "/token"), ("post", "/api/token")]
    rest = [key for key in keys if key not in forms]
    assert differing(rest, {(422, None)}, token=token, body=b"{broken") == {}
    assert differing(forms, {(422, None)}, body=b"") == {}


def test_a_query_without_the_right_shape_is_malformed(token):
    keys = [key for key in documented(422) if "requestBody" not in dict(operations())[key]]
    assert len(keys) > 10
    administrator = token_of(make_administrator())
    wrong = {key: wrong_query(dict(operations())[key].get("parameters", [])) for key in keys}
    found = {
        key: got.status
        for key in keys
        if (got := answer(key, administrator, query=wrong[key])).status != 422
    }
    assert found == {}


def wrong_query(parameters):
    """A query that has not what the document asks for."""
    for parameter in parameters:
        match parameter:
            case {"in": "query", "schema": {"type": "integer"} | {"enum": _} | {"format": _}}:
                return f"{parameter['name']}=wrong"
    return ""  # Without what is required.


def test_a_body_that_is_too_large_is_refused(token):
    files = ("put", "/api/agents/{name}/files")
    keys = [key for key in documented(413) if "422" in dict(operations())[key]["responses"]]
    assert len(keys) >= 20
    large = b'{"a": "' + b"x" * 1024**2 + b'"}'
    assert differing(keys, {(413, "too_large")}, token=token, body=large) == {}
    length = {"content-length": str(10**9)}
    assert answer(files, token, query="path=a", headers=length).status == 413


def test_without_its_database_everything_says_so(token, monkeypatch):
    def fail(*_):
        raise OperationalError("secret")

    monkeypatch.setattr(CursorWrapper, "execute", fail)
    keys = documented(503)
    assert len(keys) > 60
    found = differing(keys, {(503, "database_unavailable")}, token=token)
    monkeypatch.undo()
    assert found == {}


def test_a_key_whose_first_request_is_under_way_is_busy(token, monkeypatch):
    monkeypatch.setattr("trinity.idempotency.WAIT_SECONDS", 0.1)
    keys = [key for key, told in operations() if "Idempotency-Key" in str(told.get("parameters"))]
    assert len(keys) == 6
    for number, key in enumerate(keys):
        once = {"headers": {"idempotency-key": f"key-{number}"}}
        answer(key, token, **once)
        IdempotentRequest.objects.filter(key=f"key-{number}").update(
            status=None, answer=None, claimed_until=timezone.now() + timedelta(minutes=1)
        )
        again = answer(key, token, **once)
        assert (key, again.status, again.json()["code"]) == (key, 409, "busy")
