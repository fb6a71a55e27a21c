"""What happens to the engine and its containers is seen, recorded and told."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from channels.layers import get_channel_layer

from agents import lifecycle, live, watch
from agents.database import Writer, read
from agents.models import Agent, Host, Stats
from agents.output import logs
from agents.runtime import LogEntry
from agents.watch import Watch
from tests.factories import make_agent
from tests.operations.driving import until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for name in ("CHECK_SECONDS", "RETRY_SECONDS", "FINISH_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(watch, name, 0.1)


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    lifecycle.start(agent, SYSTEM)
    return agent


@asynccontextmanager
async def watching():
    """Run the watch; gives the agents whose status was found changed."""
    host = await read(Host.objects.local)
    epoch = await read(host.take_lease, "this supervisor")
    writer, changed = Writer(), []

    async def on_status(agent):
        changed.append(agent.name)

    async def on_sizes(_sizes):
        pass

    live.use_loop(asyncio.get_running_loop())
    running = asyncio.create_task(Watch(host, epoch, writer, on_status, on_sizes).run())
    try:
        yield changed
    finally:
        running.cancel()
        await asyncio.wait([running])
        await asyncio.to_thread(writer.close)
        assert running.cancelled()


def has(agent, **fields):
    return Agent.objects.filter(pk=agent.pk, **fields).exists


async def engine_is_known():
    await until(Host.objects.filter(engine_id="fake", away_since=None).exists)


async def test_an_agent_that_is_killed_is_recorded_and_told(agent, containers):
    async with watching() as changed:
        await engine_is_known()
        containers.kill(agent.container_id)
        await until(has(agent, status="stopped", status_reason="exit code 137"))
        await until(lambda: changed == ["scribe"])


async def test_a_verb_and_the_events_that_it_causes_agree(agent, containers):
    async with watching():
        await engine_is_known()
        for verb, status in [(lifecycle.restart, "running"), (lifecycle.stop, "stopped")]:
            await read(verb, agent, SYSTEM)
            await read(agent.refresh_from_db)
            assert (agent.status, agent.status_reason) == (status, "")


async def test_an_engine_that_goes_away_and_comes_back_is_recorded(agent, containers):
    async with watching():
        await engine_is_known()
        containers.away = True
        await until(Host.objects.exclude(away_since=None).exists)
        containers.away = False
        await engine_is_known()


async def test_what_went_down_with_the_engine_is_brought_back(agent, containers):
    async with watching():
        await engine_is_known()
        containers.away = True
        await until(Host.objects.exclude(away_since=None).exists)
        containers.kill(agent.container_id)
        containers.away = False
        await until(lambda: containers.calls["start"] == 2)
        await until(has(agent, status="running"))


async def test_what_was_stopped_by_hand_stays_so_when_the_engine_comes_back(agent, containers):
    async with watching():
        await engine_is_known()
        await read(lifecycle.stop, agent, SYSTEM)
        containers.away = True
        await until(Host.objects.exclude(away_since=None).exists)
        containers.away = False
        await engine_is_known()
        await read(agent.refresh_from_db)
        assert agent.status == "stopped"
    assert containers.calls["start"] == 1


async def test_the_log_of_a_container_comes_into_trinity(agent, containers):
    async with watching():
        await until(lambda: logs.last_seq(agent.log_id))
        containers.kill(agent.container_id)
        await until(has(agent, status="stopped"))


async def test_the_log_of_a_container_keeps_to_its_cap(agent, containers, settings):
    settings.TRINITY_AGENT_LOG_BYTES = 100
    async with watching():
        for number in range(5):
            await until(lambda: logs.last_seq(agent.log_id))
            last_seq = await read(logs.last_seq, agent.log_id)
            entry = LogEntry(time.time_ns(), False, b"%d%s\n" % (number, b"x" * 40))
            containers._get(agent.container_id).log.append(entry)
            await until(lambda seq=last_seq: logs.last_seq(agent.log_id) > seq)
    lines, last_seq = await read(logs.tail, agent.log_id, 100)
    assert [line[0] for line in lines] == ["3", "4"]
    assert last_seq > 5


async def test_a_running_agent_is_sampled(agent):
    async with watching():
        await until(Stats.objects.filter(agent=agent, memory_used_bytes=1024).exists)


async def test_a_verb_that_was_left_undone_is_ended(containers):
    agent = await read(make_agent, name="painter", status="starting")
    async with watching() as changed:
        await until(has(agent, status="running"))
        await until(lambda: changed == ["painter"])


async def test_of_a_deletion_that_was_left_undone_nobody_is_told_anything(containers):
    agent = await read(make_agent, name="painter", deleting=True)
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(live.AGENTS, channel)
    async with watching() as changed:
        await until(lambda: not Agent.objects.filter(pk=agent.pk).exists())
        await engine_is_known()
    assert changed == []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await layer.receive(channel)
