"""Reading and cancelling operations, from recorded state alone."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.output import logs
from operations.models import Operation
from tests.factories import client_of, make_operation, make_running_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_running_agent()


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


@pytest.fixture
def operation(agent):
    operation = make_operation(agent=agent)
    logs.append(operation.log_id, [(False, f"line {n}") for n in range(1, 201)], {})
    return operation


def test_a_status_has_every_field_of_the_contract(client, operation, containers):
    operation.mark_processing()
    operation.finish(Operation.Status.FAILED, error="exited", summary="no", exit_code=3)
    told = client.get(f"/api/v1/operations/{operation.pk}").json()
    result = told["result"]
    assert (told["kind"], told["id"]) == ("OperationStatus", str(operation.pk))
    assert told["status"] == "failed"
    assert told["started_at"] < told["finished_at"]
    assert (result["status"], result["summary"]) == ("error", "no")
    assert (result["exit_code"], result["error"], result["artifacts"]) == (3, "exited", [])
    assert result["logs"] == [f"line {n}" for n in range(101, 201)]
    assert (result["log_count"], result["truncated"]) == (200, False)
    assert result["log_size"] == sum(len(f"line {n}\n") for n in range(1, 201))
    assert result["execution_time"] >= 0
    assert not containers.calls


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("starting", "running"),
        ("processing", "running"),
        ("succeeded", "ok"),
        ("failed", "error"),
        ("canceled", "canceled"),
    ],
)
def test_every_state_has_a_result(client, agent, status, result):
    operation = make_operation(agent=agent, status=status)
    told = client.get(f"/api/v1/operations/{operation.pk}").json()
    assert told["result"]["status"] == result
    assert told["result"]["execution_time"] is None
    assert told["started_at"] is told["finished_at"] is None


@pytest.mark.parametrize("tail", ["0", "1001", "x", "-1"])
def test_a_tail_outside_its_bounds_is_refused(client, operation, tail):
    assert client.get(f"/api/v1/operations/{operation.pk}?tail={tail}").status_code == 422


def test_the_tail_is_as_long_as_asked_for(client, operation):
    told = client.get(f"/api/v1/operations/{operation.pk}?tail=2").json()
    assert told["result"]["logs"] == ["line 199", "line 200"]


def test_the_list_is_newest_first_and_can_be_narrowed(client, agent):
    first = make_operation(agent=agent, status="failed", created_at=timezone.now())
    second = make_operation(agent=agent)
    other = make_operation(requester=agent.owner)

    def listed(query=""):
        return [each["id"] for each in client.get(f"/api/v1/operations{query}").json()]

    assert listed() == [str(each.pk) for each in (other, second, first)]
    assert listed(f"?agent={agent.name}") == [str(second.pk), str(first.pk)]
    assert listed("?status=failed") == [str(first.pk)]
    assert listed("?limit=1") == [str(other.pk)]
    assert client.get("/api/v1/operations?status=none").status_code == 422
    assert client.get("/api/v1/operations?limit=0").status_code == 422


def test_one_operation_and_fifty_cost_the_same_queries(client, agent, containers):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get("/api/v1/operations")
        return len(captured)

    make_operation(agent=agent)
    queries()
    one = queries()
    for _ in range(49):
        make_operation(agent=agent)
    assert queries() == one
    assert not containers.calls


def test_lines_can_be_read_on_from_any_number(client, operation):
    path = f"/api/v1/operations/{operation.pk}/logs"
    told = client.get(f"{path}?after=198&limit=1").json()
    assert told == {"lines": [{"seq": 199, "text": "line 199"}], "next": 199, "truncated": False}
    assert client.get(f"{path}?after=200").json()["lines"] == []
    assert client.get(f"{path}?after=200").json()["next"] == 200
    assert len(client.get(path).json()["lines"]) == 200
    assert client.get(f"{path}?after=-1").status_code == 422


def test_cancelling_what_has_its_place_records_the_wish(client, operation):
    Operation.objects.update(admitted_at=timezone.now())
    assert client.post(f"/api/v1/operations/{operation.pk}/cancel").status_code == 204
    operation.refresh_from_db()
    assert operation.cancel_requested_at
    assert operation.status == "starting"


def test_the_first_wish_to_cancel_is_the_one_that_counts(client, operation):
    Operation.objects.update(admitted_at=timezone.now())
    wishes = set()
    for _ in range(2):
        assert client.post(f"/api/v1/operations/{operation.pk}/cancel").status_code == 204
        operation.refresh_from_db()
        wishes.add(operation.cancel_requested_at)
    assert len(wishes) == 1


def test_what_has_finished_cannot_be_cancelled(client, operation):
    operation.finish(Operation.Status.SUCCEEDED, exit_code=0)
    answer = client.post(f"/api/v1/operations/{operation.pk}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "finished")
