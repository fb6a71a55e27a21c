"""The gate that schedules will obey."""

import pytest
from rest_framework.test import APIClient

from tests.factories import client_of, make_administrator, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

PATH = "/api/agents/scribe/autonomy"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


def put(user, body):
    answer = client_of(user).put(PATH, body)
    return answer.status_code, answer.json()


def test_the_gate_is_told_and_there_are_no_schedules(agent):
    told = client_of(agent.owner).get(PATH).json()
    assert "runs no schedules yet" in told.pop("message")
    assert told == {
        "agent_name": "scribe",
        "autonomy_enabled": False,
        "total_schedules": 0,
        "enabled_schedules": 0,
        "status": "stopped",
    }


def test_the_owner_opens_and_shuts_it(agent):
    for enabled in (True, True, False):
        status, told = put(agent.owner, {"enabled": enabled})
        assert (status, told["autonomy_enabled"]) == (200, enabled)
        shown = client_of(agent.owner).get("/api/agents/scribe").json()
        assert shown["autonomy_enabled"] is enabled
    verbs = AuditEvent.objects.filter(object_name="scribe").values_list("verb", flat=True)
    assert sorted(verbs) == ["disable_autonomy", "enable_autonomy", "enable_autonomy"]


@pytest.mark.parametrize("body", [{}, {"enabled": "yes"}, {"enabled": 1}, {"enabled": None}])
def test_anything_but_true_or_false_is_malformed(agent, body):
    assert put(agent.owner, body)[0] == 422


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_owners_move_it_and_all_who_see_the_agent_see_it(agent, role):
    person = make_user()
    share(agent, person, role)
    status, told = put(person, {"enabled": True})
    assert (status, told["code"]) == (403, "may_not_own")
    assert client_of(person).get(PATH).status_code == 200


def test_a_stranger_sees_no_agent_and_nobody_gets_in_unsigned(agent):
    assert put(make_user(), {"enabled": True})[0] == 404
    assert client_of(make_user()).get(PATH).json()["detail"] == "Agent not found"
    assert APIClient().get(PATH).status_code == APIClient().put(PATH).status_code == 401


def test_a_system_agent_has_none_for_anybody(agent):
    agent.record(is_system=True, autonomy_enabled=True)
    for user in (agent.owner, make_administrator()):
        status, told = put(user, {"enabled": False})
        assert (status, told["code"]) == (403, "system_agent")
        assert client_of(user).get(PATH).status_code == 403
    agent.refresh_from_db()
    assert agent.autonomy_enabled
