"""Cancel against exit, timeout against exit, two cancels: one end, told once, recorded once."""

import asyncio
from contextlib import asynccontextmanager, suppress
from threading import Event

import pytest

from agents.database import READERS, Writer, read
from agents.errors import AgentUnavailable
from agents.models import Activity
from agents.wire import AgentServer
from operations import requests
from operations.errors import Finished
from operations.executions import Executions
from operations.models import Operation
from operations.requests import NewOperation
from tests.operations.driving import ENDLESS, executing, finished, until
from tests.operations.sockets import page_of
from trinity.audit import SYSTEM
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

# Of each race; who comes first is another every time.
RUNNERS = 6
TERMINAL = {"succeeded", "failed", "canceled"}
UNTIL_TOLD = ["sh", "-c", "until [ -e stop ]; do :; done; exit 3"]


async def begin(agent, *command, **fields):
    new = NewOperation(command=list(command), **fields)
    return [
        await read(requests.request_operation, agent, SYSTEM, new) for _number in range(RUNNERS)
    ]


async def cancel(operation):
    """Tell whether it was not too late."""
    with suppress(Finished):
        await read(requests.cancel, operation, SYSTEM)
        return True
    return False


async def works_of(containers, operations):
    """The directories in which they run."""

    def all_of_them():
        found = [
            work
            for operation in operations
            for work in containers.folder.glob(f"**/operations/{operation.pk}/work")
        ]
        begun = Operation.objects.filter(status="processing").count()
        return found if len(found) == begun == len(operations) else None

    return await until(all_of_them)


async def end_of_race(page, executions, operations):
    """Wait for the ends; each is told exactly once, and is there to stay."""
    for operation in operations:
        await finished(operation)
    await until(lambda: not executions._running)
    ends = [(operation.pk, operation.status, operation.finished_at) for operation in operations]
    frames = [frame["data"] for frame in await page.settled()]
    told = [(data["id"], data["status"]) for data in frames if data.get("status") in TERMINAL]
    assert sorted(told) == sorted((str(pk), status) for pk, status, _ in ends)
    for operation in operations:
        assert not await cancel(operation)
        await read(operation.refresh_from_db)
    assert ends == [(each.pk, each.status, each.finished_at) for each in operations]


async def watch(page, operations):
    for operation in operations:
        await page.subscribe(f"operation:{operation.pk}")


def audited(operation):
    told = AuditEvent.objects.filter(verb="cancel", object_name=str(operation.pk))
    return sorted(told.values_list("outcome", flat=True))


def expected(*were_in_time):
    # And the one that comes after the end.
    return sorted(["failed", *("done" if each else "failed" for each in were_in_time)])


def activities_ended():
    return Activity.objects.filter(activity_type="operation", completed_at__isnull=False).count()


async def test_cancel_against_exit(agent, containers):
    operations = await begin(agent, *UNTIL_TOLD)
    async with page_of(agent.owner) as page, executing(agent) as executions:
        works = await works_of(containers, operations)
        await watch(page, operations)
        cancels = [cancel(operation) for operation in operations]
        stops = [asyncio.to_thread((work / "stop").touch) for work in works]
        were_in_time = (await asyncio.gather(*cancels, *stops))[:RUNNERS]
        executions.wake()
        await end_of_race(page, executions, operations)
    for operation, was_in_time in zip(operations, were_in_time, strict=True):
        possible = {("failed", "exited")} | ({("canceled", "")} if was_in_time else set())
        assert (operation.status, operation.error) in possible
        assert await read(audited, operation) == expected(was_in_time)
    assert await read(activities_ended) == RUNNERS


