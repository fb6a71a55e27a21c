"""Isolated operations: a container of their own for each, of which nothing is left behind."""

import pytest

from agents.database import read
from agents.errors import EngineUnavailable
from agents.runtime import ContainerStatus, Network, get_runtime
from operations import execution, isolated, requests
from operations.isolated import Sweep, run_directory, spec_of
from operations.models import Operation
from tests.factories import make_agent, make_operation
from tests.operations.driving import ENDLESS, begin, executing, finished, lines_of, until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(isolated, "READY_SECONDS", 5)


@pytest.fixture
def agent():
    """It exists, and need not run."""
    agent = make_agent(name="scribe")
    # As the supervisor does with its lease.
    type(agent.host).objects.update(lease_epoch=1)
    agent.host.refresh_from_db()
    return agent


async def isolate(agent, *command, **fields):
    return await begin(agent, *command, **FIELDS | fields)


async def run(agent, *command, **fields):
    operation = await isolate(agent, *command, **fields)
    async with executing(agent):
        await finished(operation)
        await nothing_left(get_runtime(), operation)
    return operation


def outcome_of(operation):
    return operation.status, operation.error, operation.exit_code


def name_of(operation):
    return f"operation-{operation.pk}"


def left(containers, operation):
    """What there is of an operation: containers, volumes, run directory."""
    found = [each.name for each in containers._containers.values() for each in [each.spec]]
    found += [path.name for path in containers.folder.iterdir()]
    found += [path.name for path in (containers.folder / "sockets").glob("*")]
    return [name for name in found if str(operation.pk) in name]


async def nothing_left(containers, operation):
    await until(lambda: left(containers, operation) == [])


async def test_it_runs_though_the_agent_does_not(agent, containers):
    operation = await run(agent, "sh", "-c", "echo $HELLO; pwd; ls -a $TRINITY_WORKSPACE; env")
    assert outcome_of(operation) == ("succeeded", "", 0)
    assert containers.calls["create"] == containers.calls["start"] == 1


async def test_two_of_them_share_nothing(agent, containers):
    script = "touch $TRINITY_WORKSPACE/mine; ls $TRINITY_WORKSPACE"
    operations = [await isolate(agent, "sh", "-c", script) for _ in range(2)]
    async with executing(agent):
        for operation in operations:
            await finished(operation)
            assert await lines_of(operation) == ["mine"]
    assert containers.calls["create"] == 2


async def test_its_container_is_told_as_little_as_it_has(agent, containers):
    operation = await isolate(agent, *ENDLESS, network="none")
    spec = await read(spec_of, operation)
    assert spec.network is Network.NONE
    assert (spec.limits.memory_bytes, spec.limits.cpus) == (1024**3, 1.0)
    assert spec.environment == {"TRINITY_GENERATION": "1"}
    assert spec.labels["trinity.platform"] == "operation"
    assert str(operation.pk) in spec.workspace_volume
    assert str(operation.pk) in spec.spool_volume


async def test_an_agent_that_was_given_less_meanwhile_gives_no_more(agent):
    operation = await isolate(agent, "true", memory="4g", cpu="2")
    agent.memory_limit, agent.cpu_limit = "1g", "1"
    operation.agent = agent
    spec = await read(spec_of, operation)
    assert (spec.limits.memory_bytes, spec.limits.cpus) == (1024**3, 1.0)


# The cases of failure


async def test_a_missing_image_is_told(agent, containers):
    containers.images.clear()
    operation = await run(agent, "true")
    assert outcome_of(operation) == ("failed", "image_missing", None)
    assert "trinity-agent-base" in operation.summary


async def test_a_container_that_cannot_start_is_told(agent, containers):
    containers.refuses_starts = True
    operation = await run(agent, "true")
    assert outcome_of(operation) == ("failed", "start_failed", None)
    assert operation.summary == "The fake engine cannot start it"


async def test_a_container_whose_server_ends_at_once_is_told(agent, containers, monkeypatch):
    monkeypatch.setattr(isolated, "READY_SECONDS", 0.3)
    create = containers.create

    def create_broken(spec):
        spec.environment["TRINITY_GENERATION"] = "no number"
        return create(spec)

    monkeypatch.setattr(containers, "create", create_broken)
    operation = await run(agent, "true")
    assert outcome_of(operation) == ("failed", "start_failed", None)
    assert "exit code 1" in operation.summary


