"""The events of an operation: its log from any number on, its states, its end."""

import asyncio
from uuid import uuid4

import pytest

from agents import events, live
from agents.database import read
from agents.models import Share
from agents.output import logs
from operations import endings
from operations.events import OperationEvents
from operations.models import Operation
from tests.factories import make_operation, make_user, share
from tests.operations.driving import begin, executing
from tests.operations.streams import lines_in, viewing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operation():
    operation = make_operation()
    logs.append(operation.log_id, [(False, "a"), (True, "b"), (False, "c")], {})
    operation.mark_processing()
    return operation


def owner_of(operation):
    return operation.agent.owner


def finish(operation, status=Operation.Status.SUCCEEDED, **fields):
    operation.finish(status, **fields)


async def append(operation, *lines):
    rows = [(False, line) for line in lines]
    appended = await read(logs.append, operation.log_id, rows, {})
    await live.announce_growth(operation.log_id, appended.last_seq)


async def test_the_first_bytes_come_at_once(operation):
    async with viewing(operation.pk, owner_of(operation)) as viewer:
        status, headers = await viewer.status()
        assert status == 200
        assert headers[b"content-type"] == b"text/event-stream"
        assert await viewer.next_text() == "retry: 1000"
        assert await viewer.next_event() == (None, {"type": "status", "status": "processing"})


async def test_each_line_comes_with_its_number_and_the_end_with_the_next(operation):
    await read(finish, operation, exit_code=0)
    async with viewing(operation.pk, owner_of(operation)) as viewer:
        await viewer.status()
        assert await viewer.events() == [
            (1, {"type": "log", "content": "a"}),
            (2, {"type": "log", "content": "b"}),
            (3, {"type": "log", "content": "c"}),
            (None, {"type": "status", "status": "succeeded"}),
            (4, {"type": "end", "status": "succeeded", "exit_code": 0}),
        ]


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_stream_is_resumed_with_the_next_line(operation, after, how):
    await read(finish, operation)
    position = {"query": f"after={after}"} if how == "query" else {"last_event_id": str(after)}
    async with viewing(operation.pk, owner_of(operation), **position) as viewer:
        await viewer.status()
        assert lines_in(await viewer.events()) == [(1, "a"), (2, "b"), (3, "c")][after:]


async def test_the_browsers_header_wins_over_the_address(operation):
    await read(finish, operation)
    position = {"query": "after=0", "last_event_id": "2"}
    async with viewing(operation.pk, owner_of(operation), **position) as viewer:
        await viewer.status()
        assert lines_in(await viewer.events()) == [(3, "c")]


async def test_who_has_seen_the_end_is_told_to_stop(operation):
    await read(finish, operation)
    for query in ("after=4", "after=100"):
        async with viewing(operation.pk, owner_of(operation), query=query) as viewer:
            assert (await viewer.status())[0] == 204
            assert (await viewer.next_message())["body"] == b""


async def test_lines_come_as_they_are_written_and_the_stream_closes_after_the_end(operation):
    async with viewing(operation.pk, owner_of(operation), query="after=3") as viewer:
        await viewer.status()
        assert (await viewer.next_event())[1]["type"] == "status"
        await append(operation, "d")
        assert await viewer.next_event() == (4, {"type": "log", "content": "d"})
        await read(finish, operation, Operation.Status.FAILED, exit_code=3)
        await endings.announce(operation)
        assert (await viewer.events())[-1] == (
            5,
            {"type": "end", "status": "failed", "exit_code": 3},
        )


async def test_a_number_beyond_the_end_waits_for_new_lines(operation):
    async with viewing(operation.pk, owner_of(operation), query="after=4") as viewer:
        await viewer.status()
        assert (await viewer.next_event())[1]["type"] == "status"
        await append(operation, "d")
        await append(operation, "e")
        assert await viewer.next_event() == (5, {"type": "log", "content": "e"})


