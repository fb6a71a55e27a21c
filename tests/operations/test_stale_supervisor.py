"""A supervisor that was stopped for a while wakes up without its lease: it takes nothing away."""

import socket
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from agents.containers import run_directory
from agents.database import read
from agents.errors import LeaseLost
from agents.models import Host
from agents.runtime import ContainerStatus, get_runtime
from operations import execution, executions, isolated
from operations.isolated import OneShot
from operations.models import Operation
from tests.factories import make_operation
from tests.operations.driving import ENDLESS, begin, executing, finished, lines_of, until

pytestmark = pytest.mark.django_db(transaction=True)

ISOLATED = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
QUIET = ["sh", "-c", "echo begun; sleep 1.5; echo done"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(isolated, "READY_SECONDS", 0.2)


@pytest.fixture
def agent(agent):
    Host.objects.update(lease_epoch=1)
    agent.host.refresh_from_db()
    return agent


class Lease:
    """The guard of a supervisor's writes; another may take over."""

    is_lost = False

    def __call__(self):
        if self.is_lost:
            raise LeaseLost

    def take_over(self):
        self.is_lost = True
        Host.objects.update(lease_epoch=2)


@pytest.fixture
def connections(containers, monkeypatch):
    """Those to agents' servers, to be cut off."""
    opened, connect = [], containers.connect

    def keeping(*arguments):
        opened.append(connect(*arguments))
        return opened[-1]

    monkeypatch.setattr(containers, "connect", keeping)
    return opened


def cut(connections):
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    connections.clear()


@contextmanager
def out_of_reach(operation):
    path = isolated.run_directory(operation.pk) / "agent.sock"
    path.rename(path.with_name("away"))
    yield
    path.with_name("away").rename(path)


def has_begun(operation):
    return lambda: Operation.objects.get(pk=operation.pk).log.last_seq


def status_of(operation):
    return get_runtime().inspect(f"operation-{operation.pk}").status


async def test_it_does_not_remove_the_container_that_another_drives(
    agent, connections, monkeypatch
):
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.3)
    operation = await begin(agent, *QUIET, **ISOLATED)
    lease = Lease()
    async with executing(agent, guard=lease) as stale:
        await until(has_begun(operation))
        with out_of_reach(operation):
            await read(lease.take_over)
            cut(connections)
            await until(lambda: not stale._running)
    await read(operation.refresh_from_db)
    assert operation.status == "processing"
    assert await read(status_of, operation) is ContainerStatus.RUNNING
    async with executing(agent, epoch=2):
        await finished(operation)
    assert (operation.status, await lines_of(operation)) == ("succeeded", ["begun", "done"])


def test_it_does_not_stop_a_container_whose_files_another_takes(agent):
    operation = make_operation(agent=agent, command=["true"], **ISOLATED)
    place = OneShot(operation, 1)
    place._bring_up()
    Lease().take_over()
    with pytest.raises(LeaseLost):
        place._stop()
    assert status_of(operation) is ContainerStatus.RUNNING


async def test_it_starts_what_another_runs_without_disturbing_it(agent):
    operation = await begin(agent, *QUIET, **ISOLATED)
    async with executing(agent):
        await until(has_begun(operation))
        # Stopped just before it called the engine, it goes on where it was.
        late = OneShot(operation, 1)
        late._container_id = get_runtime().inspect(f"operation-{operation.pk}").id
        await read(late._start, late._container_id)
        assert len(await late.server.operations()) == 1
        await finished(operation)
    assert (operation.status, await lines_of(operation)) == ("succeeded", ["begun", "done"])


@pytest.mark.parametrize("fields", [{}, ISOLATED])
async def test_an_operation_is_not_lost_because_it_was_quiet_before_its_connection_broke(
    agent, connections, monkeypatch, fields
):
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.4)
    operation = await begin(agent, "sh", "-c", "sleep 2; echo done", **fields)
    for_a_while = timedelta(seconds=0.8)
    has_run = Operation.objects.filter(pk=operation.pk, started_at__lt=Now() - for_a_while)
    async with executing(agent):
        await until(has_run.exists)
        cut(connections)
        await finished(operation)
    assert (operation.status, await lines_of(operation)) == ("succeeded", ["done"])


async def test_what_was_given_up_here_and_runs_on_there_is_ended(
    agent, containers, connections, monkeypatch
):
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(executions, "FORGET_SECONDS", 0.2)
    operation = await begin(agent, *ENDLESS)
    path = run_directory(agent) / "agent.sock"
    spools = f"**/operations/{operation.pk}"
    async with executing(agent):
        await until(has_begun(operation))
        path.rename(path.with_name("away"))
        cut(connections)
        await finished(operation)
        assert operation.error == "lost"
        assert list(containers.folder.glob(spools))
        path.with_name("away").rename(path)
        await until(lambda: not list(containers.folder.glob(spools)))


async def test_the_connection_it_kept_for_the_output_is_closed(agent, containers, connections):
    operation = await begin(agent, *ENDLESS)
    spools = f"**/operations/{operation.pk}"

    def lost_once_it_runs():
        if list(containers.folder.glob(spools)):
            raise LeaseLost

    async with executing(agent, guard=lost_once_it_runs) as stale:
        await until(lambda: list(containers.folder.glob(spools)))
        await until(lambda: not stale._running)
        await until(lambda: all(each.fileno() == -1 for each in connections))
    assert connections
