"""What an agent's server says of its repository is bounded and checked: it is not trusted."""

import json

import pytest

from agents import containers
from agents.models import GitConfig
from tests.agents.peers import greeting, listening, read_line
from tests.factories import client_of, make_running_agent

pytestmark = pytest.mark.django_db(transaction=True)

SHA = "a" * 40
COMMIT = {
    "sha": SHA,
    "short_sha": "aaaaaaa",
    "message": "m",
    "author": "a",
    "date": "2026-01-01T00:00:00+02:00",
}
STATUS = {
    "branch": "b",
    "last_commit": COMMIT,
    "changes": [{"status": "M", "path": "a"}],
    "changes_count": 1,
    "ahead": 0,
    "behind": 0,
    "problem": "",
}


@pytest.fixture
def agent():
    agent = make_running_agent(name="scribe")
    GitConfig.objects.create_for(agent, "https://git.example.org/a")
    return agent


@pytest.fixture
def says(agent):
    """Ask for something while the agent's server answers it with these fields."""
    directory, key = containers.run_directory(agent), containers.server_key(agent)
    directory.mkdir(parents=True)
    client = client_of(agent.owner)

    def ask(what, answer, method="get"):
        def peer(connection):
            connection.sendall(greeting(read_line(connection)["challenge"], key=key))
            read_line(connection)
            read_line(connection)
            connection.sendall(json.dumps({"ok": True, **answer}).encode() + b"\n")

        with listening(directory / "agent.sock", peer):
            response = getattr(client, method)(f"/api/agents/scribe/git/{what}")
        (directory / "agent.sock").unlink()
        return response.status_code, response.json()

    return ask


def test_a_whole_answer_is_told(says):
    status, told = says("status", STATUS)
    assert (status, told["sync_status"], told["ahead"]) == (200, "pending_sync", 0)
    assert told["last_commit"]["date"] == "2025-12-31T22:00:00.000000Z"


@pytest.mark.parametrize(
    "change",
    [
        {"ahead": None},
        {"ahead": -1},
        {"ahead": "1"},
        {"ahead": True},
        {"behind": 2**40},
        {"behind": "0"},
        {"changes": None},
        {"changes": {}},
        {"changes_count": None},
        {"last_commit": 5},
        {"last_commit": {}},
        {"last_commit": {**COMMIT, "sha": "x" * 40}},
        {"last_commit": {**COMMIT, "sha": None}},
    ],
)
def test_an_answer_that_is_none_is_no_answer(says, change):
    status, body = says("status", STATUS | change)
    assert (status, body["code"]) == (503, "agent_unavailable")


@pytest.mark.parametrize(
    "change",
    [
        {"changes": ["x"]},
        {"changes": [{"path": 5}]},
        {"branch": 5},
        {"branch": None},
        {"problem": ["x"]},
        {"last_commit": {**COMMIT, "date": "soon", "author": None, "message": {"a": 1}}},
        {"last_commit": {**COMMIT, "date": "0001-01-01T00:00:00+14:00"}},
        {"changes": [{"status": "\ud800", "path": "\0\ud800"}]},
    ],
)
def test_odd_text_in_it_is_told_as_text(says, change):
    status, told = says("status", STATUS | change)
    assert status == 200
    json.dumps(told).encode()


def test_it_cannot_claim_to_be_up_to_date_with_changes(says):
    assert says("status", STATUS | {"changes_count": 0})[1]["sync_status"] == "pending_sync"


def test_long_ones_are_cut(says):
    change = {"status": "M" * 10, "path": "p" * 5000}
    _, told = says("status", STATUS | {"changes": [change] * 100, "problem": "x" * 1000})
    assert told["changes"][0] == {"status": "MMMM", "path": "p" * 4096}
    assert len(told["message"]) == 300


def test_a_log_has_no_more_commits_than_were_asked_for(says):
    assert says("log?limit=2", {"commits": [COMMIT] * 5})[1]["count"] == 2


@pytest.mark.parametrize("answer", [{"commits": None}, {"commits": [5]}, {}])
def test_a_log_that_is_none_is_no_answer(says, answer):
    assert says("log", answer)[0] == 503


def test_a_sync_that_names_no_commit_records_none(says, agent):
    told = {"commit_sha": "'; drop", "files_changed": 1, "branch": "b", "message": "m"}
    status, body = says("sync", told, "post")
    assert (status, body["commit_sha"]) == (200, None)
    assert GitConfig.objects.get().last_commit_sha == ""


@pytest.mark.parametrize(
    ("refusal", "status"),
    [("busy", 409), ("git_diverged", 400), ("git_failed", 400), ("made_up", 503), ("", 503)],
)
def test_its_refusals_are_those_of_the_contract(says, refusal, status):
    answer = {"ok": False, "code": refusal, "detail": "x" * 1000}
    told_status, body = says("pull", answer, "post")
    assert told_status == status
    assert len(body["detail"]) <= 300
