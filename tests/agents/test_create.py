"""Creating an agent: it runs when the answer comes, or nothing of it is left."""

import pytest

from agents import containers as contract
from agents import sockets
from agents.models import Agent, Host, Log
from agents.runtime import ContainerStatus
from tests import fakes
from tests.factories import client_of, make_agent, make_user
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return client_of(make_user())


def create(client, **fields):
    return client.post("/api/agents", fields)


def refusal(answer):
    body = answer.json()
    return answer.status_code, body["code"], body["detail"]


def nothing_is_left(containers):
    directories = list((containers.folder / "sockets").glob("*"))
    seen = containers.containers(instance=Host.objects.local().instance)
    return not (Agent.objects.exists() or Log.objects.exists() or directories or seen)


def test_a_new_agent_runs_when_the_answer_comes(client, containers):
    answer = create(client, name="scribe", description="writes", tags=["a"])
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "running"
    assert (told["name"], told["description"], told["tags"]) == ("scribe", "writes", ["a"])
    assert containers.inspect(told["container_id"]).status is ContainerStatus.RUNNING
    agent = Agent.objects.get(name="scribe")
    sockets.connect(contract.run_directory(agent)).close()
    assert agent.started_at
    assert agent.verb == ""
    assert client.get("/api/agents/scribe").json()["status"] == "running"


def test_limits_of_its_own_are_recorded_and_those_of_the_template_are_not(client):
    told = create(client, name="a", resources={"memory": "1g", "cpu": "1"}).json()
    assert (told["memory_limit"], told["cpu_limit"]) == ("1g", "1")
    told = create(client, name="b", resources={"memory": None}).json()
    assert (told["memory_limit"], told["cpu_limit"]) == (None, None)
    assert told["resources"] == {"memory": "4g", "cpu": "2"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("My Agent", "my-agent"),
        ("__x__", "x__"),
        ("a///b", "a-b"),
        ("Ünïcode", "n-code"),
        ("trailing-", "trailing"),
        ("x" * 80, "x" * 63),
    ],
)
def test_a_name_is_cleaned(client, given, kept):
    assert create(client, name=given).json()["name"] == kept


@pytest.mark.parametrize("name", ["", " ", "---", "_.-", "äöü", "../..", "☃"])
def test_a_name_of_which_nothing_remains_is_refused(client, name):
    text = "Invalid agent name - must contain at least one alphanumeric character"
    assert refusal(create(client, name=name)) == (400, "invalid_name", text)


def test_a_word_of_the_api_is_no_name(client):
    assert refusal(create(client, name="Context-Stats"))[:2] == (400, "invalid_name")


def test_a_name_that_is_taken_is_refused_also_when_others_cannot_see_it(client, containers):
    make_agent(name="scribe")
    assert refusal(create(client, name="Scribe")) == (409, "name_taken", "Agent already exists")
    assert not containers.calls["create"]


def test_the_name_of_an_agent_that_is_being_deleted_is_free(client):
    make_agent(name="scribe", deleting=True)
    assert create(client, name="scribe").status_code == 200


MEMORY = "Invalid memory value. Must be one of: 1g, 2g, 4g, 8g, 16g, 32g, 64g"
CPU = "Invalid CPU value. Must be one of: 1, 2, 4, 8, 16"


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ({"memory": "3g"}, MEMORY),
        ({"memory": "4G"}, MEMORY),
        ({"memory": ""}, MEMORY),
        ({"memory": "-1g"}, MEMORY),
        ({"cpu": "3"}, CPU),
        ({"cpu": "0"}, CPU),
        ({"cpu": " 2"}, CPU),
    ],
)
def test_a_limit_that_is_none_is_refused(client, containers, resources, text):
    answer = create(client, name="scribe", resources=resources)
    assert refusal(answer) == (400, "invalid_limit", text)
    assert nothing_is_left(containers)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"template": "local:other"}, "unknown_template"),
        ({"template": ""}, "unknown_template"),
        ({"base_image": "debian:latest"}, "image_not_allowed"),
        ({"base_image": ""}, "image_not_allowed"),
    ],
)
def test_an_unknown_template_or_image_is_refused(client, containers, fields, code):
    assert refusal(create(client, name="scribe", **fields))[:2] == (400, code)
    assert nothing_is_left(containers)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, ["body", "name"]),
        ({"name": 5}, ["body", "name"]),
        ({"name": None}, ["body", "name"]),
        ({"name": "a", "resources": "4g"}, ["body", "resources"]),
        ({"name": "a", "resources": {"memory": 4}}, ["body", "resources", "memory"]),
        ({"name": "a", "tags": "x"}, ["body", "tags"]),
        ({"name": "a", "type": "t" * 64}, ["body", "type"]),
        ({"name": "a", "description": "d" * 4001}, ["body", "description"]),
    ],
)
def test_a_body_of_another_shape_is_refused(client, fields, where):
    answer = create(client, **fields)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == where
    assert set(answer.json()["detail"][0]) == {"type", "loc", "msg", "input"}


def test_without_an_engine_the_answer_says_so_and_nothing_is_left(client, containers):
    containers.away = True
    answer = create(client, name="scribe")
    assert refusal(answer)[:2] == (503, "engine_unavailable")
    assert int(answer["Retry-After"]) > 0
    containers.away = False
    assert nothing_is_left(containers)
    assert create(client, name="scribe").status_code == 200


def test_an_engine_that_is_recorded_as_away_is_not_even_asked(client, containers):
    Host.objects.local().record_away("stopped")
    assert refusal(create(client, name="scribe"))[:2] == (503, "engine_unavailable")
    assert not containers.calls


def test_an_agent_that_does_not_come_up_leaves_nothing(client, containers, monkeypatch, tmp_path):
    monkeypatch.setattr(fakes, "SERVER", tmp_path)
    answer = create(client, name="scribe")
    assert refusal(answer)[:2] == (503, "start_failed")
    assert "exit code 1" in answer.json()["detail"]
    assert nothing_is_left(containers)


def test_an_image_that_is_still_to_be_built_leaves_the_agent_starting(client, containers):
    containers.images.clear()
    told = create(client, name="scribe").json()
    assert (told["status"], told["status_reason"]) == ("starting", "the image is being built")
    assert Agent.objects.get().verb == ""


def test_who_created_what_is_recorded_also_when_it_failed(client, containers):
    create(client, name="scribe")
    containers.away = True
    create(client, name="painter")
    painter, scribe = AuditEvent.objects.filter(verb="create")
    assert (scribe.object_name, scribe.outcome) == ("scribe", "done")
    assert (painter.object_name, painter.outcome) == ("painter", "failed")
