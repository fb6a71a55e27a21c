"""The last lines of an agent's log, as text."""

import pytest

from agents.output import logs
from tests.factories import client_of, make_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    for first in range(1, 300, 3):
        lines = [(False, f"line {number}") for number in range(first, first + 3)]
        logs.append(agent.log_id, lines, {})
    return agent


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def tail(client, query=""):
    return client.get(f"/api/agents/scribe/logs{query}").json()


def test_a_hundred_lines_are_the_default(client):
    told = tail(client)
    assert told["logs"].splitlines() == [f"line {number}" for number in range(201, 301)]
    assert told["logs"].endswith("\n")
    assert (told["next"], told["truncated"]) == (300, True)


@pytest.mark.parametrize("name", ["tail", "lines"])
def test_as_many_lines_as_asked_for_come(client, name):
    assert tail(client, f"?{name}=2")["logs"] == "line 299\nline 300\n"
    assert tail(client, f"?{name}=1")["logs"] == "line 300\n"


def test_the_whole_log_is_not_truncated(client):
    told = tail(client, "?tail=300")
    assert len(told["logs"].splitlines()) == 300
    assert told["truncated"] is False


@pytest.mark.parametrize("name", ["tail", "lines"])
@pytest.mark.parametrize("value", ["0", "10001", "-1", "x", "1.5", ""])
def test_a_number_outside_its_bounds_is_refused(client, name, value):
    answer = client.get(f"/api/agents/scribe/logs?{name}={value}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", name]


def test_an_empty_log_is_empty(client, agent):
    other = make_agent(name="painter", owner=agent.owner)
    answer = client.get(f"/api/agents/{other.name}/logs")
    assert answer.json() == {"logs": "", "next": 0, "truncated": False}


def test_the_engine_is_not_asked(client, containers):
    tail(client)
    assert not containers.calls
