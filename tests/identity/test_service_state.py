import math
from datetime import UTC, datetime

import pytest
from django.db import OperationalError

from trinity.models import User

AWAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def away_since():
    return AWAY


@pytest.fixture
def engine_away(settings):
    settings.TRINITY_ENGINE_AWAY_SINCE = f"{__name__}.away_since"


def test_health_needs_no_credentials_and_minds_no_bad_ones(client, db):
    response = client.get("/health", headers={"authorization": "Bearer stale"})
    assert response.status_code == 200
    assert response.json().keys() == {"status", "timestamp"}
    assert response.json()["status"] == "healthy"


def test_health_names_the_engine_that_is_away(client, db, engine_away):
    response = client.get("/health")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    body = response.json()
    assert (body["status"], body["failing"], body["code"]) == (
        "unhealthy",
        "engine",
        "engine_unavailable",
    )


def test_health_names_the_database_that_is_away(client, monkeypatch):
    def fail(*args):
        raise OperationalError

    monkeypatch.setattr(type(User.objects.all()), "exists", fail)
    response = client.get("/health")
    assert (response.status_code, response.json()["failing"]) == (503, "database")


def test_answers_say_since_when_the_engine_is_away(api, engine_away):
    response = api.get("/api/users/me")
    assert response["Trinity-Engine"] == "away; since=2026-01-02T03:04:05.000000Z"


def test_answers_say_nothing_of_an_engine_that_is_here(api):
    assert "Trinity-Engine" not in api.get("/api/users/me")


def test_the_engine_is_not_asked_after_with_each_answer(api, engine_away, monkeypatch):
    monkeypatch.setattr("trinity.api.ENGINE_STATE_SECONDS", 3600)
    monkeypatch.setattr("trinity.api._engine_state", (-math.inf, None))
    told = [api.get("/api/users/me")["Trinity-Engine"]]
    monkeypatch.setattr(f"{__name__}.away_since", lambda: None)
    told.append(api.get("/api/users/me")["Trinity-Engine"])
    assert told[0] == told[1]


def test_mode_and_person(client, api, administrator):
    assert client.get("/api/auth/mode").json() == {
        "dev_mode_enabled": False,
        "auth0_configured": False,
        "email_auth_enabled": False,
        "allowed_domain": None,
        "setup_completed": True,
    }
    assert api.get("/api/users/me").json() == {
        "username": "ada",
        "email": "ada@example.org",
        "name": "ada",
        "picture": None,
        "role": "user",
    }
