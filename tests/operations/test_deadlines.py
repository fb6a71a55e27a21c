"""A program that stops its agent server ends all the same, in time and with a true outcome."""

import asyncio
import os
import signal
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from agents.database import read
from agents.errors import AgentUnavailable, LeaseLost
from agents.models import Agent, Host
from agents.runtime import ContainerStatus, get_runtime
from agents.wire import AgentServer
from operations import deadlines, execution, executions, isolated, places, requests
from operations.models import Operation
from tests.operations.driving import ENDLESS, begin, executing, finished, lines_of, until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

ISOLATED = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
FORMS = pytest.mark.parametrize("form", [{}, ISOLATED], ids=["in the agent", "isolated"])
FREEZE_WHEN_TOLD = ["sh", "-c", "trap 'kill -STOP $PPID' TERM; echo begun; sleep 1000 & wait; wait"]
WAIT = 'echo begun; until [ -e "$TRINITY_WORKSPACE/go" ]; do sleep 0.02; done'
UNTIL_TOLD = ["sh", "-c", WAIT]
FREEZE = ["sh", "-c", f"{WAIT}; kill -STOP $PPID; sleep 1000"]
RESTART = "Restart the agent"


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(executions, "FORGET_SECONDS", 0.2)
    monkeypatch.setattr(isolated, "READY_SECONDS", 5)
    monkeypatch.setattr(places, "LISTEN_SECONDS", 0.5)
    monkeypatch.setattr(places, "SIGN_SECONDS", 0.3)
    for name in ("TIME_UP_SECONDS", "TOLD_SECONDS", "UNTOLD_SECONDS", "LISTEN_SECONDS"):
        monkeypatch.setattr(deadlines, name, 0.5)


@pytest.fixture
def agent(agent):
    Host.objects.update(lease_epoch=1)
    agent.host.refresh_from_db()
    return agent


def outcome_of(operation):
    return operation.status, operation.error


def has_begun(operation):
    return lambda: Operation.objects.get(pk=operation.pk).log.last_seq


async def cancel(operation, driver):
    await read(requests.cancel, operation, SYSTEM)
    driver.wake()


def left(containers, operation):
    found = [each.spec.name for each in containers._containers.values()]
    # Not glob, which fails when a directory goes while it looks.
    found += [name for _, folders, _ in os.walk(containers.folder) for name in folders]
    return [name for name in found if str(operation.pk) in name]


def server_of(agent, operation):
    """The process of the agent server that runs it."""
    name = f"operation-{operation.pk}" if operation.is_isolated else agent.container_id
    return get_runtime().inspect(name).pid


async def freeze(agent, containers, operation):
    """Let its program stop the server, as soon as its line was stored."""
    await until(has_begun(operation))
    pid = server_of(agent, operation)
    go(containers, operation)
    await until(lambda: state_of(pid) == "T")


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def frozen(pid):
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


@FORMS
async def test_a_time_limit_holds_without_the_agent_server(agent, containers, form):
    operation = await begin(agent, *FREEZE, timeout_seconds=1, **form)
    async with executing(agent):
        await freeze(agent, containers, operation)
        await finished(operation)
        assert outcome_of(operation) == ("failed", "timeout")
        assert operation.summary.startswith("Ran longer than 1 s. ")
        assert (RESTART in operation.summary) is not bool(form)
        assert await lines_of(operation) == ["begun"]
        if form:
            await until(lambda: left(containers, operation) == [])


@FORMS
@pytest.mark.parametrize("command", [FREEZE, FREEZE_WHEN_TOLD], ids=["before", "when told"])
async def test_a_cancel_holds_without_the_agent_server(agent, containers, form, command):
    operation = await begin(agent, *command, **form)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        if command is FREEZE:
            await freeze(agent, containers, operation)
        await cancel(operation, driver)
        async with asyncio.timeout(5):
            await finished(operation)
        assert outcome_of(operation) == ("canceled", "")
        assert (RESTART in operation.summary) is not bool(form)
        assert await lines_of(operation) == ["begun"]
        if form:
            await until(lambda: left(containers, operation) == [])


async def test_what_an_agent_has_left_of_it_is_killed_when_its_server_answers_again(
    agent, containers
):
    operation = await begin(agent, *FREEZE, timeout_seconds=1)
    async with executing(agent):
        await freeze(agent, containers, operation)
        await finished(operation)
        assert left(containers, operation)
        os.kill(server_of(agent, operation), signal.SIGCONT)
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("failed", "timeout")


