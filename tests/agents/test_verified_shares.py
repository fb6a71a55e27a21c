"""A share is for who has the verified address, from the moment that he has it."""

import pytest
from django.utils import timezone

from agents.models import Agent, Share
from agents.topics import resolve
from tests.factories import client_of, make_agent, make_user, share

pytestmark = pytest.mark.django_db

EMAIL = "ada@example.org"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


def verify(user):
    user.email_verified_at = timezone.now()
    user.save()


def test_an_unverified_account_has_nothing_of_what_is_shared_with_its_address(agent):
    user = make_user(email=EMAIL, email_verified_at=None)
    share(agent, user, Share.Role.OPERATOR)
    assert not Agent.objects.visible_to(user).exists()
    assert client_of(user).get("/api/agents/scribe").status_code == 404
    assert client_of(user).get("/api/agents").json() == []
    assert resolve(user, "agent:scribe") is None


def test_a_share_from_before_the_account_counts_once_the_address_is_verified(agent):
    owner = client_of(agent.owner)
    assert owner.post("/api/agents/scribe/share", {"email": EMAIL}).status_code == 200
    user = make_user(email=EMAIL, email_verified_at=None)
    client = client_of(user)
    assert client.get("/api/agents/scribe").status_code == 404
    verify(user)
    told = client.get("/api/agents/scribe").json()
    assert (told["is_shared"], told["is_owner"]) == (True, False)


def test_who_takes_the_address_of_another_gets_nothing_of_his(agent):
    share(agent, make_user(email="old@example.org"))
    thief = make_user()
    User = type(thief)
    User.objects.filter(email="old@example.org").delete()
    thief.email = "old@example.org"
    thief.save()
    assert client_of(thief).get("/api/agents/scribe").status_code == 404


def test_what_one_owns_needs_no_verified_address(agent):
    owner = make_user(email_verified_at=None)
    make_agent(name="own", owner=owner)
    assert client_of(owner).get("/api/agents/own").json()["is_owner"]