async def test_timeout_against_exit(agent):
    operations = await begin(agent, "sh", "-c", "sleep 0.99; exit 3", timeout_seconds=1)
    async with page_of(agent.owner) as page, executing(agent) as executions:
        await watch(page, operations)
        await end_of_race(page, executions, operations)
    for operation in operations:
        outcome = (operation.status, operation.error)
        assert outcome in {("failed", "exited"), ("failed", "timeout")}
        assert operation.exit_code == 3 or operation.error == "timeout"
    assert await read(activities_ended) == RUNNERS


async def test_cancel_against_timeout(agent):
    operations = await begin(agent, "sleep", "60", timeout_seconds=1)
    async with page_of(agent.owner) as page, executing(agent) as executions:
        await watch(page, operations)
        await until(lambda: Operation.objects.filter(status="processing").count() == RUNNERS)
        await asyncio.sleep(0.95)
        were_in_time = await asyncio.gather(*map(cancel, operations))
        executions.wake()
        await end_of_race(page, executions, operations)
    for operation, was_in_time in zip(operations, were_in_time, strict=True):
        assert (operation.status, operation.error) in {("canceled", ""), ("failed", "timeout")}
        assert await read(audited, operation) == expected(was_in_time)


@pytest.mark.parametrize("begins", [True, False])
async def test_cancels_against_each_other_and_against_the_begin(agent, begins):
    operations = await begin(agent, "sleep", "60")
    async with page_of(agent.owner) as page:
        await watch(page, operations)
        cancels = [cancel(operation) for operation in operations for _ in range(3)]
        if begins:
            async with executing(agent) as executions:
                were_in_time = await asyncio.gather(*cancels)
                executions.wake()
                await end_of_race(page, executions, operations)
        else:
            were_in_time = await asyncio.gather(*cancels)
            async with executing(agent) as executions:
                await end_of_race(page, executions, operations)
    for number, operation in enumerate(operations):
        assert operation.status == "canceled"
        of_it = were_in_time[number * 3 : number * 3 + 3]
        assert any(of_it)
        assert await read(audited, operation) == expected(*of_it)
    assert await read(activities_ended) == RUNNERS


async def test_an_end_is_told_once_though_the_agent_stops_right_behind_it(agent, monkeypatch):
    async def stops(*_of_forget):
        await read(agent.record, status="stopped", desired="stopped")
        raise AgentUnavailable("It stops before its server has forgotten the operation")

    monkeypatch.setattr(AgentServer, "forget", stops)
    operations = await begin(agent, "true")
    async with page_of(agent.owner) as page:
        await watch(page, operations)
        async with executing(agent) as executions:
            await end_of_race(page, executions, operations)
    assert {operation.status for operation in operations} == {"succeeded"}


@asynccontextmanager
async def looking_when_told(agent):
    """Executions that look at what there is to do only when the test has them."""
    writer = Writer()
    executions = Executions(agent.host_id, 1, writer)
    try:
        yield executions
    finally:
        await executions.close()
        await asyncio.to_thread(writer.close)


@asynccontextmanager
async def slow_database():
    """What is read comes only afterwards."""
    gate = Event()
    readers = [asyncio.create_task(read(gate.wait)) for _ in range(READERS)]
    await asyncio.sleep(0)
    yield
    gate.set()
    await asyncio.gather(*readers)


async def test_a_cancel_reaches_who_drives_it_after_one_who_broke_off_meanwhile(agent):
    [operation, *_others] = await begin(agent, *ENDLESS)
    await read(lambda: Operation.objects.exclude(pk=operation.pk).delete())
    async with looking_when_told(agent) as executions:
        await executions._look(is_woken=True)
        await until(lambda: Operation.objects.filter(status="processing").exists())
        assert await cancel(operation)
        async with slow_database():
            looking = asyncio.create_task(executions._look(is_woken=False))
            [driving] = executions._tasks
            driving.cancel()
            await asyncio.wait([driving])
        await looking
        async with asyncio.timeout(20):
            while not await read(Operation.objects.filter(status="canceled").exists):
                await executions._look(is_woken=False)
                await asyncio.sleep(0.1)
