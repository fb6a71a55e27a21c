"""Asking for an operation by a signature: what is run, and each way in which it is not."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from agents.models import Agent
from operations.models import Operation
from tests.factories import client_of, make_agent, make_grant, make_running_agent, make_user, share
from tests.operations.signing import PATH, Account, ask, asking, send, signed
from trinity.encryption import unseal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

PARAMETERS = {
    "year": {"type": "integer", "minimum": 2000, "maximum": 2100},
    "name": {"type": "text", "pattern": "[a-z -]+", "max_length": 10, "default": "all"},
    "fast": {"type": "boolean", "default": False, "env": "FAST"},
}


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def grant(account):
    return make_grant(
        command=["report", "--year={year}", "{name}", "{other}"],
        parameters=PARAMETERS,
        signers=[account.address],
        timeout_seconds=30,
    )


def refusal(answer):
    told = answer.json()
    return answer.status_code, told.get("code", told["detail"])


def test_a_good_signature_runs_the_grants_command(account, grant):
    answer = ask(account, grant, year=2024, name="a b", fast=True)
    assert answer.status_code == 202
    told = answer.json()
    assert told["kind"] == "OperationCreated"
    assert {*told} == {"kind", "id", "created_at", "poll_token"}
    operation = Operation.objects.get(pk=told["id"])
    assert operation.command == ["report", "--year=2024", "a b", "{other}"]
    assert unseal(operation.environment) == {"FAST": "true"}
    assert operation.timeout_seconds == 30
    assert (operation.agent, operation.requester) == (grant.agent, None)
    assert (operation.grant, operation.signer) == (grant, account.address)


def test_the_poll_token_is_stored_as_a_hash_alone(account, grant):
    told = ask(account, grant, year=2024).json()
    row = Operation.objects.filter(pk=told["id"]).values().get()
    assert told["poll_token"] not in str(row)


def test_a_value_stays_in_its_argument_and_fills_nothing_else(account):
    grant = make_grant(
        command=["say", "{a}", "x{b}x"],
        parameters={"a": {"type": "text"}, "b": {"type": "text"}},
        signers=[account.address],
    )
    told = ask(account, grant, a="{b}; $(rm -rf /) 'q' \n", b="{a}").json()
    command = Operation.objects.get(pk=told["id"]).command
    assert command == ["say", "{b}; $(rm -rf /) 'q' \n", "x{a}x"]


def test_a_grant_for_a_prompt_asks_as_the_template_says(account):
    grant = make_grant(
        agent=make_running_agent(prompt_command=["ai", "-p", "{prompt}"]),
        command=[],
        prompt="Write about {topic}",
        parameters={"topic": {"type": "text"}},
        signers=[account.address],
    )
    told = ask(account, grant, topic="tea")
    assert told.status_code == 202
    assert Operation.objects.get(pk=told.json()["id"]).command == ["ai", "-p", "Write about tea"]


def test_the_owner_sees_it_and_others_do_not(account, grant):
    operation_id = ask(account, grant, year=2024).json()["id"]
    path = f"{PATH}/{operation_id}"
    assert client_of(grant.agent.owner).get(path).status_code == 200
    assert client_of(make_user()).get(path).status_code == 404
    viewer = make_user()
    share(grant.agent, viewer)
    assert client_of(viewer).get(path).status_code == 200


def test_the_audit_trail_has_the_signers_address(account, grant):
    ask(account, grant, year=2024)
    event = AuditEvent.objects.get(verb="run")
    assert (event.actor, event.actor_name) == (None, account.address)
    assert (event.object_name, event.address) == (grant.agent.name, "127.0.0.1")


def test_another_signer_is_refused_and_told(grant):
    stranger = Account()
    assert refusal(ask(stranger, grant, year=2024)) == (403, "not_granted")
    event = AuditEvent.objects.get(outcome="denied")
    assert (event.actor_name, event.object_type) == (stranger.address, "grant")
    assert event.object_name == str(grant.permission_id)


@pytest.mark.parametrize(
    "fields",
    [
        {"is_enabled": False},
        {"valid_until": timezone.now() - timedelta(seconds=1)},
    ],
)
def test_a_grant_that_has_ended_covers_nothing(account, grant, fields):
    type(grant).objects.update(**fields)
    assert refusal(ask(account, grant, year=2024)) == (403, "not_granted")


def test_a_request_that_has_ended_is_refused(account, grant):
    past = (timezone.now() - timedelta(seconds=1)).isoformat()
    later = (timezone.now() + timedelta(minutes=5)).isoformat()
    assert refusal(ask(account, grant, year=2024, expires_at=past)) == (403, "not_granted")
    assert ask(account, grant, year=2024, expires_at=later).status_code == 202


def test_what_the_grant_does_not_name_cannot_be_set(account, grant):
    for name in ("command", "env", "agent", "timeout_seconds", "Year"):
        answer = ask(account, grant, year=2024, **{name: "x"})
        assert refusal(answer) == (403, "not_granted")
        assert repr(name) in answer.json()["detail"]


def test_a_permission_that_is_not_there_is_not_found(account, grant):
    text = json.dumps({"permission_id": grant.permission_id + 1})
    assert refusal(send(signed(account, text))) == (404, "grant_not_found")
    Agent.objects.filter(pk=grant.agent_id).update(deleting=True)
    assert refusal(ask(account, grant, year=2024)) == (404, "grant_not_found")


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({}, "year"),
        ({"year": 1999}, "year"),
        ({"year": "2024"}, "year"),
        ({"year": True}, "year"),
        ({"year": None}, "year"),
        ({"year": 2024, "name": "UPPER"}, "name"),
        ({"year": 2024, "name": "a" * 11}, "name"),
        ({"year": 2024, "name": "a\n"}, "name"),
        ({"year": 2024, "fast": 1}, "fast"),
        ({"year": 2024, "nonce": 5}, "nonce"),
        ({"year": 2024, "expires_at": "soon"}, "expires_at"),
        ({"year": 2024, "permission_id": "4096"}, "permission_id"),
        ({"year": 2024, "permission_id": -1}, "permission_id"),
        ({"year": 2024, "permission_id": 2**64}, "permission_id"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_place(account, grant, keys, where):
    answer = ask(account, grant, **keys)
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "operation_request_json", where]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "1", '{"permission_id": NaN}', '"\\u0000"'])
def test_a_text_that_is_no_request_is_told(account, text):
    answer = send(signed(account, text))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", "operation_request_json"]


@pytest.mark.parametrize(
    "change",
    [
        {"app_signature": "0x12"},
        {"app_signature": "12" * 65},
        {"app_signature": "0x" + "g" * 130},
        {"app_signature": "0x" + "1" * 130 + "\n"},
        {"app_signature": 5},
        {"app_signature": None},
        {"operation_request_json": {"permission_id": 1}},
        {"operation_request_json": None},
    ],
)
def test_a_body_of_another_shape_is_told(account, grant, change):
    body = signed(account, asking(grant, year=2024)) | change
    assert send(body).status_code == 422
    key = next(iter(change))
    del body[key]
    answer = send(body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", key]


def test_a_signature_that_no_key_has_made_is_no_credential(grant):
    text = asking(grant, year=2024)
    for signature in ("0x" + "0" * 130, "0x" + "f" * 128 + "1b", "0x" + "1" * 128 + "05"):
        answer = send({"app_signature": signature, "operation_request_json": text})
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"


def test_the_other_form_still_needs_credentials_before_anything_else(grant):
    anonymous = APIClient()
    for body in (
        {"agent": grant.agent.name, "command": ["true"]},
        {},
        {"agent": 5},
        {"app-signature": "0x"},
    ):
        assert send(body).status_code == 401
    for raw in (b"{", b"[]", b'"app_signature"', b"\xff", b"[" * 100_000):
        answer = anonymous.post(PATH, raw, content_type="application/json")
        assert answer.status_code == 401
    assert anonymous.get(PATH).status_code == 401
    assert anonymous.put(PATH, {"app_signature": "x"}, format="json").status_code == 401


def test_a_body_that_is_too_long_is_not_looked_at(account, grant):
    body = signed(account, asking(grant, year=2024)) | {"padding": "x" * 64 * 1024}
    assert send(body).status_code == 401


def test_a_signature_does_not_stand_in_for_other_credentials(account, grant):
    body = signed(account, asking(grant, year=2024))
    stale = APIClient()
    stale.credentials(HTTP_AUTHORIZATION="Bearer trinity_stale")
    assert send(body, stale).status_code == 401
    for path in ("/api/agents", "/api/tokens", f"/api/agents/{grant.agent.name}/chat"):
        assert APIClient().post(path, body, format="json").status_code == 401


def test_with_credentials_the_signature_alone_still_decides(account, grant):
    owner = client_of(grant.agent.owner)
    told = send(signed(account, asking(grant, year=2024)), owner)
    assert Operation.objects.get(pk=told.json()["id"]).requester is None
    assert send(signed(Account(), asking(grant, year=2024)), owner).status_code == 403


def test_an_agent_that_is_stopped_is_told_and_the_same_text_may_come_again(account):
    grant = make_grant(agent=make_agent(), signers=[account.address])
    body = signed(account, asking(grant))
    assert send(body).json()["code"] == "agent_not_running"
    Agent.objects.update(status="running")
    assert send(body).status_code == 202
