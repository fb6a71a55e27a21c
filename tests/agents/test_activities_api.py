"""Activities over the API: newest first, of agents that the caller may see."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from agents.models import Activity
from tests.factories import client_of, make_administrator, make_agent, make_user, share

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def make_activity(agent, **fields):
    fields.setdefault("activity_type", "git_sync")
    fields.setdefault("activity_state", "completed")
    return Activity.objects.create(agent=agent, **fields)


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def ids(answer):
    assert answer.status_code == 200, answer.json()
    told = answer.json()
    assert told["count"] == len(told["activities"])
    return [each["id"] for each in told["activities"]]


def test_an_activity_is_told_whole(agent, client):
    parent = make_activity(agent, started_at=NOON - timedelta(hours=1))
    activity = make_activity(
        agent,
        activity_state="failed",
        parent=parent,
        started_at=NOON,
        completed_at=NOON + timedelta(seconds=2),
        duration_ms=2000,
        user=agent.owner,
        related_execution_id="x",
        details={"a": 1},
        error="no",
    )
    told = client.get("/api/agents/scribe/activities").json()
    assert (told["agent_name"], told["count"]) == ("scribe", 2)
    first = told["activities"][0]
    assert first.pop("created_at")
    assert first == {
        "id": str(activity.pk),
        "agent_name": "scribe",
        "activity_type": "git_sync",
        "activity_state": "failed",
        "parent_activity_id": str(parent.pk),
        "started_at": "2030-01-01T12:00:00.000000Z",
        "completed_at": "2030-01-01T12:00:02.000000Z",
        "duration_ms": 2000,
        "user_id": agent.owner.pk,
        "triggered_by": "user",
        "related_execution_id": "x",
        "details": {"a": 1},
        "error": "no",
    }


def test_the_list_of_one_agent_is_filtered_and_bounded(agent, client):
    made = [
        make_activity(agent, activity_type=kind, activity_state=state, started_at=NOON + later)
        for kind, state, later in (
            ("git_sync", "completed", timedelta(0)),
            ("operation", "failed", timedelta(1)),
            ("git_sync", "failed", timedelta(2)),
        )
    ]
    oldest, middle, newest = (str(each.pk) for each in made)
    path = "/api/agents/scribe/activities"
    assert ids(client.get(path)) == [newest, middle, oldest]
    assert ids(client.get(path, {"activity_type": "git_sync"})) == [newest, oldest]
    assert ids(client.get(path, {"activity_state": "failed"})) == [newest, middle]
    assert ids(client.get(path, {"limit": 1})) == [newest]


@pytest.mark.parametrize("path", ["/api/agents/scribe/activities", "/api/activities/timeline"])
def test_a_long_list_goes_on_at_its_link(agent, client, path):
    # All at the same moment, so that only their ids tell them apart.
    made = {str(make_activity(agent, started_at=NOON).pk) for _ in range(5)}
    seen, link = [], f"{path}?limit=2"
    while link:
        answer = client.get(link)
        seen += ids(answer)
        link = answer.get("Link", "").partition(">")[0].removeprefix("<")
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.parametrize(
    "query",
    [{"activity_type": "x"}, {"activity_state": "x"}, {"limit": 0}, {"limit": 1001}],
)
def test_what_no_list_can_be_filtered_by_is_malformed(agent, client, query):
    answer = client.get("/api/agents/scribe/activities", query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(query))]


def test_what_goes_on_now_is_told(agent, client):
    path = "/api/agents/scribe/activity"
    told = client.get(path).json()
    assert (told["status"], told["active_tool"], told["timeline"]) == ("idle", None, [])
    assert told["totals"].pop("since")
    assert told["totals"] == {"count": 0, "completed": 0, "failed": 0, "duration_ms": 0}
    make_activity(agent, duration_ms=5)
    make_activity(agent, activity_state="failed", duration_ms=7)
    make_activity(agent, started_at=NOON.replace(year=2020), duration_ms=1000)
    active = make_activity(
        agent, activity_state="started", activity_type="tool_call", details={"tool": "search"}
    )
    told = client.get(path).json()
    assert (told["status"], told["active_tool"]["name"]) == ("running", "search")
    assert told["timeline"][0]["id"] == str(active.pk)
    assert len(told["timeline"]) == 4
    told["totals"].pop("since")
    assert told["totals"] == {"count": 3, "completed": 1, "failed": 1, "duration_ms": 12}


def test_the_timeline_is_of_all_agents_that_one_sees(agent):
    viewer, other = make_user(), make_agent()
    share(agent, viewer)
    seen, hidden = make_activity(agent), make_activity(other)
    path = "/api/activities/timeline"
    assert ids(client_of(viewer).get(path)) == [str(seen.pk)]
    assert ids(client_of(make_user()).get(path)) == []
    everything = set(ids(client_of(make_administrator()).get(path)))
    assert everything == {str(seen.pk), str(hidden.pk)}
    agent.record(deleting=True)
    assert ids(client_of(viewer).get(path)) == []


def test_the_timeline_is_cut_by_time_type_and_number(agent, client):
    early, late = (
        str(make_activity(agent, activity_type=kind, started_at=at).pk)
        for kind, at in (("operation", NOON), ("git_sync", NOON + timedelta(hours=1)))
    )
    make_activity(agent, activity_type="file_access", started_at=NOON + timedelta(hours=2))

    def of(**query):
        return ids(client.get("/api/activities/timeline", query))

    assert of(activity_types="git_sync, operation") == [late, early]
    # Without an offset it is UTC.
    assert of(end_time="2030-01-01T12:30:00") == [early]
    assert of(start_time="2030-01-01T13:30:00+01:00", end_time="2030-01-01T13:00:00Z") == [late]
    assert of(activity_types="operation,git_sync", limit=1) == [late]


@pytest.mark.parametrize(
    "query", [{"start_time": "noon"}, {"activity_types": "git_sync,x"}, {"limit": "x"}]
)
def test_a_timeline_of_nonsense_is_malformed(client, query):
    answer = client.get("/api/activities/timeline", query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", next(iter(query))]


PATHS = [
    "/api/agents/scribe/activity",
    "/api/agents/scribe/activities",
    "/api/activities/timeline",
]


@pytest.mark.parametrize("path", PATHS)
def test_many_cost_no_more_queries_than_one(agent, path, client):
    def queries():
        with CaptureQueriesContext(connection) as counted:
            assert client.get(path).status_code == 200
        return len(counted)

    make_activity(agent)
    client.get(path)  # The first use of a token is recorded, the next ones are not.
    of_one = queries()
    for _ in range(20):
        make_activity(agent, user=agent.owner)
    assert queries() == of_one


@pytest.mark.parametrize("path", PATHS)
def test_nobody_sees_them_without_signing_in(agent, path):
    assert APIClient().get(path).status_code == 401


@pytest.mark.parametrize("path", PATHS[:2])
def test_a_stranger_sees_no_agent_and_a_viewer_all_of_it(agent, path):
    stranger = client_of(make_user()).get(path)
    assert (stranger.status_code, stranger.json()["detail"]) == (404, "Agent not found")
    viewer = make_user()
    share(agent, viewer)
    assert client_of(viewer).get(path).status_code == 200
