"""Asking for an operation: checked, recorded, and answered before anything runs."""

import pytest

from operations.models import Operation
from tests.factories import client_of, make_agent, make_running_agent
from trinity.encryption import unseal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def ask(client, **fields):
    return client.post("/api/v1/operations", {"agent": "scribe", "command": ["true"], **fields})


def test_a_request_is_answered_with_the_operations_id(agent, client, containers):
    answer = ask(client, command=["echo", ""], workdir="a/b", timeout_seconds=5)
    assert answer.status_code == 202
    assert set(answer.json()) == {"kind", "id", "created_at"}
    assert answer.json()["kind"] == "OperationCreated"
    operation = Operation.objects.get(pk=answer.json()["id"])
    assert (operation.agent, operation.requester) == (agent, agent.owner)
    assert (operation.command, operation.workdir) == (["echo", ""], "a/b")
    assert (operation.status, operation.timeout_seconds) == ("starting", 5)
    assert not containers.calls


def test_the_environment_is_kept_encrypted(client):
    ask(client, env={"SECRET": "hush hush"})
    kept = bytes(Operation.objects.get().environment)
    assert b"hush" not in kept
    assert unseal(kept) == {"SECRET": "hush hush"}


@pytest.mark.parametrize("status", ["stopped", "starting", "stopping", "error", "missing"])
def test_an_agent_that_does_not_run_runs_nothing(agent, client, status):
    agent.record(status=status)
    answer = ask(client)
    assert (answer.status_code, answer.json()["code"]) == (400, "agent_not_running")
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"command": [""]},
        {"env": {"": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"TRINITY_OUT": "x"}},
        {"workdir": "/etc"},
        {"workdir": "../x"},
        {"workdir": "a/../../x"},
    ],
)
def test_what_no_operation_can_be_is_refused(client, fields):
    answer = ask(client, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_operation")
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"command": "true"}, ["command"]),
        ({"command": []}, ["command"]),
        ({"command": [5]}, ["command", 0]),
        ({"command": None}, ["command"]),
        ({"env": []}, ["env"]),
        ({"env": {"A": 5}}, ["env", "A"]),
        ({"timeout_seconds": 0}, ["timeout_seconds"]),
        ({"timeout_seconds": "5"}, ["timeout_seconds"]),
        ({"timeout_seconds": 7 * 86_400 + 1}, ["timeout_seconds"]),
        ({"workdir": 5}, ["workdir"]),
        ({"agent": 5}, ["agent"]),
    ],
)
def test_a_body_of_another_shape_is_refused(client, fields, where):
    answer = ask(client, **fields)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", *where]


@pytest.mark.parametrize("name", ["agent", "command"])
def test_agent_and_command_must_be_there(client, name):
    body = {"agent": "scribe", "command": ["true"]}
    del body[name]
    answer = client.post("/api/v1/operations", body)
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert (problem["type"], problem["loc"]) == ("missing", ["body", name])


def test_null_is_the_same_as_leaving_out(client):
    assert ask(client, env=None, workdir=None, timeout_seconds=None).status_code == 202


@pytest.mark.parametrize("fields", [{"pool": "p"}])
def test_forms_of_later_versions_are_refused_with_a_word(client, fields):
    answer = ask(client, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_supported")


def test_who_ran_what_is_recorded(client):
    make_agent(name="idle")
    ask(client)
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_name, event.outcome) == ("run", "scribe", "done")
