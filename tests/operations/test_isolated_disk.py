"""An isolated operation may take no more of the disk than its agent."""

import pytest

from agents.database import read
from agents.runtime import get_runtime
from agents.wire import AgentServer
from operations import collecting, isolated
from operations.models import Operation
from tests.factories import make_agent
from tests.operations.driving import begin, executing, finished, lines_of, until

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
WRITE = 'echo begun; head -c {} /dev/zero > "$TRINITY_WORKSPACE/data"; echo written; {}'
WAIT = "while [ -d /proc/$PPID ]; do sleep 0.05; done"


@pytest.fixture
def agent():
    """One that may take a mebibyte."""
    agent = make_agent(name="scribe", template_disk="1m")
    # As the supervisor does with its lease.
    type(agent.host).objects.update(lease_epoch=1)
    agent.host.refresh_from_db()
    return agent


def sizes():
    return get_runtime().volume_sizes(prefix="trinity-")


async def written(operation):
    await until(lambda: Operation.objects.filter(pk=operation.pk, log__last_seq__gt=1).exists())


@pytest.mark.parametrize("looks", [1, 2])
async def test_one_that_takes_more_is_ended_and_says_why(agent, monkeypatch, looks):
    monkeypatch.setattr(isolated, "READY_SECONDS", 5)
    monkeypatch.setattr(collecting, "GIVE_UP_SECONDS", 0.1)
    if looks == 2:
        monkeypatch.setattr(AgentServer, "signal", is_of_no_use)
    operation = await begin(agent, "sh", "-c", WRITE.format(2 * 1024**2, WAIT), **FIELDS)
    async with executing(agent) as executions:
        await written(operation)
        for _ in range(looks):
            await executions.bound_disk(await read(sizes))
        await finished(operation)
    assert (operation.status, operation.error) == ("failed", "exited")
    assert operation.summary.startswith("The operation took 2m of the disk, more than the 1m of")
    assert await lines_of(operation) == ["begun", "written"]


async def is_of_no_use(*_of_signal, **_options):
    """The answer of a server that is not what it was."""


async def test_one_that_keeps_to_it_goes_on(agent):
    script = WRITE.format(500_000, 'while [ ! -e "$TRINITY_WORKSPACE/on" ]; do sleep 0.05; done')
    operation = await begin(agent, "sh", "-c", script, **FIELDS)
    async with executing(agent) as executions:
        await written(operation)
        await executions.bound_disk(await read(sizes))
        name = isolated.volume_name(agent.host.instance, operation.pk, "workspace")
        (get_runtime().folder / name / "on").touch()
        await finished(operation)
    assert operation.status == "succeeded"


async def test_one_whose_container_is_taken_away_meanwhile_holds_nothing_up(
    agent, containers, monkeypatch
):
    monkeypatch.setattr(AgentServer, "signal", is_of_no_use)
    operation = await begin(agent, "sh", "-c", WRITE.format(2 * 1024**2, WAIT), **FIELDS)
    async with executing(agent) as executions:
        await written(operation)
        taken = await read(sizes)
        await executions.bound_disk(taken)
        # As ``docker rm`` does, just before it would be stopped.
        monkeypatch.setattr(containers, "stop", lambda found, **_: containers.remove(found))
        await executions.bound_disk(taken)
        await finished(operation)
    assert operation.status == "failed"
