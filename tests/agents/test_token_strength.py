"""No token makes, sees or ends one that may more than itself."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import (
    bearer_client,
    client_of,
    make_administrator,
    make_agent,
    make_token,
    make_user,
)
from trinity.api import json_time
from trinity.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def agents(owner):
    return [make_agent(name=name, owner=owner) for name in ("painter", "scribe")]


def make(client, **body):
    return client.post("/api/tokens", {"name": "made", **body})


@pytest.mark.parametrize("scopes", [["read"], ["operate"], ["metrics"], ["read", "metrics"]])
def test_who_may_not_manage_makes_and_ends_no_token(owner, scopes):
    client = client_of(owner, scopes=scopes)
    for answer in (make(client), client.delete(f"/api/tokens/{ApiToken.objects.get().pk}")):
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert ApiToken.objects.count() == 1


def test_without_a_word_the_limits_are_handed_on(owner, agents):
    end = timezone.now() + timedelta(hours=1)
    client = client_of(owner, scopes=["manage"], agents=agents[:1], expires_at=end)
    told = make(client).json()
    assert (told["scopes"], told["agents"]) == (["manage"], ["painter"])
    assert told["expires_at"] == json_time(end)


def test_an_unlimited_token_makes_unlimited_ones(owner):
    told = make(client_of(owner)).json()
    assert (told["scopes"], told["agents"], told["expires_at"]) == (None, None, None)
    assert bearer_client(told["token"]).post("/api/agents", {"name": "new"}).status_code == 200


def test_a_limited_token_makes_weaker_ones(owner, agents):
    client = client_of(owner, scopes=["manage"], agents=agents)
    told = make(client, scopes=["operate", "read"], agents=["scribe"]).json()
    assert (told["scopes"], told["agents"]) == (["read", "operate"], ["scribe"])


@pytest.mark.parametrize("body", [{"scopes": ["metrics"]}, {"agents": ["scribe"]}, {"later": 2}])
def test_a_limited_token_makes_no_stronger_one(agents, body):
    root = make_administrator()
    end = timezone.now() + timedelta(hours=1)
    if "later" in body:
        body = {"expires_at": json_time(end + timedelta(seconds=1))}
    client = client_of(root, scopes=["manage"], agents=agents[:1], expires_at=end)
    answer = make(client, **body)
    assert answer.status_code in {403, 404}
    assert answer.json()["code"] in {"insufficient_scope", "agent_not_found"}
    assert ApiToken.objects.count() == 1


def test_only_an_administrator_lets_metrics_be_read(owner):
    assert make(client_of(owner), scopes=["metrics"]).status_code == 403
    told = make(client_of(make_administrator()), scopes=["metrics"])
    assert (told.status_code, told.json()["scopes"]) == (201, ["metrics"])


def test_a_limited_token_sees_and_ends_only_what_it_could_have_made(owner, agents):
    strong, _ = make_token(owner, name="strong")
    other, _ = make_token(owner, name="other", scopes=["read"], agents=agents[1:])
    weak, _ = make_token(owner, name="weak", scopes=["read"], agents=agents[:1])
    client = client_of(owner, scopes=["manage"], agents=agents[:1])
    assert [each["name"] for each in client.get("/api/tokens").json()] == ["test", "weak"]
    for token in (strong, other):
        assert client.delete(f"/api/tokens/{token.pk}").status_code == 404
    assert client.delete(f"/api/tokens/{weak.pk}").status_code == 204