@pytest.mark.parametrize(
    ("command", "fields", "outcome"),
    [
        (["sh", "-c", "exit 3"], {}, ("failed", "exited", 3)),
        (["true"], {}, ("succeeded", "", 0)),
        (["no-such-program"], {}, ("failed", "start_failed", None)),
    ],
)
async def test_how_its_program_ended_is_told(agent, containers, command, fields, outcome):
    operation = await run(agent, *command, **fields)
    assert outcome_of(operation) == outcome
    assert await lines_of(operation) == []


async def test_a_program_that_takes_too_long_is_ended(agent, containers):
    operation = await run(agent, *ENDLESS, timeout_seconds=1)
    assert outcome_of(operation)[:2] == ("failed", "timeout")
    assert await lines_of(operation) == ["begun"]


async def test_one_that_is_cancelled_leaves_nothing(agent, containers):
    operation = await isolate(agent, *ENDLESS)
    async with executing(agent) as executions:
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        await read(requests.cancel, operation, SYSTEM)
        executions.wake()
        await finished(operation)
        await nothing_left(containers, operation)
    assert outcome_of(operation)[:2] == ("canceled", "")


@pytest.mark.parametrize("all_of_it", [False, True])
async def test_too_little_memory_is_told(agent, containers, all_of_it):
    operation = await isolate(agent, *ENDLESS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.run_out_of_memory(name_of(operation), all_of_it=all_of_it)
        await finished(operation)
        await nothing_left(containers, operation)
    assert outcome_of(operation)[:2] == ("failed", "out_of_memory")
    assert await lines_of(operation) == ["begun"]


# The engine away


async def test_it_waits_for_the_engine(agent, containers):
    containers.away = True
    operation = await isolate(agent, "echo", "here")
    async with executing(agent):
        await until(lambda: containers.calls["containers"] > 3)
        await read(operation.refresh_from_db)
        assert operation.status == "starting"
        containers.away = False
        await finished(operation)
        await nothing_left(containers, operation)
    assert await lines_of(operation) == ["here"]


async def test_it_does_not_wait_for_ever(agent, containers, monkeypatch):
    monkeypatch.setattr(execution, "ENGINE_PATIENCE", execution.ENGINE_PATIENCE / 1000)
    containers.away = True
    operation = await run(agent, "true")
    assert outcome_of(operation) == ("failed", "engine_unavailable", None)
    assert left(containers, operation) == []


async def test_it_is_cancelled_while_the_engine_is_away(agent, containers):
    containers.away = True
    operation = await isolate(agent, "true")
    async with executing(agent) as executions:
        await until(lambda: containers.calls["containers"])
        await read(requests.cancel, operation, SYSTEM)
        executions.wake()
        await finished(operation)
    assert outcome_of(operation) == ("canceled", "", None)


async def test_what_could_not_be_removed_goes_when_the_engine_is_back(
    agent, containers, monkeypatch
):
    operation = await isolate(agent, "true")
    remove = containers.remove
    monkeypatch.setattr(containers, "remove", _away)
    async with executing(agent):
        await finished(operation)
        assert operation.status == "succeeded"
        assert left(containers, operation)
        monkeypatch.setattr(containers, "remove", remove)
        await nothing_left(containers, operation)


def _away(_container_id):
    raise EngineUnavailable("away")


# Who drives it may die


async def test_another_supervisor_goes_on_with_the_same_container(agent, containers):
    script = "for i in $(seq 1 100); do echo $i; sleep 0.01; done"
    operation = await isolate(agent, "sh", "-c", script)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq > 20)
    async with executing(agent):
        await finished(operation)
        await nothing_left(containers, operation)
    assert operation.status == "succeeded"
    assert await lines_of(operation) == [str(number) for number in range(1, 101)]
    assert containers.calls["create"] == containers.calls["start"] == 1


