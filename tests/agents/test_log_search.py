"""The newest lines of an agent's log that contain a text."""

import pytest

from agents.output import logs
from tests.factories import client_of, make_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    for number in range(1, 201, 2):
        rows = [(False, f"line {number}"), (True, f"50%_ of {number + 1}")]
        logs.append(agent.log_id, rows, {})
    return agent


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def search(client, q, **options):
    answer = client.get("/api/agents/scribe/logs", {"q": q, **options})
    assert answer.status_code == 200
    return answer.json()


def test_only_lines_with_the_text_come_the_newest_of_them_in_their_order(client):
    told = search(client, "line 1", tail=3)
    assert told["logs"] == "line 195\nline 197\nline 199\n"
    assert (told["next"], told["truncated"]) == (200, True)


def test_all_of_them_is_not_truncated(client):
    told = search(client, "line 2")
    assert told["logs"].splitlines() == [f"line {n}" for n in (21, 23, 25, 27, 29)]
    assert told["truncated"] is False


@pytest.mark.parametrize(("q", "count"), [("%_ of", 100), ("_", 100), ("LINE", 0), ("\\", 0)])
def test_the_text_is_meant_literally(client, q, count):
    assert len(search(client, q, tail=1000)["logs"].splitlines()) == count


def test_a_text_does_not_reach_over_the_end_of_a_line(client):
    assert search(client, "line 1\n50%")["logs"] == ""


def test_nothing_found_still_tells_where_the_log_ends(client):
    assert search(client, "nowhere") == {"logs": "", "next": 200, "truncated": False}


def test_an_empty_text_searches_for_nothing(client):
    assert search(client, "", tail=1)["logs"] == "50%_ of 200\n"


def test_it_looks_back_no_further_than_its_bound_and_says_so(client, monkeypatch):
    monkeypatch.setattr(logs, "SEARCH_BYTES", 200)
    told = search(client, "line", tail=1000)
    assert told["logs"].startswith("line 1")
    assert len(told["logs"].splitlines()) < 20
    assert told["truncated"] is True


def test_what_was_dropped_makes_it_truncated(client, agent):
    logs.append(agent.log_id, [(False, "line 201")], {}, keep_bytes=500)
    assert search(client, "line 201")["truncated"] is True


@pytest.mark.parametrize("q", ["x" * 201, "\0"])
def test_a_text_that_none_can_be_is_refused(client, q):
    answer = client.get("/api/agents/scribe/logs", {"q": q})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "q"]
