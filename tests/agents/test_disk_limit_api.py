"""How much disk an agent may take: told with its resources, and changed beside them."""

import pytest

from tests.factories import client_of, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

PATH = "/api/agents/scribe/resources"


@pytest.fixture
def agent():
    return make_agent(name="scribe", memory_limit="2g", disk_used_bytes=12345)


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def recorded(agent):
    agent.refresh_from_db()
    return agent.disk_limit


def test_it_is_recorded_and_told(agent, client):
    told = {"disk_limit": "20g", "effective_disk": "20g", "disk_used_bytes": 12345}
    answer = client.put(PATH, {"memory": "2g", "disk": "20g"})
    assert answer.status_code == 200
    assert told.items() <= answer.json().items()
    assert told.items() <= client.get(PATH).json().items()
    assert AuditEvent.objects.get(verb="set_disk_limit").detail == "20g"


def test_null_is_the_templates_own(agent, client):
    client.put(PATH, {"disk": "20g"})
    assert client.put(PATH, {"disk": None}).json()["effective_disk"] == "10g"
    assert recorded(agent) is None


def test_without_it_nothing_is_changed(agent, client):
    client.put(PATH, {"disk": "20g"})
    assert "disk_limit" not in client.put(PATH, {"memory": "4g"}).json()
    assert recorded(agent) == "20g"


def test_an_unknown_value_changes_nothing_at_all(agent, client):
    answer = client.put(PATH, {"memory": "4g", "disk": "3g"})
    detail = "Invalid disk value. Must be one of: 1g, 2g, 5g, 10g, 20g, 50g, 100g"
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": detail, "code": "invalid_limit"},
    )
    assert recorded(agent) is None
    assert agent.memory_limit == "2g"


def test_another_type_is_no_value(client):
    assert client.put(PATH, {"disk": 20}).status_code == 422


def test_where_the_other_limits_are_refused_it_stays(agent, client, containers):
    assert client.put(PATH, {"memory": "3g", "disk": "20g"}).status_code == 400
    assert recorded(agent) is None


def test_only_owners_change_it(agent):
    viewer = make_user()
    share(agent, viewer, role="operator")
    assert client_of(viewer).put(PATH, {"disk": "20g"}).status_code == 403
    assert client_of(make_user()).put(PATH, {"disk": "20g"}).status_code == 404
    assert recorded(agent) is None
