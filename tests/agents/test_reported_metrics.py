"""Figures that an agent reports in its ``metrics.json``: shown as far as they make sense."""

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from agents import containers as contract
from agents.figures.reported_metrics import Unusable, parse
from agents.models import Agent
from tests.factories import client_of, make_agent, make_running_agent, make_user, share

DEFINITION = {"name": "words", "type": "counter", "label": "Words written"}
PATH = "/api/agents/scribe/metrics"


def parsed(found, defaults=()):
    raw = found if isinstance(found, bytes) else json.dumps(found).encode()
    return parse(raw, list(defaults))


def test_definitions_values_and_their_time_are_taken():
    told = parsed(
        {
            "definitions": [DEFINITION, {"name": "mood"}],
            "values": {"words": 12, "mood": "good", "ratio": 0.5, "on": True, "none": None},
            "last_updated": "2030-01-01T13:00:00+01:00",
            "other": "is passed over",
        }
    )
    assert told.definitions == [DEFINITION, {"name": "mood", "type": "gauge", "label": "mood"}]
    assert told.values == {"words": 12, "mood": "good", "ratio": 0.5, "on": True, "none": None}
    assert told.last_updated == "2030-01-01T12:00:00.000000Z"


def test_the_templates_definitions_stand_in_and_a_time_may_be_missing():
    told = parsed({"values": {}, "last_updated": None}, [DEFINITION])
    assert (told.definitions, told.last_updated) == ([DEFINITION], None)
    assert parsed({"values": {}, "definitions": []}, [DEFINITION]).definitions == []
    assert parsed({"values": {}, "last_updated": "2030-01-01T12:00:00"}).last_updated.endswith("Z")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 60_000, "not valid JSON"),
        (b'{"values": {"a": ' + b"9" * 5000 + b"}}", "not valid JSON"),
        ([], "must hold an object"),
        ({}, "values must be an object"),
        ({"values": []}, "values must be an object"),
        ({"values": {str(n): n for n in range(201)}}, "at most 200"),
        ({"values": {"": 1}}, "a name in values"),
        ({"values": {"a\0": 1}}, "a name in values"),
        ({"values": {"a": [1]}}, "the value of a must be"),
        ({"values": {"a": 2**63}}, "the value of a must be"),
        (b'{"values": {"a": NaN}}', "the value of a must be"),
        (b'{"values": {"a": 1e999}}', "the value of a must be"),
        ({"values": {"a": "x" * 501}}, "the value of a must be"),
        ({"values": {"a": "\ud800"}}, "the value of a must be"),
        ({"values": {}, "definitions": {}}, "definitions must be a list"),
        ({"values": {}, "definitions": [1]}, "definitions[0] must be an object"),
        ({"values": {}, "definitions": [{}]}, "definitions[0].name"),
        ({"values": {}, "definitions": [{"name": "a", "type": "pie"}]}, "definitions[0].type"),
        ({"values": {}, "definitions": [{"name": "a", "type": []}]}, "definitions[0].type"),
        ({"values": {}, "last_updated": "today"}, "last_updated"),
        ({"values": {}, "last_updated": 5}, "last_updated"),
        ({"values": {}, "last_updated": "0001-01-01T00:00:00+14:00"}, "last_updated"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(found, reason):
    with pytest.raises(Unusable) as told:
        parsed(found)
    assert reason in str(told.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(["values", "definitions", "last_updated"])


@given(st.binary() | st.dictionaries(KEYS, JSON).map(lambda found: json.dumps(found).encode()))
def test_nothing_an_agent_writes_does_more_than_be_refused(raw):
    # Any other error fails the test.
    with suppress(Unusable):
        json.dumps(parse(raw, []).values, allow_nan=False).encode()


# Over the API, from the workspace of a real agent server


@pytest.fixture
def client():
    client = client_of(make_user())
    assert client.post("/api/agents", {"name": "scribe"}).status_code == 200
    return client


@pytest.fixture
def workspace(client, containers):
    agent = Agent.objects.select_related("host").get(name="scribe")
    return containers.folder / contract.spec_of(agent).workspace_volume


def told_of(client):
    answer = client.get(PATH)
    assert answer.status_code == 200, answer.json()
    return answer.json()


@pytest.mark.django_db
def test_what_the_file_says_is_told(client, workspace):
    (workspace / "metrics.json").write_text(
        json.dumps({"definitions": [DEFINITION], "values": {"words": 12}})
    )
    assert told_of(client) == {
        "agent_name": "scribe",
        "status": "running",
        "has_metrics": True,
        "definitions": [DEFINITION],
        "values": {"words": 12},
        "last_updated": None,
    }


@pytest.mark.django_db
def test_without_a_file_there_are_none(client):
    assert told_of(client) == {
        "agent_name": "scribe",
        "status": "running",
        "has_metrics": False,
        "message": "The agent has no metrics.json in its workspace",
    }


def large(place):
    with place.open("wb") as file:
        file.truncate(65 * 1024)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: place.write_text("{"), "cannot be used: it is not valid JSON"),
        (large, "cannot be used: it is larger than 65536 bytes"),
        (lambda place: place.symlink_to("/etc/passwd"), "links are not followed"),
        (os.mkfifo, "is neither a file nor a directory"),
        (lambda place: place.mkdir(), "is a directory"),
    ],
)
def test_a_file_that_is_none_is_told_with_the_reason(client, workspace, make, message):
    make(workspace / "metrics.json")
    told = told_of(client)
    assert not told["has_metrics"]
    assert message in told["message"]


@pytest.mark.django_db
def test_a_stopped_agent_has_none(client):
    client.post("/api/agents/scribe/stop", {"timeout_seconds": 1})
    told = told_of(client)
    assert (told["status"], told["has_metrics"]) == ("stopped", False)
    assert "not running" in told["message"]


@pytest.mark.django_db
def test_a_server_that_does_not_answer_is_told_apart_from_a_missing_file(containers):
    agent = make_running_agent(name="scribe")
    answer = client_of(agent.owner).get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")
    assert answer["Retry-After"]


@pytest.mark.django_db
def test_who_sees_the_agent_sees_them(containers):
    agent, viewer = make_agent(name="scribe"), make_user()
    share(agent, viewer)
    assert client_of(viewer).get(PATH).status_code == 200
    stranger = client_of(make_user()).get(PATH)
    assert (stranger.status_code, stranger.json()["detail"]) == (404, "Agent not found")
    assert APIClient().get(PATH).status_code == 401
