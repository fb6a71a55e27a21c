"""Each operation ends in exactly one way, and everything it printed is kept."""

import asyncio

import pytest

from agents import reconcile
from agents.database import read
from agents.models import Host
from operations import deadlines, requests
from operations.execution import _outcome
from operations.models import Operation
from tests.factories import make_operation
from tests.operations.driving import ENDLESS, begin, executing, finished, lines_of, run, until
from trinity.audit import SYSTEM
from trinity.encryption import seal

pytestmark = pytest.mark.django_db(transaction=True)


def outcome_of(operation):
    return operation.status, operation.error, operation.exit_code


def shell(text):
    return ["sh", "-c", text]


async def test_exit_code_0_is_success(agent):
    operation = await run(agent, *shell("echo out; echo err >&2"))
    assert outcome_of(operation) == ("succeeded", "", 0)
    assert sorted(await lines_of(operation)) == ["err", "out"]
    assert operation.created_at < operation.started_at < operation.finished_at


async def test_another_exit_code_is_a_failure_that_tells_it(agent):
    operation = await run(agent, *shell("echo last words; exit 3"))
    assert outcome_of(operation) == ("failed", "exited", 3)
    assert operation.summary == "Exited with code 3"
    assert await lines_of(operation) == ["last words"]


async def test_a_program_that_is_killed_tells_the_signal(agent):
    assert outcome_of(await run(agent, *shell("kill -9 $$"))) == ("failed", "exited", -9)


@pytest.mark.parametrize("command", [["no-such-program"], ["/etc/passwd"]])
async def test_a_program_that_cannot_be_executed_is_a_failed_start(agent, command):
    operation = await run(agent, *command)
    assert outcome_of(operation) == ("failed", "start_failed", None)
    assert operation.summary


async def test_a_request_that_the_agent_server_refuses_is_a_failed_start(agent):
    operation = await run(agent, "true", workdir="../outside")
    assert outcome_of(operation) == ("failed", "start_failed", None)


async def test_a_program_that_takes_too_long_is_ended(agent):
    operation = await run(agent, *ENDLESS, timeout_seconds=1)
    assert outcome_of(operation)[:2] == ("failed", "timeout")
    assert await lines_of(operation) == ["begun"]


async def test_output_without_a_newline_at_its_end_is_kept(agent):
    operation = await run(agent, *shell("printf 'a\\nb\\303'; sleep 0.1; printf '\\251'"))
    assert await lines_of(operation) == ["a", "bé"]


async def test_the_environment_reaches_the_program_and_is_erased_at_the_end(agent):
    operation = await run(agent, *shell("echo $COLOR"), environment=seal({"COLOR": "red"}))
    assert await lines_of(operation) == ["red"]
    assert bytes(operation.environment) == b""


async def test_many_operations_of_one_agent_run_at_once(agent):
    operations = [await begin(agent, *shell(f"echo {number}")) for number in range(8)]
    async with executing(agent):
        for number, operation in enumerate(operations):
            assert (await finished(operation)).status == "succeeded"
            assert await lines_of(operation) == [str(number)]


async def test_an_operation_that_is_cancelled_stops(agent):
    operation = await begin(agent, *ENDLESS)
    async with executing(agent) as executions:
        await until(lambda: Operation.objects.filter(pk=operation.pk, status="processing").exists())
        await read(requests.cancel, operation, SYSTEM)
        executions.wake()
        async with asyncio.timeout(5):
            await finished(operation)
    assert outcome_of(operation)[:2] == ("canceled", "")


async def test_a_program_that_ignores_the_request_to_stop_is_killed(agent, monkeypatch):
    monkeypatch.setattr(deadlines, "GRACE_SECONDS", 0.2)
    deaf = "trap '' TERM; " + ENDLESS[2]
    operation = await begin(agent, *shell(deaf))
    async with executing(agent) as executions:
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        await read(requests.cancel, operation, SYSTEM)
        executions.wake()
        await finished(operation)
    assert outcome_of(operation) == ("canceled", "", -9)


async def test_an_operation_that_is_cancelled_before_it_began_does_not_go_on(agent):
    operation = await begin(agent, *ENDLESS)
    await read(requests.cancel, operation, SYSTEM)
    async with executing(agent):
        await finished(operation)
    assert operation.status == "canceled"


async def test_the_end_of_the_agents_container_loses_its_operations(agent, containers):
    operation = await begin(agent, *ENDLESS, environment=seal({"SECRET": "x"}))
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.kill(agent.container_id)
        # What the watch of the engine records.
        await read(agent.record, status="stopped")
        await finished(operation)
    assert outcome_of(operation) == ("failed", "lost", None)
    assert await lines_of(operation) == ["begun"]
    assert bytes(operation.environment) == b""


async def test_an_agent_server_that_came_back_knows_what_was_lost(agent, containers):
    operation = await begin(agent, *ENDLESS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.kill(agent.container_id)
        await read(agent.record, status="starting")
        await until(lambda: containers.inspect(agent.container_id).pid is None)
        await read(lambda: [reconcile.finish(left) for left in _unfinished()])
        await finished(operation)
    assert outcome_of(operation)[:2] == ("failed", "lost")


def _unfinished():
    return reconcile.unfinished(Host.objects.local())


async def test_an_agent_that_was_deleted_takes_its_operations_along(agent, containers):
    operation = await begin(agent, *ENDLESS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.remove(agent.container_id)
        await read(agent.delete)
        await until(lambda: not Operation.objects.exists())


@pytest.mark.django_db
def test_the_first_outcome_stays():
    operation = make_operation()
    assert operation.finish(Operation.Status.CANCELED)
    assert not operation.finish(Operation.Status.SUCCEEDED, exit_code=0)
    assert not operation.mark_processing()
    operation.refresh_from_db()
    assert outcome_of(operation) == ("canceled", "", None)


RUBBISH = [b"", b"[]", b"rubbish", b"{}", b'{"reason": "exited"}', b"[" * 100_000, b"\xff"]


@pytest.mark.parametrize("payload", RUBBISH)
def test_an_end_that_cannot_be_read_is_a_loss(payload):
    assert _outcome(payload)["error"] == "lost"


@pytest.mark.parametrize(
    ("code", "kept"), [(b"true", None), (b'"0"', None), (b"1e400", None), (b"99999", 255)]
)
def test_an_exit_code_that_is_none_is_not_believed(code, kept):
    outcome = _outcome(b'{"reason": "exited", "exit_code": %s}' % code)
    assert (outcome["status"], outcome["exit_code"]) == ("failed", kept)


def test_a_detail_is_told_in_a_form_that_can_be_stored():
    outcome = _outcome(b'{"reason": "x", "exit_code": 1, "detail": "a\\u0000\\ud800"}')
    assert "\0" not in outcome["summary"]
    outcome["summary"].encode()
