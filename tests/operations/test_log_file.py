"""The log of an operation: searched as a whole, and as a file."""

import pytest

from agents.database import read
from agents.output import log_streams, logs
from tests.factories import client_of, make_operation, make_user
from tests.streams import viewing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operation():
    operation = make_operation(requester=make_user())
    for start in range(0, 3000, 100):
        lines = [(False, f"line {number}") for number in range(start + 1, start + 101)]
        logs.append(operation.log_id, lines, {})
    return operation


def found(operation, **query):
    answer = client_of(operation.requester).get(f"/api/v1/operations/{operation}/logs", query)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    return [(line["seq"], line["text"]) for line in body["lines"]], body["next"]


def test_a_search_finds_lines_of_the_whole_log_with_their_numbers(operation):
    lines, following = found(operation, q="line 29")
    assert lines[0] == (29, "line 29")
    assert lines[-1] == (2999, "line 2999")
    assert len(lines) == 1 + 10 + 100
    assert following == 3000


def test_a_search_goes_on_behind_a_number(operation):
    first, following = found(operation, q="line 29", limit=3)
    assert [seq for seq, _ in first] == [29, 290, 291]
    second, _ = found(operation, q="line 29", limit=2, after=following)
    assert [seq for seq, _ in second] == [292, 293]


def test_a_search_without_a_match_has_looked_at_all(operation):
    assert found(operation, q="absent") == ([], 3000)


def test_a_search_text_is_bounded(operation):
    path = f"/api/v1/operations/{operation}/logs"
    assert client_of(operation.requester).get(path, {"q": "x" * 201}).status_code == 422


def viewer_of(operation, user):
    return viewing(f"/api/v1/operations/{operation}/logs/download", user)


async def test_the_file_has_all_lines_and_is_sent_in_parts(operation, monkeypatch):
    monkeypatch.setattr(log_streams, "DOWNLOAD_CHUNKS", 4)
    async with viewer_of(operation, operation.requester) as viewer:
        status, headers = await viewer.status()
        parts = await viewer.rest()
    assert status == 200
    assert headers[b"content-disposition"] == f'attachment; filename="{operation}.log"'.encode()
    assert b"".join(parts).decode() == "".join(f"line {number}\n" for number in range(1, 3001))
    assert len(parts) == 8


async def test_a_stranger_gets_no_file(operation):
    async with viewer_of(operation, await read(make_user)) as viewer:
        status, _ = await viewer.status()
    assert status == 404
