"""An agent that takes more of the disk than it may is stopped, and has its chance to delete."""

import asyncio
import shutil
from collections import namedtuple
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import containers as contract
from agents import lifecycle
from agents.database import Writer, read
from agents.errors import LeaseLost
from agents.figures import disk
from agents.figures.disk import DiskWatch
from agents.models import Agent, Host
from agents.runtime import get_runtime
from tests.factories import client_of, make_agent, make_running_agent
from trinity.audit import SYSTEM
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024**2
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def agent():
    """A running agent that may take a mebibyte."""
    agent = make_agent(name="hoarder", template_disk="1m")
    lifecycle.start(agent, SYSTEM)
    return agent


def write(agent, size, name="data"):
    folder = get_runtime().folder / contract.volume_name(agent, "workspace")
    (folder / name).write_bytes(bytes(size))


async def nothing(_sizes):
    """Nobody else is interested in what takes how much."""


@asynccontextmanager
async def looking(guard=None):
    """Give a function that looks once and returns the agents that were stopped."""
    writer, stopped = Writer(guard), []

    async def on_status(agent):
        stopped.append((agent.name, agent.status, agent.status_reason))

    watch = DiskWatch(await read(Host.objects.local), writer, on_status, nothing)

    async def look():
        stopped.clear()
        await watch.look()
        return list(stopped)

    try:
        yield look
    finally:
        await asyncio.to_thread(writer.close)


def look_once():
    async def once():
        async with looking() as look:
            return await look()

    return asyncio.run(once())


STOPPED = [("hoarder", "stopped", "disk_full")]


def test_what_it_takes_is_recorded(agent):
    write(agent, 500_000)
    assert look_once() == []
    agent.refresh_from_db()
    # The volumes, and the directory with the key and the socket.
    assert 500_000 < agent.disk_used_bytes < 600_000
    assert agent.status == Agent.Status.RUNNING


def test_one_that_takes_too_much_is_stopped_and_says_why(agent):
    write(agent, 2 * MIB)
    assert look_once() == STOPPED
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason, agent.desired, agent.verb) == (
        "stopped",
        "disk_full",
        "stopped",
        "",
    )
    assert "disk_full" in AuditEvent.objects.get(verb="stop").detail
    told = client_of(agent.owner).get("/api/agents/hoarder").json()
    assert (told["status"], told["status_reason"]) == ("stopped", "disk_full")


def test_started_again_it_has_time_to_delete_files(agent):
    write(agent, 2 * MIB)
    look_once()
    agent.refresh_from_db()
    lifecycle.start(agent, SYSTEM)
    assert look_once() == []
    write(agent, 0)
    assert look_once() == []
    # From then on it is like any other.
    write(agent, 2 * MIB)
    assert look_once() == STOPPED


def test_started_again_it_may_not_grow(agent):
    write(agent, 2 * MIB)
    look_once()
    agent.refresh_from_db()
    lifecycle.start(agent, SYSTEM)
    write(agent, disk.GRACE_BYTES + MIB, name="more")
    assert look_once() == STOPPED


def test_the_time_to_delete_files_ends(agent):
    write(agent, 2 * MIB)
    look_once()
    agent.refresh_from_db()
    lifecycle.start(agent, SYSTEM)
    assert look_once() == []
    Agent.objects.update(started_at=timezone.now() - disk.GRACE - timedelta(seconds=1))
    assert look_once() == STOPPED


def test_a_verb_under_way_is_not_disturbed(agent):
    write(agent, 2 * MIB)
    agent.claim(Agent.Verb.RESTART)
    assert look_once() == []
    agent.release()
    assert look_once() == STOPPED


def test_what_only_reports_stops_nothing(agent):
    write(agent, 2 * MIB)
    Host.objects.update(report_only_since=timezone.now())
    assert look_once() == []


def test_a_link_to_a_large_file_takes_nothing(agent, tmp_path):
    (tmp_path / "large").write_bytes(bytes(2 * MIB))
    (contract.run_directory(agent) / "link").symlink_to(tmp_path / "large")
    assert look_once() == []


def test_what_lies_beside_the_socket_counts(agent):
    (contract.run_directory(agent) / "data").write_bytes(b"x" * 2 * MIB)
    assert look_once() == STOPPED


@pytest.fixture
def full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1000 * MIB, 951 * MIB, 49 * MIB))


@pytest.mark.usefixtures("full_disk")
def test_a_disk_without_room_refuses_what_is_new(containers):
    Host.objects.local().record_disk(disk.refusal_of())
    agent = make_running_agent(name="scribe")
    client = client_of(agent.owner)
    for path, body in (
        ("/api/agents", {"name": "painter"}),
        ("/api/v1/operations", {"agent": "scribe", "command": ["true"]}),
    ):
        answer = client.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "disk_low")
        assert answer.json()["detail"] == (
            "The disk of Trinity's data has only 49m free, less than 5 %: "
            "delete something there first"
        )
    assert not Agent.objects.filter(name="painter").exists()


def test_with_room_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1000 * MIB, 950 * MIB, 50 * MIB))
    assert disk.refusal_of() == ""


def test_it_is_news_only_when_it_begins_and_when_it_ends():
    host = Host.objects.local()
    assert not host.record_disk("")
    assert host.record_disk("49m free")
    assert not host.record_disk("48m free")
    assert host.disk_refusal == "48m free"
    assert host.record_disk("")


async def test_who_has_lost_the_lease_stops_nobody(agent):
    def guard():
        raise LeaseLost

    await read(write, agent, 2 * MIB)
    async with looking(guard) as look:
        with pytest.raises(LeaseLost):
            await look()
    await read(agent.refresh_from_db)
    assert agent.status == "running"
