"""Whoever drives an operation may die at any moment: the next one goes on where its log ends."""

import pytest

from agents.containers import run_directory
from agents.database import read
from agents.errors import AgentUnavailable, LeaseLost
from agents.wire import AgentServer
from operations import execution
from operations.models import Operation
from tests.operations.driving import ENDLESS, begin, executing, finished, lines_of, until

pytestmark = pytest.mark.django_db(transaction=True)

COUNTING = (
    "for i in $(seq 1 300); do printf 'line '; printf \"$i\\n\"; "
    "echo error $i >&2; sleep 0.005; done"
)


async def test_every_line_comes_exactly_once_however_often_the_driver_is_replaced(agent):
    operation = await begin(agent, "sh", "-c", COUNTING)

    def has(lines):
        return lambda: Operation.objects.get(pk=operation.pk).log.last_seq > lines

    for epoch, lines in enumerate((20, 150, 300), 1):
        async with executing(agent, epoch=epoch):
            await until(has(lines))
    async with executing(agent, epoch=9):
        await finished(operation)
    assert operation.status == "succeeded"
    lines = await lines_of(operation)
    assert [line for line in lines if line.startswith("line")] == [
        f"line {number}" for number in range(1, 301)
    ]
    assert [line for line in lines if line.startswith("error")] == [
        f"error {number}" for number in range(1, 301)
    ]
    assert len(lines) == 600


async def test_an_operation_that_ended_while_nobody_drove_is_stored_whole(agent, containers):
    operation = await begin(agent, "sh", "-c", "echo a; sleep 0.3; echo b; exit 4")
    async with executing(agent, epoch=1):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
    spool = next(containers.folder.glob(f"**/operations/{operation.pk}"))
    await until((spool / "end.json").exists)
    async with executing(agent, epoch=2):
        await finished(operation)
    assert (operation.status, operation.exit_code) == ("failed", 4)
    assert await lines_of(operation) == ["a", "b"]


async def test_a_driver_that_lost_its_lease_writes_nothing(agent):
    def guard():
        raise LeaseLost

    operation = await begin(agent, *ENDLESS)
    async with executing(agent, guard=guard) as executions:
        await until(lambda: not executions._running)
        await read(operation.refresh_from_db)
        assert operation.status == "starting"
    assert await lines_of(operation) == []


async def test_the_agent_server_refuses_a_driver_of_an_earlier_epoch(agent):
    first = await begin(agent, "true")
    async with executing(agent, epoch=5):
        await finished(first)
    second = await begin(agent, "true")
    async with executing(agent, epoch=4) as executions:
        executions.wake()
        await until(lambda: not executions._running)
        await read(second.refresh_from_db)
        assert second.status == "starting"
    async with executing(agent, epoch=6):
        assert (await finished(second)).status == "succeeded"


async def test_an_agent_server_that_is_away_for_a_moment_is_asked_again(
    agent, containers, monkeypatch
):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    socket = run_directory(agent) / "agent.sock"
    hidden = socket.with_name("hidden")
    socket.rename(hidden)
    operation = await begin(agent, "echo", "here")
    async with executing(agent):
        connects = containers.calls["connect"]
        await until(lambda: containers.calls["connect"] > connects + 3)
        hidden.rename(socket)
        assert (await finished(operation)).status == "succeeded"
    assert await lines_of(operation) == ["here"]


async def test_an_agent_server_that_stays_silent_has_lost_the_operation(agent, monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.5)
    (run_directory(agent) / "agent.sock").unlink()
    operation = await begin(agent, "true")
    async with executing(agent):
        await finished(operation)
    assert (operation.status, operation.error) == ("failed", "lost")


async def test_what_was_stored_is_forgotten_by_the_agent_server(agent, containers):
    operation = await begin(agent, "true")
    async with executing(agent):
        await finished(operation)
        spools = f"**/operations/{operation.pk}"
        await until(lambda: not list(containers.folder.glob(spools)))


async def test_a_log_is_cut_at_its_cap_and_the_operation_runs_on(agent, monkeypatch):
    monkeypatch.setattr(execution, "LOG_BYTES", 1000)
    operation = await begin(agent, "sh", "-c", "seq 1 1000; exit 7")
    async with executing(agent):
        await finished(operation)
    assert (operation.status, operation.exit_code) == ("failed", 7)
    *kept, marker = await lines_of(operation)
    assert marker == "[... logs truncated at 10MB limit ...]"
    assert len("".join(f"{line}\n" for line in kept)) in {1000, 1001}


async def test_the_next_operation_finds_a_connection_that_was_made_ahead(agent, containers):
    first = await begin(agent, "true")
    async with executing(agent) as executions:
        await finished(first)
        await until(lambda: not executions._running)
        made = containers.calls["connect"]
        second = await begin(agent, "true")
        executions.wake()
        await finished(second)
        await until(lambda: not executions._running)
        # For its artifacts, to forget it, and ahead for the one that comes next.
        assert containers.calls["connect"] == made + 3


async def test_one_is_done_though_no_connection_can_be_made_ahead(agent, monkeypatch):
    async def fails(*_of_a_spare):
        raise AgentUnavailable("It takes no more")

    monkeypatch.setattr(AgentServer, "make_spare", fails)
    operation = await begin(agent, "true")
    async with executing(agent) as executions:
        await finished(operation)
        await until(lambda: not executions._running, seconds=10)
