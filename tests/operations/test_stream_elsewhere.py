"""Pages of other origins follow an operation when their origin is listed, and only then."""

from uuid import uuid4

import pytest

from agents.database import read
from operations.models import Operation
from tests.factories import make_operation
from tests.operations.streams import viewing
from trinity.identity import issue_ticket

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "https://ours.example"


@pytest.fixture
def operation(settings):
    settings.TRINITY_ALLOWED_ORIGINS = [OURS]
    operation = make_operation()
    operation.finish(Operation.Status.SUCCEEDED)
    return operation


def user_of(operation):
    return operation.agent.owner


async def headers_of(operation_id, user, **options):
    async with viewing(operation_id, user, **options) as viewer:
        return await viewer.status()


@pytest.mark.parametrize(("after", "status"), [("0", 200), ("1", 204), ("x", 400)])
async def test_a_page_of_a_listed_origin_reads_every_answer(operation, after, status):
    # A 204 that it could not read would not stop EventSource.
    options = {"query": f"after={after}", "origin": OURS}
    found, headers = await headers_of(operation.pk, user_of(operation), **options)
    assert found == status
    assert headers[b"access-control-allow-origin"] == OURS.encode()
    assert b"origin" in headers[b"vary"]
    assert b"access-control-allow-credentials" not in headers


async def test_also_that_there_is_no_such_operation_and_that_nobody_is_known(operation):
    for user, operation_id, status in (
        (user_of(operation), uuid4(), 404),
        (None, operation.pk, 401),
    ):
        found, headers = await headers_of(operation_id, user, origin=OURS)
        assert found == status
        assert headers[b"access-control-allow-origin"] == OURS.encode()


@pytest.mark.parametrize("origin", ["https://ours.example.org", "http://ours.example", "null", ""])
async def test_a_page_of_any_other_origin_reads_nothing(operation, origin):
    for after in ("0", "1", "x"):
        options = {"query": f"after={after}", "origin": origin}
        _, headers = await headers_of(operation.pk, user_of(operation), **options)
        assert b"access-control-allow-origin" not in headers


async def test_a_ticket_opens_the_stream_of_a_page_elsewhere_once(operation):
    path = f"/api/v1/operations/{operation.pk}/stream"
    ticket = await read(issue_ticket, user_of(operation), path)
    options = {"query": f"ticket={ticket}", "origin": OURS}
    assert (await headers_of(operation.pk, None, **options))[0] == 200
    assert (await headers_of(operation.pk, None, **options))[0] == 401


def test_a_listed_origin_may_ask_first_whether_it_may_resume(client, operation):
    asked = {
        "origin": OURS,
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,last-event-id",
    }
    path = f"/api/v1/operations/{operation.pk}/stream"
    answer = client.options(path, headers=asked)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (204, OURS)
    allowed = answer["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "last-event-id"} <= set(allowed)
    other = client.options(path, headers=asked | {"origin": "https://other.example"})
    assert other.status_code == 401
    assert "Access-Control-Allow-Origin" not in other