async def test_a_quiet_stream_says_that_it_lives(operation, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(operation.pk, owner_of(operation), query="after=3") as viewer:
        await viewer.status()
        await viewer.next_event()
        assert await viewer.next_text() == ": keep-alive"
        assert await viewer.next_text() == ": keep-alive"


async def test_who_waits_beyond_the_end_is_told_too_that_it_lives(operation, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(operation.pk, owner_of(operation), query="after=1000000") as viewer:
        await viewer.status()
        await viewer.next_event()

        async def go_on():
            while True:
                await append(operation, "of no interest")
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(go_on())
        assert await viewer.next_text() == ": keep-alive"
        writing.cancel()
        await asyncio.wait([writing])


async def test_a_wake_up_that_is_lost_costs_only_time(operation, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(operation.pk, owner_of(operation), query="after=3") as viewer:
        await viewer.status()
        await viewer.next_event()
        await read(logs.append, operation.log_id, [(False, "d")], {})
        assert await viewer.next_event() == (4, {"type": "log", "content": "d"})


async def test_a_wait_gives_how_far_the_log_has_grown_and_what_else_was_told_last(operation):
    group = live.log_group(operation.log_id)
    async with events.wake_ups([group]) as wait:
        await live.announce_growth(operation.log_id, 1)
        assert await wait(10) == (1, None)
        for number in (1, 2):
            await live.send(group, {"type": "anything.else", "number": number})
        await live.announce_growth(operation.log_id, 2)
        heard = None
        while heard is None or heard.grown_to < 2:
            heard = await wait(10)
        assert heard.message["number"] == 2
        await live.send(group, {"type": "anything.else", "seq": 3})
        assert (await wait(10)).grown_to == 3
        assert await wait(0.01) is None


async def test_a_state_that_is_told_costs_no_query(operation, monkeypatch):
    async with viewing(operation.pk, owner_of(operation), query="after=3") as viewer:
        await viewer.status()
        assert (await viewer.next_event())[1]["status"] == "processing"
        monkeypatch.setattr(events, "read", None)
        await read(finish, operation, Operation.Status.FAILED, exit_code=3)
        await endings.announce(operation, 3)
        assert (await viewer.events())[-1] == (
            4,
            {"type": "end", "status": "failed", "exit_code": 3},
        )


def told(operation, status):
    return {"data": {"id": str(operation.pk), "status": status, "exit_code": None}}


async def test_a_message_that_comes_late_does_not_take_an_end_back(operation):
    found = await read(OperationEvents.find, owner_of(operation), {"operation_id": operation.pk})
    await read(finish, operation, exit_code=0)
    assert await read(found.look) == 3
    found.hear(told(operation, "processing"))
    assert found.is_over


async def test_a_message_about_another_operation_is_passed_over(operation):
    other = await read(make_operation)
    found = await read(OperationEvents.find, owner_of(operation), {"operation_id": operation.pk})
    found.hear(told(other, "succeeded"))
    assert not found.is_over
    found.hear(told(operation, "succeeded"))
    assert found.is_over


async def test_a_share_that_is_withdrawn_ends_the_stream(operation, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    viewer_user = await read(make_user)
    await read(share, operation.agent, viewer_user)
    async with viewing(operation.pk, viewer_user) as viewer:
        await viewer.status()
        await read(Share.objects.all().delete)
        await append(operation, "secret")
        found = await viewer.events()
    assert "end" not in [data["type"] for _, data in found]


async def test_an_operation_of_others_and_one_that_does_not_exist_look_the_same(operation):
    stranger = await read(make_user)
    answers = []
    for operation_id in (operation.pk, uuid4()):
        async with viewing(operation_id, stranger) as viewer:
            status, _ = await viewer.status()
            answers.append((status, (await viewer.next_message())["body"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
async def test_without_credentials_nothing_is_streamed(operation, headers):
    async with viewing(operation.pk, **headers) as viewer:
        status, told = await viewer.status()
        assert status == 401
        assert told[b"www-authenticate"] == b"Bearer"


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 19, "%C2%B2", "1%0A"])
async def test_a_position_that_is_none_is_refused(operation, position):
    async with viewing(operation.pk, owner_of(operation), query=f"after={position}") as viewer:
        status, _ = await viewer.status()
        assert status == 400


async def test_a_viewer_that_leaves_is_not_waited_for(operation):
    async with viewing(operation.pk, owner_of(operation)) as viewer:
        await viewer.status()
        await viewer.next_event()


async def test_a_running_operation_is_seen_from_its_first_line_to_its_end(agent):
    operation = await begin(agent, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    async with viewing(operation.pk, agent.owner) as viewer:
        await viewer.status()
        assert await viewer.next_event() == (None, {"type": "status", "status": "starting"})
        async with executing(agent):
            found = await viewer.events()
    assert lines_in(found) == [(1, "1"), (2, "2"), (3, "3")]
    states = [data["status"] for _, data in found if data["type"] == "status"]
    assert states == ["processing", "succeeded"]
    assert found[-1] == (4, {"type": "end", "status": "succeeded", "exit_code": 0})
