"""Making a grant in the admin: what is wrong with it is told at its field."""

import json

import pytest

from operations.grant_models import Grant
from tests.factories import make_administrator, make_grant, make_operation, make_running_agent
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db
ADD = "/admin/operations/grant/add/"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


@pytest.fixture
def client(client):
    client.force_login(make_administrator(), backend="django.contrib.auth.backends.ModelBackend")
    return client


def form(**fields):
    return {
        "permission_id": 4096,
        "agent": make_running_agent().pk,
        "command": json.dumps(["report", "{year}"]),
        "parameters": json.dumps({"year": {"type": "integer"}}),
        "signers": f"{ADDRESS}\n0x{'2' * 40}",
        "is_enabled": "on",
        **fields,
    }


def test_a_grant_is_made_changed_and_deleted(client):
    assert client.post(ADD, form()).status_code == 302
    grant = Grant.objects.get(permission_id=4096)
    assert grant.signers == [ADDRESS.lower(), f"0x{'2' * 40}"]
    assert grant.created_by.is_superuser
    page = f"/admin/operations/grant/{grant.pk}/"
    assert ADDRESS.lower() in client.get(page + "change/").content.decode()
    assert client.post(page + "change/", form(is_enabled="", permission_id=5)).status_code == 302
    grant.refresh_from_db()
    assert (grant.permission_id, grant.is_enabled) == (4096, False)
    assert client.post(page + "delete/", {"post": "yes"}).status_code == 302
    events = AuditEvent.objects.filter(object_type="grant", object_name="4096")
    assert [event.verb for event in events.order_by("pk")] == ["create", "change", "delete"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"signers": ""}, "At least one address"),
        ({"signers": "0x12"}, "0x12 is no address"),
        ({"signers": ADDRESS.replace("2c", "2C")}, "mistyped"),
        ({"signers": f"0x{'0' * 40}"}, "Nobody has the key"),
        ({"command": "[]"}, "Either a command or a prompt"),
        ({"prompt": "x"}, "Either a command or a prompt"),
        ({"command": '["{year}"]'}, "not for the caller to set"),
        ({"command": '"ls"'}, "A list of texts"),
        ({"command": "[1]"}, "A list of texts"),
        ({"parameters": "[]"}, "An object with a description"),
        ({"parameters": '{"year": {"type": "date"}}'}, "must be one of"),
        ({"command": '["ls"]'}, "put in nowhere"),
        ({"timeout_seconds": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told(client, fields, told):
    answer = client.post(ADD, form(**fields))
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert not Grant.objects.exists()


def test_a_number_is_taken_once_and_the_next_is_offered(client):
    make_grant(permission_id=4096)
    assert b"already exists" in client.post(ADD, form()).content
    assert b'value="4097"' in client.get(ADD).content


def test_an_operation_shows_its_grant_and_signer(client):
    operation = make_operation(grant=make_grant(permission_id=4096), signer=ADDRESS.lower())
    assert ADDRESS.lower() in client.get("/admin/operations/operation/").content.decode()
    page = client.get(f"/admin/operations/operation/{operation.pk}/change/").content.decode()
    assert ADDRESS.lower() in page
    assert "4096" in page
