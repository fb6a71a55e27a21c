from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from trinity.api import json_time
from trinity.models import ApiToken, AuditEvent

FIELDS = {
    "id", "name", "prefix", "scopes", "agents", "created_at", "expires_at", "last_used_at",
}  # fmt: skip


def create(api, **body):
    return api.post("/api/tokens", body, content_type="application/json")


def test_a_token_is_shown_once_and_works_until_it_is_deleted(api):
    tomorrow = json_time(timezone.now() + timedelta(days=1))
    created = create(api, name=" ci ", expires_at=tomorrow)
    assert created.status_code == 201
    assert created.json().keys() == FIELDS | {"token"}
    assert (created.json()["name"], created.json()["expires_at"]) == ("ci", tomorrow)
    own = Client(headers={"authorization": f"Bearer {created.json()['token']}"})

    listed = own.get("/api/tokens").json()
    assert [token["name"] for token in listed] == ["ci", "test"]
    assert all(token.keys() == FIELDS for token in listed)

    gone = own.delete(f"/api/tokens/{created.json()['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert own.get("/api/tokens").status_code == 401
    verbs = AuditEvent.objects.values_list("verb", "object_type", "actor_name")
    assert list(verbs) == [("delete", "token", "ada"), ("create", "token", "ada")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": ""}, 400, "invalid_token"),
        ({"name": "x" * 101}, 400, "invalid_token"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, 400, "invalid_token"),
        ({"name": "x", "scopes": ["all"]}, 422, None),
        ({"name": "x", "scopes": "read"}, 422, None),
        ({"name": "x", "scopes": []}, 400, "invalid_token"),
        ({"name": "x", "scopes": ["metrics"]}, 403, "administrators_only"),
        ({"name": "x", "agents": []}, 400, "invalid_token"),
        ({"name": "x", "agents": ["a"]}, 404, "agent_not_found"),
        ({"name": "x", "agents": "a"}, 422, None),
        ({"name": "x", "agents": ["a"] * 101}, 422, None),
        ({}, 422, None),
    ],
)
def test_a_token_that_cannot_be_is_refused(api, body, status, code):
    response = create(api, **body)
    assert (response.status_code, response.json().get("code")) == (status, code)


@pytest.mark.parametrize("token_id", ["999999", "9" * 30])
def test_an_unknown_token_is_404(api, token_id):
    response = api.delete(f"/api/tokens/{token_id}")
    assert (response.status_code, response.json()["code"]) == (404, "token_not_found")


def test_tokens_of_others_are_neither_listed_nor_deleted(api, administrator):
    other, _ = ApiToken.issue(administrator, "other", expires_at=None)
    assert "other" not in api.get("/api/tokens").text
    assert api.delete(f"/api/tokens/{other.pk}").status_code == 404
    assert ApiToken.objects.filter(pk=other.pk).exists()


def test_the_text_of_a_token_is_not_stored(user):
    token, text = ApiToken.issue(user, "x", expires_at=None)
    assert get_user_model().objects.get().api_tokens.get() == token
    assert text not in [str(value) for value in vars(ApiToken.objects.get()).values()]
