"""Who may see, operate and own an agent: one rule for every endpoint."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from agents import access
from agents.errors import AgentNotFound, MayNotOperate, MayNotOwn
from agents.models import Agent, Share
from tests.factories import make_administrator, make_agent, make_user, share

pytestmark = pytest.mark.django_db

NOTHING = set()
SEES = {"visible_to"}
OPERATES = SEES | {"operable_by"}
OWNS = OPERATES | {"owned_by"}


def rights_of(user, agent):
    return {
        name
        for name in ("visible_to", "operable_by", "owned_by")
        if getattr(Agent.objects, name)(user).contains(agent)
    }


def shared_until(moment, role=Share.Role.OPERATOR):
    agent, user = make_agent(), make_user()
    share(agent, user, role, expires_at=moment)
    return rights_of(user, agent)


def test_an_owner_has_every_right():
    agent = make_agent()
    assert rights_of(agent.owner, agent) == OWNS


def test_an_administrator_has_every_right():
    assert rights_of(make_administrator(), make_agent()) == OWNS


def test_a_viewer_sees_and_no_more():
    agent, user = make_agent(), make_user()
    share(agent, user)
    assert rights_of(user, agent) == SEES


def test_an_operator_operates_and_does_not_own():
    agent, user = make_agent(), make_user()
    share(agent, user, Share.Role.OPERATOR)
    assert rights_of(user, agent) == OPERATES


def test_a_share_counts_until_it_expires():
    assert shared_until(timezone.now() + timedelta(minutes=1)) == OPERATES
    assert shared_until(timezone.now() - timedelta(seconds=1)) == NOTHING


def test_a_share_reaches_an_address_that_has_no_account_yet():
    agent = make_agent()
    Share.objects.create(agent=agent, email="Later@Example.org")
    assert rights_of(make_user(email="later@example.ORG"), agent) == SEES


def test_a_share_of_one_agent_opens_no_other():
    agent, other, user = make_agent(), make_agent(), make_user()
    share(agent, user, Share.Role.OPERATOR)
    assert rights_of(user, other) == NOTHING


def test_a_stranger_has_no_right():
    assert rights_of(make_user(), make_agent()) == NOTHING


def test_nobody_has_no_right():
    assert rights_of(AnonymousUser(), make_agent()) == NOTHING


@pytest.mark.parametrize("make", [make_user, make_administrator])
def test_a_disabled_user_has_no_right(make):
    user = make(is_active=False)
    agent = make_agent(owner=user)
    share(agent, user, Share.Role.OPERATOR)
    assert rights_of(user, agent) == NOTHING


def test_an_agent_that_is_being_deleted_is_nobodys():
    agent = make_agent(deleting=True)
    assert rights_of(agent.owner, agent) == rights_of(make_administrator(), agent) == NOTHING


def test_an_agent_with_many_shares_is_found_once():
    agent = make_agent()
    for _ in range(3):
        share(agent, make_user())
    assert Agent.objects.visible_to(agent.owner).count() == 1


def test_each_door_refuses_in_its_own_way():
    agent, viewer, operator = make_agent(), make_user(), make_user()
    share(agent, viewer)
    share(agent, operator, Share.Role.OPERATOR)
    with pytest.raises(AgentNotFound):
        access.visible_agent(make_user(), agent.name)
    with pytest.raises(MayNotOperate):
        access.operable_agent(viewer, agent.name)
    with pytest.raises(MayNotOwn):
        access.owned_agent(operator, agent.name)
    for stranger_door in (access.operable_agent, access.owned_agent):
        with pytest.raises(AgentNotFound):
            stranger_door(make_user(), agent.name)
