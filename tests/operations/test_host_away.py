"""A host goes away with all that runs there, and comes back: what it has printed comes too."""

import pytest

from agents import reconcile
from agents.database import read
from agents.models import Agent, Host
from operations import execution, places, requests
from operations.models import Operation
from tests.operations.driving import begin, executing, finished, lines_of, until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

# Goes on printing where nobody hears it.
PRINTS = [
    *("sh", "-c"),
    "echo begun; while [ ! -e $TRINITY_WORKSPACE/go ]; do sleep 0.02; done; seq 1 100; sleep 60",
]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.3)


def goes_away(containers, agent):
    containers.away = True
    Host.objects.get().record_away("no route to host")
    containers.kill(agent.container_id)


def comes_back(containers, host):
    """As the watch sees it, and acts."""
    containers.away = False
    Agent.objects.update(status="stopped")
    Host.objects.update(away_since=None)
    down = Agent.objects.select_related("host", "owner").get()
    assert reconcile.should_run(down)
    reconcile.finish(down)


async def test_what_was_printed_before_it_went_is_there_when_it_is_back(agent, containers):
    operation = await begin(agent, *PRINTS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
    # Nobody follows it just now.
    workspace = next(containers.folder.glob("*-workspace"))
    (workspace / "go").touch()
    spool = next(containers.folder.glob(f"**/operations/{operation.pk}/output"))
    await until(lambda: b"\n100\n" in spool.read_bytes())
    await read(goes_away, containers, agent)
    async with executing(agent):
        before = containers.calls["connect"]
        # For longer than a silent server is waited for.
        await until(lambda: containers.calls["connect"] > before + 15)
        await read(operation.refresh_from_db)
        assert operation.status == "processing"
        await read(comes_back, containers, agent.host)
        await finished(operation)
    assert (operation.status, operation.error) == ("failed", "lost")
    assert await lines_of(operation) == ["begun", *map(str, range(1, 101))]


async def test_what_had_not_begun_begins_when_it_is_back(agent, containers):
    await read(goes_away, containers, agent)
    operation = await begin(agent, "echo", "here")
    async with executing(agent):
        before = containers.calls["connect"]
        await until(lambda: containers.calls["connect"] > before + 15)
        await read(comes_back, containers, agent.host)
        await finished(operation)
    assert (operation.status, await lines_of(operation)) == ("succeeded", ["here"])


async def test_what_has_not_begun_does_not_wait_for_ever(agent, containers, monkeypatch):
    monkeypatch.setattr(execution, "ENGINE_PATIENCE", execution.ENGINE_PATIENCE / 1000)
    await read(goes_away, containers, agent)
    operation = await begin(agent, "true")
    async with executing(agent):
        await finished(operation)
    assert (operation.status, operation.error) == ("failed", "engine_unavailable")


async def test_what_has_not_begun_is_cancelled_meanwhile(agent, containers):
    await read(goes_away, containers, agent)
    operation = await begin(agent, "true")
    async with executing(agent) as executions:
        await until(lambda: containers.calls["connect"] > 3)
        await read(requests.cancel, operation, SYSTEM)
        executions.wake()
        await finished(operation)
    assert (operation.status, operation.error) == ("canceled", "")


async def test_an_agent_that_is_not_brought_back_has_lost_it(agent, containers, monkeypatch):
    monkeypatch.setattr(places, "RETURN_SECONDS", 0.2)
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 60)
    operation = await begin(agent, *PRINTS)
    async with executing(agent):
        await until(lambda: Operation.objects.get(pk=operation.pk).log.last_seq)
        containers.kill(agent.container_id)
        await read(agent.record, status="stopped")
        await finished(operation)
    assert (operation.status, operation.error) == ("failed", "lost")
    assert await lines_of(operation) == ["begun"]