async def test_the_container_of_one_who_died_before_its_start_is_adopted(agent, containers):
    operation = await isolate(agent, "echo", "once")
    spec = await read(spec_of, operation)
    made = containers.create(spec)
    async with executing(agent):
        await finished(operation)
        await nothing_left(containers, operation)
    assert await lines_of(operation) == ["once"]
    assert containers._find(made) is None
    # The test's own.
    assert containers.calls["create"] == 1


async def test_a_container_that_was_stopped_still_gives_what_it_has(agent, containers):
    operation = await isolate(agent, "sh", "-c", "echo one; sleep 0.3; echo two; exit 4")
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
    end = f"**/operations/{operation.pk}/end.json"
    await until(lambda: list(containers.folder.glob(end)))
    containers.stop(containers.inspect(name_of(operation)).id)
    assert containers.inspect(name_of(operation)).status is ContainerStatus.EXITED
    async with executing(agent):
        await finished(operation)
        await nothing_left(containers, operation)
    assert outcome_of(operation) == ("failed", "exited", 4)
    assert await lines_of(operation) == ["one", "two"]


async def test_a_container_that_is_gone_has_lost_it(agent, containers):
    operation = await isolate(agent, *ENDLESS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.remove(name_of(operation))
        await finished(operation)
        await nothing_left(containers, operation)
    assert outcome_of(operation)[:2] == ("failed", "lost")
    assert await lines_of(operation) == ["begun"]


async def test_a_supervisor_without_the_lease_makes_nothing(agent, containers):
    operation = await isolate(agent, "true")
    await read(operation.admit)
    async with executing(agent, epoch=7) as executions:
        await until(lambda: containers.calls["containers"])
        await until(lambda: not executions._running)
    await read(operation.refresh_from_db)
    assert operation.status == "starting"
    assert left(containers, operation) == []


# What is left


@pytest.fixture
def remains(agent, containers):
    """A container of an operation, with its volumes and run directory."""
    operation = make_operation(agent=agent, **FIELDS)
    spec = spec_of(operation)
    spec.run_directory.mkdir(parents=True)
    containers.create(spec)
    return operation


def test_what_is_left_of_an_ended_one_goes_after_a_while(agent, containers, remains, monkeypatch):
    sweep = Sweep(agent.host_id, 1)
    sweep.sweep()
    assert left(containers, remains)
    remains.finish(Operation.Status.CANCELED)
    sweep.sweep()
    assert left(containers, remains)
    monkeypatch.setattr(isolated, "GRACE_SECONDS", 0)
    sweep.sweep()
    assert left(containers, remains) == []


def test_what_had_ended_before_a_supervisor_began_goes_at_once(agent, containers, remains):
    remains.finish(Operation.Status.CANCELED)
    Sweep(agent.host_id, 1).sweep()
    assert left(containers, remains) == []


def test_what_is_left_without_a_row_goes_likewise(agent, containers, remains, monkeypatch):
    monkeypatch.setattr(isolated, "GRACE_SECONDS", 0)
    # With its agent; the container alone is removed then.
    agent.delete()
    containers.remove(name_of(remains))
    assert left(containers, remains)
    Sweep(agent.host_id, 1).sweep()
    assert left(containers, remains) == []
    assert not run_directory(remains.pk).exists()


@pytest.mark.parametrize("fields", [{"lease_epoch": 2}, {"report_only_since": "2026-01-01T00:00Z"}])
def test_only_who_may_act_sweeps(agent, containers, remains, monkeypatch, fields):
    monkeypatch.setattr(isolated, "GRACE_SECONDS", 0)
    remains.finish(Operation.Status.CANCELED)
    type(agent.host).objects.update(**fields)
    Sweep(agent.host_id, 1).sweep()
    assert left(containers, remains)


def test_what_is_anothers_stays(agent, containers, remains, monkeypatch):
    monkeypatch.setattr(isolated, "GRACE_SECONDS", 0)
    stranger = containers.folder / "trinity-another-operation-volume"
    odd = containers.folder / f"trinity-{agent.host.instance}-operation-odd-spool"
    for folder in (stranger, odd):
        folder.mkdir()
    Sweep(agent.host_id, 1).sweep()
    assert stranger.exists()
    assert odd.exists()
    assert left(containers, remains)