@FORMS
async def test_what_had_ended_by_itself_is_told_as_it_was(agent, form, containers):
    """Its end is there to be read, and nobody has read it yet."""
    operation = await begin(agent, *UNTIL_TOLD, timeout_seconds=1, **form)
    async with executing(agent):
        await until(has_begun(operation))
    go(containers, operation)
    await until(lambda: list(containers.folder.glob(f"**/operations/{operation.pk}/end.json")))
    await until(lambda: is_over(operation))
    async with executing(agent):
        await finished(operation)
    assert outcome_of(operation) == ("succeeded", "")


def is_over(operation):
    """Tell whether its deadline has passed, whoever keeps it."""
    allowed = timedelta(seconds=operation.timeout_seconds + deadlines.TIME_UP_SECONDS)
    return timezone.now() > Operation.objects.get(pk=operation.pk).started_at + allowed


def go(containers, operation):
    spool = next(containers.folder.glob(f"**/operations/{operation.pk}")).parents[1].name
    (containers.folder / spool.replace("-spool", "-workspace") / "go").touch()


async def test_an_agent_server_that_is_only_late_is_heard(agent, containers, monkeypatch):
    monkeypatch.setattr(deadlines, "TIME_UP_SECONDS", -9.0)
    operation = await begin(agent, *UNTIL_TOLD, timeout_seconds=9)
    async with executing(agent):
        await until(has_begun(operation))
        before = containers.calls["connect"]
        # It was asked for a sign, and heard anew, more than once.
        await until(lambda: containers.calls["connect"] > before + 4)
        go(containers, operation)
        await finished(operation)
    assert outcome_of(operation) == ("succeeded", "")


async def test_one_that_answers_and_never_tells_the_end_is_not_heard_for_ever(agent, monkeypatch):
    monkeypatch.setattr(places, "HEAR_SECONDS", 1.0)
    monkeypatch.setattr(AgentServer, "signal", does_nothing)
    operation = await begin(agent, *ENDLESS)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        await cancel(operation, driver)
        await finished(operation)
    assert outcome_of(operation) == ("canceled", "")


async def does_nothing(*_of_signal, **_options):
    """The answer of a server that is not what it was."""


async def test_a_container_that_gives_nothing_more_is_not_heard_for_ever(
    agent, containers, monkeypatch
):
    monkeypatch.setattr(isolated, "REVIVAL_SECONDS", 0.5)
    operation = await begin(agent, *FREEZE, timeout_seconds=1, **ISOLATED)
    async with executing(agent):
        await freeze(agent, containers, operation)
        monkeypatch.setattr(containers, "connect", nobody)
        await finished(operation)
        monkeypatch.undo()
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("failed", "timeout")


async def test_a_container_that_does_not_come_up_again_changes_nothing(agent, containers):
    operation = await begin(agent, *FREEZE, timeout_seconds=1, **ISOLATED)
    async with executing(agent):
        await freeze(agent, containers, operation)
        containers.refuses_starts = True
        await finished(operation)
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("failed", "timeout")


def nobody(_container_id, _run_directory):
    raise AgentUnavailable("The agent server does not answer")


# Who drives it may be another, or not the one any more


@FORMS
async def test_the_next_supervisor_keeps_the_same_deadline(agent, containers, form):
    operation = await begin(agent, *FREEZE, timeout_seconds=2, **form)
    async with executing(agent):
        await freeze(agent, containers, operation)
    await read(operation.refresh_from_db)
    async with executing(agent):
        async with asyncio.timeout(7):
            await finished(operation)
    assert outcome_of(operation) == ("failed", "timeout")


async def test_one_whose_supervisor_died_behind_the_stop_is_canceled_all_the_same(agent):
    operation = await begin(agent, *ENDLESS, **ISOLATED)
    async with executing(agent):
        await until(has_begun(operation))
    await read(requests.cancel, operation, SYSTEM)
    os.kill(server_of(agent, operation), signal.SIGKILL)
    name = f"operation-{operation.pk}"
    await until(lambda: get_runtime().inspect(name).status is ContainerStatus.EXITED)
    async with executing(agent):
        await finished(operation)
    assert outcome_of(operation) == ("canceled", "")


@FORMS
async def test_a_supervisor_without_the_lease_ends_nothing(agent, containers, form):
    operation = await begin(agent, *FREEZE, timeout_seconds=1, **form)
    lost = []
    async with executing(agent, guard=lambda: lost and _lose()) as stale:
        await freeze(agent, containers, operation)
        await read(Host.objects.update, lease_epoch=2)
        lost.append(True)
        await until(lambda: not stale._running)
    await read(operation.refresh_from_db)
    assert operation.status == "processing"
    name = f"operation-{operation.pk}" if form else agent.container_id
    assert get_runtime().inspect(name).status is ContainerStatus.RUNNING


def _lose():
    raise LeaseLost


# Where it is not known how it went


