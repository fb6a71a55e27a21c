"""The owner shares an agent by e-mail address, sees with whom, and withdraws it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Share
from tests.factories import client_of, make_administrator, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

EMAIL = "ada@example.org"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def owner(agent):
    return client_of(agent.owner)


def add(client, email=EMAIL, **fields):
    return client.post("/api/agents/scribe/share", {"email": email, **fields})


def listed(client):
    return client.get("/api/agents/scribe/shares").json()


def remove(client, email=EMAIL):
    return client.delete(f"/api/agents/scribe/share/{email}")


def trail():
    events = AuditEvent.objects.order_by("pk")
    return [tuple(row) for row in events.values_list("verb", "object_name", "outcome", "detail")]


def test_sharing_answers_with_the_share(agent, owner):
    answer = add(owner)
    made = Share.objects.get()
    assert answer.status_code == 200
    assert answer.json() == {
        "id": made.pk,
        "agent_name": "scribe",
        "shared_with_email": EMAIL,
        "shared_by_id": agent.owner.pk,
        "shared_by_email": agent.owner.email,
        "role": "viewer",
        "created_at": f"{made.created_at:%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    assert listed(owner) == [answer.json()]


def test_the_newest_share_is_listed_first(owner):
    for name in ("a", "b", "c"):
        add(owner, f"{name}@example.org")
    assert [told["shared_with_email"][0] for told in listed(owner)] == ["c", "b", "a"]


def test_as_many_queries_list_one_share_as_many(agent, owner):
    add(owner)
    with CaptureQueriesContext(connection) as for_one:
        assert len(listed(owner)) == 1
    for number in range(19):
        Share.objects.create(agent=agent, email=f"{number}@example.org", shared_by=make_user())
    with CaptureQueriesContext(connection) as for_twenty:
        assert len(listed(owner)) == 20
    assert len(for_one) == len(for_twenty)


def test_an_address_counts_in_lower_case(owner):
    assert add(owner, "Ada@Example.ORG").json()["shared_with_email"] == EMAIL
    assert add(owner, "ADA@example.org").status_code == 409
    answer = remove(owner, "aDa@example.org")
    assert answer.json() == {"message": f"Sharing removed for {EMAIL}"}


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_share_gives_the_rights_of_its_role(agent, owner, role):
    user = make_user(email=EMAIL)
    assert add(owner, role=role).json()["role"] == role
    assert Agent.objects.visible_to(user).contains(agent)
    assert Agent.objects.operable_by(user).contains(agent) == (role == "operator")


def test_a_share_takes_effect_when_the_account_appears(owner):
    assert add(owner).status_code == 200
    assert (
        client_of(make_user(email="Ada@example.org")).get("/api/agents/scribe").json()["is_shared"]
    )


def test_an_administrator_shares_what_others_own(agent):
    administrator = make_administrator()
    told = add(client_of(administrator)).json()
    assert told["shared_by_email"] == administrator.email


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "email"),
        ({"email": None}, "email"),
        ({"email": 5}, "email"),
        ({"email": ""}, "email"),
        ({"email": "ada"}, "email"),
        ({"email": f" {EMAIL}"}, "email"),
        # Longer in lower case than what a column takes.
        ({"email": "a@" + ".".join(["\u0130" * 40] * 6) + ".org"}, "email"),
        ({"email": EMAIL, "role": "owner"}, "role"),
        ({"email": EMAIL, "role": None}, "role"),
        ({"email": EMAIL, "expires_at": "soon"}, "expires_at"),
        ({"email": EMAIL, "expires_at": 5}, "expires_at"),
    ],
)
def test_what_has_not_the_shape_of_a_share_is_refused(owner, body, where):
    answer = owner.post("/api/agents/scribe/share", body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", where]
    assert listed(owner) == []


def test_nobody_shares_with_himself(agent, owner):
    answer = add(owner, agent.owner.email.upper())
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "Cannot share an agent with yourself",
        "code": "shared_with_oneself",
    }


def test_an_agent_is_shared_with_an_address_once(owner):
    add(owner)
    answer = add(owner, role="operator")
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": f"Agent is already shared with {EMAIL}",
        "code": "already_shared",
    }
    assert [told["role"] for told in listed(owner)] == ["viewer"]


def test_a_share_may_end_in_the_future_but_not_in_the_past(owner):
    now = timezone.now()
    answer = add(owner, expires_at=(now - timedelta(seconds=1)).isoformat())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_expiry")
    assert add(owner, expires_at=(now + timedelta(hours=1)).isoformat()).status_code == 200
    assert Share.objects.get().expires_at == now + timedelta(hours=1)


def test_an_expired_share_counts_as_none_and_may_be_replaced(agent, owner):
    over = timezone.now() - timedelta(seconds=1)
    expired = share(agent, make_user(email=EMAIL), expires_at=over)
    assert listed(owner) == []
    assert remove(owner).status_code == 404
    assert add(owner, role="operator").status_code == 200
    made = Share.objects.get()
    assert (made.role, made.expires_at) == ("operator", None)
    assert made.pk != expired.pk


def test_a_share_that_is_withdrawn_gives_no_access_any_more(agent, owner):
    user = make_user(email=EMAIL)
    add(owner)
    assert remove(owner).status_code == 200
    assert client_of(user).get("/api/agents/scribe").status_code == 404
    assert listed(owner) == []


def test_what_is_not_shared_cannot_be_withdrawn(owner):
    share(make_agent(name="painter"), make_user(email=EMAIL))
    answer = remove(owner)
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"No sharing found for {EMAIL}", "code": "not_shared"}
    assert Share.objects.count() == 1


@pytest.mark.parametrize("email", ["a/b@example.org", "a+b@example.org", "a%2Fb@example.org"])
def test_whatever_an_address_may_hold_can_be_withdrawn(owner, email):
    assert add(owner, email.replace("%2F", "/")).status_code == 200
    assert remove(owner, email).status_code == 200


def test_sharing_is_recorded_whatever_its_outcome(owner):
    add(owner)
    add(owner)
    remove(owner)
    remove(owner)
    assert [row[:3] for row in trail()] == [
        ("share", "scribe", "done"),
        ("share", "scribe", "failed"),
        ("unshare", "scribe", "done"),
        ("unshare", "scribe", "failed"),
    ]
    assert trail()[1][3] == f"Agent is already shared with {EMAIL}"
    assert trail()[3][3] == f"No sharing found for {EMAIL}"
