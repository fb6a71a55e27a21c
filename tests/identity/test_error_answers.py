import logging

import pytest
from django.db import OperationalError

from trinity.models import ApiToken


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry_after"),
    [
        ("invalid", 400, "invalid", None),
        ("not-found", 404, "not_found", None),
        ("forbidden", 403, "forbidden", None),
        ("conflict", 409, "conflict", None),
        ("too-large", 413, "too_large", None),
        ("too-many", 429, "too_many", "7"),
        ("unavailable", 503, "unavailable", "5"),
        ("http404", 404, "not_found", None),
        ("denied", 403, "forbidden", None),
        ("suspicious", 400, "bad_request", None),
        ("too-big", 413, "too_large", None),
        ("throttled", 429, "too_many", "3"),
        ("database", 503, "database_unavailable", "5"),
        ("bug", 500, "internal_error", None),
    ],
)
def test_an_error_is_json_with_a_code_and_no_secret(api, kind, status, code, retry_after):
    response = api.get(f"/api/failing/{kind}")
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    assert response.json().keys() == {"detail", "code"}
    assert response.json()["code"] == code
    assert response.get("Retry-After") == retry_after
    assert "secret" not in response.text


def test_an_unforeseen_error_is_logged_with_its_stack(api, caplog):
    api.get("/api/failing/bug")
    [record] = [r for r in caplog.records if r.name == "trinity.error_answers"]
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is ZeroDivisionError


def test_a_wrong_method_is_json_and_names_the_right_ones(api):
    response = api.delete("/api/users/me")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response["Allow"] == "GET, HEAD"


def test_a_host_that_is_not_ours_is_refused_as_json(api):
    response = api.get("/api/users/me", headers={"host": "evil.example"})
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "json" not in api.get("/other", headers={"host": "evil.example"})["Content-Type"]


def broken_middleware(get_response):
    def fail(request):
        raise FAILURES[request.GET["kind"]]

    return fail


FAILURES = {"database": OperationalError("secret"), "bug": ZeroDivisionError("secret")}


@pytest.mark.parametrize(("kind", "status"), [("database", 503), ("bug", 500)])
def test_what_fails_outside_any_view_is_json_too(client, settings, kind, status):
    settings.MIDDLEWARE = [f"{__name__}.broken_middleware"]
    client.raise_request_exception = False
    response = client.get(f"/api/users/me?kind={kind}")
    assert response.status_code == status
    assert response.json().keys() == {"detail", "code"}
    assert "secret" not in response.text


def test_a_database_that_is_away_is_said_also_when_it_holds_the_token(api, monkeypatch):
    def fail(*args):
        raise OperationalError("connection refused")

    monkeypatch.setattr(type(ApiToken.objects), "select_related", fail, raising=False)
    response = api.get("/api/users/me")
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert response["Retry-After"] == "5"