async def test_time_is_not_up_while_the_host_is_away(agent, containers):
    operation = await begin(agent, *UNTIL_TOLD, timeout_seconds=1)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        with frozen(server_of(agent, operation)):
            await read(agent.host.record_away, "no route to host")
            await goes_on_behind_its_deadline(operation, driver)
        await read(Host.objects.update, away_since=None)
        await finished(operation)
    assert outcome_of(operation) == ("failed", "timeout")
    # It is the server's own word.
    assert operation.summary == "ran longer than 1 s"


async def test_time_is_not_up_while_the_engine_of_an_isolated_one_is_away(agent, containers):
    operation = await begin(agent, *FREEZE, timeout_seconds=1, **ISOLATED)
    async with executing(agent) as driver:
        await freeze(agent, containers, operation)
        containers.away = True
        await goes_on_behind_its_deadline(operation, driver)
        containers.away = False
        await finished(operation)
    assert outcome_of(operation) == ("failed", "timeout")


async def test_time_is_not_up_while_the_agent_is_paused(agent, containers):
    operation = await begin(agent, *UNTIL_TOLD, timeout_seconds=1)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        containers.pause(agent.container_id)
        await read(agent.record, status_reason=Agent.PAUSED)
        await goes_on_behind_its_deadline(operation, driver)
        containers.resume(agent.container_id)
        await read(agent.record, status_reason="")
        await finished(operation)
    assert outcome_of(operation) == ("failed", "timeout")
    assert operation.summary == "ran longer than 1 s"


async def goes_on_behind_its_deadline(operation, driver):
    await until(lambda: is_over(operation))
    # For as long as its server would be heard, and asked for a sign.
    await asyncio.sleep(1)
    await read(operation.refresh_from_db)
    assert operation.status == "processing"
    assert driver._running


async def test_an_agent_that_is_paused_behind_a_cancel_does_not_hold_it_up(agent, containers):
    operation = await begin(agent, *ENDLESS)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        containers.pause(agent.container_id)
        await cancel(operation, driver)
        await read(agent.record, status_reason=Agent.PAUSED)
        await finished(operation)
        assert "The agent is paused on its engine" in operation.summary
        containers.resume(agent.container_id)
        await read(agent.record, status_reason="")
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("canceled", "")


async def test_a_cancel_ends_an_isolated_one_whose_container_is_paused(agent, containers):
    operation = await begin(agent, *ENDLESS, **ISOLATED)
    async with executing(agent) as driver:
        await until(has_begun(operation))
        containers.pause(f"operation-{operation.pk}")
        await cancel(operation, driver)
        await finished(operation)
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("canceled", "")
    assert await lines_of(operation) == ["begun"]


# What has not begun


async def test_a_cancel_ends_what_a_silent_server_does_not_begin(agent):
    with frozen(get_runtime().inspect(agent.container_id).pid):
        operation = await begin(agent, "true")
        async with executing(agent) as driver:
            await until(lambda: Operation.objects.get(pk=operation.pk).admitted_at)
            await cancel(operation, driver)
            async with asyncio.timeout(4):
                await finished(operation)
    assert outcome_of(operation) == ("canceled", "")


async def test_a_cancel_ends_what_has_not_begun_on_a_host_that_is_away(agent):
    with frozen(get_runtime().inspect(agent.container_id).pid):
        operation = await begin(agent, "true")
        await read(agent.host.record_away, "no route to host")
        async with executing(agent) as driver:
            await read(Operation.objects.update, admitted_at=timezone.now())
            await cancel(operation, driver)
            async with asyncio.timeout(4):
                await finished(operation)
    assert outcome_of(operation) == ("canceled", "")


async def test_a_cancel_ends_an_isolated_one_whose_server_never_answers(
    agent, containers, monkeypatch
):
    monkeypatch.setattr(containers, "connect", nobody)
    operation = await begin(agent, "true", **ISOLATED)
    async with executing(agent) as driver:
        await until(lambda: containers.calls["start"] == 2)
        await cancel(operation, driver)
        async with asyncio.timeout(4):
            await finished(operation)
        await until(lambda: left(containers, operation) == [])
    assert outcome_of(operation) == ("canceled", "")


# From when on it counts


async def test_the_time_between_term_and_kill_counts_from_the_request(agent, monkeypatch):
    monkeypatch.setattr(deadlines, "TOLD_SECONDS", 60.0)
    deaf = "trap '' TERM; " + ENDLESS[2]
    operation = await begin(agent, "sh", "-c", deaf)
    async with executing(agent):
        await until(has_begun(operation))
    asked = timezone.now() - timedelta(seconds=deadlines.GRACE_SECONDS)
    await read(Operation.objects.update, cancel_requested_at=asked)
    async with executing(agent):
        async with asyncio.timeout(5):
            await finished(operation)
    await read(operation.refresh_from_db)
    assert (operation.status, operation.exit_code) == ("canceled", -9)
