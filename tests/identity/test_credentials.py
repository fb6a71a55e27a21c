from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from trinity.models import ApiToken


@pytest.mark.parametrize("path", ["/api/users/me", "/api/nothing/here", "/api/", "/api/health"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_without_credentials_every_path_is_401(client, db, path, method):
    response = getattr(client, method)(path)
    assert (response.status_code, response.json()) == (401, {"detail": "Not authenticated"})
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "", "Basic YTpi", "bearer \xff"])
def test_a_bad_header_is_401_whatever_the_cookie(browser, header):
    response = browser.get("/api/users/me", headers={"authorization": header})
    assert response.status_code == 401
    assert response.json() == {"detail": "Could not validate credentials"}
    assert response["WWW-Authenticate"] == "Bearer"


def test_credentials_are_checked_before_the_body(client, db):
    response = client.post("/api/everything", "{broken", content_type="application/json")
    assert response.status_code == 401


def test_an_unknown_path_with_credentials_is_a_json_404(api):
    response = api.get("/api/nothing/here")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_path_with_nul_does_not_exist(api):
    assert api.get("/api/failing/%00").status_code == 404


def test_a_token_costs_one_query(api, django_assert_num_queries):
    api.get("/api/users/me")
    with django_assert_num_queries(1):
        assert api.get("/api/users/me").json()["username"] == "ada"


def test_an_expired_token_and_one_of_a_disabled_user_are_401(user):
    past = timezone.now() - timedelta(seconds=1)
    _, expired = ApiToken.issue(user, "old", expires_at=past)
    _, valid = ApiToken.issue(user, "new", expires_at=None)
    assert get_me(expired).status_code == 401
    assert get_me(valid).status_code == 200
    user.is_active = False
    user.save()
    assert get_me(valid).status_code == 401


def test_a_use_of_a_token_is_recorded(api, user):
    api.get("/api/users/me")
    assert timezone.now() - user.api_tokens.get().last_used_at < timedelta(minutes=1)


def get_me(token):
    return Client().get("/api/users/me", headers={"authorization": f"Bearer {token}"})
