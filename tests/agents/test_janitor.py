"""What the holder of the lease does by itself: looks for what has no row, purges what is due."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import control
from agents.database import read
from agents.janitor import Janitor
from agents.models import Agent, Found, Host, RetainedWorkspace
from tests.factories import client_of, make_agent
from tests.waiting import wait_until
from trinity import data_directory

pytestmark = pytest.mark.django_db(transaction=True)


def prepare():
    """Leave the workspace of a deleted agent that is due, and an agent whose row is lost."""
    host = Host.objects.local()
    epoch = host.take_lease("somebody")
    for name in ("deleted", "lost"):
        agent = make_agent(name=name)
        client_of(agent.owner).post(f"/api/agents/{name}/start")
    client_of(Agent.objects.get(name="deleted").owner).delete("/api/agents/deleted")
    RetainedWorkspace.objects.update(purge_at=timezone.now() - timedelta(seconds=1))
    Agent.objects.filter(name="lost").delete()
    return host, epoch


async def run(host, epoch, done):
    task = asyncio.create_task(Janitor(host, epoch).run())
    try:
        await read(wait_until, done)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def found():
    return Found.objects.count() == 3


def purged():
    return found() and not RetainedWorkspace.objects.exists()


async def test_it_purges_notes_and_counts(containers):
    host, epoch = await read(prepare)
    await run(host, epoch, purged)
    assert data_directory.noted_beat() == 1
    assert containers.calls["remove_volume"] == 2


async def test_while_trinity_only_reports_it_notes_and_no_more(containers):
    host, epoch = await read(prepare)
    await read(control.report_only, host, "restored")
    await run(host, epoch, found)
    assert await read(RetainedWorkspace.objects.count) == 1
    assert data_directory.noted_beat() == 0


async def test_whoever_has_lost_the_lease_purges_nothing(containers):
    host, epoch = await read(prepare)
    await run(host, epoch - 1, found)
    assert await read(RetainedWorkspace.objects.count) == 1
    assert data_directory.noted_beat() == 0
