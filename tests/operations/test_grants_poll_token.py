"""The poll token opens its one operation, and of all that is served nothing else."""

import re

import pytest
from django.test import Client

from agents.output import logs
from operations.grant_models import Grant
from operations.models import Operation
from tests.access import routes
from tests.factories import bearer_client, make_grant, make_operation
from tests.operations.signing import PATH, Account, ask, asking, send, signed
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

OPERATION = "/api/v1/operations/{operation_id}"
OPENS = {
    ("GET", OPERATION),
    ("POST", OPERATION + "/cancel"),
    ("GET", OPERATION + "/logs"),
    ("GET", OPERATION + "/artifacts"),
    ("GET", OPERATION + "/artifacts/{path}"),
    ("POST", "/api/v1/artifacts/{operation_id}/list"),
    ("POST", "/api/v1/artifacts/download"),
}
# Answered beside Django; test_grants_stream.py is about them.
BESIDE = {("GET", OPERATION + "/stream"), ("GET", OPERATION + "/logs/download")}
# These ask nobody who he is.
PUBLIC = {
    "/health",
    "/token",
    "/api/token",
    "/api/auth/mode",
    "/api/setup/status",
    "/api/setup/admin-password",
}


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def told(account):
    return ask(account, make_grant(signers=[account.address])).json()


@pytest.fixture
def client(told):
    return bearer_client(told["poll_token"])


def every_endpoint():
    for path, methods in routes.urls():
        for method in sorted(methods or ()):
            yield method, path


def filled(path, operation_id):
    return re.sub(r"\{\w+\}", "x", path.format_map(_Names(operation_id)))


class _Names(dict):
    def __init__(self, operation_id):
        super().__init__(operation_id=operation_id)

    def __missing__(self, name):
        return "1" if name.endswith("id") else "x"


def test_it_reads_and_cancels_its_operation(told, client, account):
    path = f"{PATH}/{told['id']}"
    operation = Operation.objects.get(pk=told["id"])
    logs.append(operation.log_id, [(False, "a line")], {})
    assert client.get(path).json()["status"] == "starting"
    assert client.get(f"{path}/logs").json()["lines"] == [{"seq": 1, "text": "a line"}]
    assert client.get(f"{path}/artifacts").json()["artifacts"] == []
    assert client.post(f"/api/v1/artifacts/{told['id']}/list").status_code == 200
    download = {"operation_id": told["id"], "artifact_path": "none"}
    assert client.post("/api/v1/artifacts/download", download).status_code == 404
    assert client.post(f"{path}/cancel").status_code == 204
    assert AuditEvent.objects.get(verb="cancel").actor_name == account.address


def test_nothing_else_of_all_that_is_served(told, client):
    opens = OPENS | BESIDE
    found = [each for each in every_endpoint() if each not in opens and each[1] not in PUBLIC]
    assert len(found) > 50
    answers = {}
    for method, path in found:
        answer = getattr(client, method.lower())(filled(path, told["id"]))
        if answer.status_code != 403:
            answers[method, path] = answer.status_code
    assert not answers


def test_pages_and_the_admin_do_not_know_it(told):
    by_token = Client(headers={"Authorization": f"Bearer {told['poll_token']}"})
    for page in [path for path, methods in routes.urls() if methods is None]:
        answers = [each.get(filled(page, told["id"])) for each in (by_token, Client())]
        locations = [answer.get("Location") for answer in answers]
        assert answers[0].status_code == answers[1].status_code, page
        assert locations[0] == locations[1], page


@pytest.mark.parametrize("other", ["of the same grant", "of nobody"])
def test_another_operation_does_not_exist_for_it(told, client, account, other):
    if other == "of nobody":
        operation_id = make_operation().pk
    else:
        operation_id = ask(account, Grant.objects.get()).json()["id"]
    for method, path in OPENS:
        body = {"operation_id": str(operation_id), "artifact_path": "x"}
        send = getattr(client, method.lower())
        asked = filled(path, operation_id)
        answer = send(asked) if method == "GET" else send(asked, body)
        assert answer.status_code == 404, path
    assert not Operation.objects.exclude(cancel_requested_at=None).exists()


def test_it_asks_for_nothing_by_a_signature_either(client, account):
    body = signed(account, asking(Grant.objects.get()))
    assert send(body, client).status_code == 403


def test_it_ends_with_its_operation(told, client):
    Operation.objects.get(pk=told["id"]).delete()
    assert client.get(f"{PATH}/{told['id']}").status_code == 401


@pytest.mark.parametrize("end", [lambda: Grant.objects.update(is_enabled=False)])
def test_it_ends_when_the_grant_is_disabled(told, client, end):
    end()
    assert client.get(f"{PATH}/{told['id']}").status_code == 401


def test_it_ends_when_the_grant_is_deleted(told, client):
    Grant.objects.get().delete()
    assert client.get(f"{PATH}/{told['id']}").status_code == 401
    assert Operation.objects.filter(pk=told["id"]).exists()


def test_a_text_that_is_no_poll_token_opens_nothing(told):
    for text in ("poll_", "poll_x", told["poll_token"][:-1], told["poll_token"] + "x"):
        assert bearer_client(text).get(f"{PATH}/{told['id']}").status_code == 401
