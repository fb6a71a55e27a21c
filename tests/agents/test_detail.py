"""One agent, for its owner and for those it is shared with; and changing what it is called."""

import pytest

from agents.models import Share
from tests.factories import client_of, make_agent, make_user, share

pytestmark = pytest.mark.django_db


def rights(client, agent):
    told = client.get(f"/api/agents/{agent.name}").json()
    return told["can_share"], told["can_delete"], told["can_operate"]


def test_the_detail_tells_what_the_caller_may_do():
    agent, operator, viewer = make_agent(), make_user(), make_user()
    share(agent, operator, Share.Role.OPERATOR)
    share(agent, viewer)
    assert rights(client_of(agent.owner), agent) == (True, True, True)
    assert rights(client_of(operator), agent) == (False, False, True)
    assert rights(client_of(viewer), agent) == (False, False, False)


def test_a_system_agent_cannot_be_deleted_by_anybody():
    agent = make_agent(is_system=True)
    assert rights(client_of(agent.owner), agent) == (True, False, True)


def test_only_the_owner_sees_with_whom_it_is_shared():
    agent, viewer = make_agent(), make_user()
    share(agent, viewer)
    [told] = client_of(agent.owner).get(f"/api/agents/{agent.name}").json()["shares"]
    assert told["shared_with_email"] == viewer.email
    assert told["shared_by_email"] == agent.owner.email
    assert told["role"] == "viewer"
    assert client_of(viewer).get(f"/api/agents/{agent.name}").json()["shares"] == []


def test_an_owner_changes_description_type_and_tags():
    agent = make_agent()
    changes = {"description": "new", "type": "writer", "tags": ["x", "y"]}
    answer = client_of(agent.owner).patch(f"/api/agents/{agent.name}", changes)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in changes} == changes
    agent.refresh_from_db()
    assert (agent.description, agent.type, agent.tags) == ("new", "writer", ["x", "y"])


def test_what_is_not_named_stays_as_it_is():
    agent = make_agent(description="old", tags=["x"])
    client = client_of(agent.owner)
    told = client.patch(f"/api/agents/{agent.name}", {"name": "other", "type": "t"}).json()
    assert (told["name"], told["description"], told["tags"]) == (agent.name, "old", ["x"])
    assert client.patch(f"/api/agents/{agent.name}").status_code == 200


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"description": 5}, ["body", "description"]),
        ({"tags": "x"}, ["body", "tags"]),
        ({"tags": [5]}, ["body", "tags", 0]),
        ({"type": None}, ["body", "type"]),
    ],
)
def test_a_field_of_another_type_is_refused(changes, where):
    agent = make_agent()
    answer = client_of(agent.owner).patch(f"/api/agents/{agent.name}", changes)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == where
