"""A repository's state comes to those who look at the agent when it has changed."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from django.utils import timezone

from agents import containers, lifecycle
from agents.database import read
from agents.models import Agent, GitConfig, Host
from agents.workspace import git, git_watch
from agents.workspace.git_watch import GitWatches
from tests.factories import make_agent, make_user, share
from tests.git_server import forge_of
from tests.operations.sockets import page_of
from tests.repositories import Shared, write
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shared(tmp_path):
    shared = Shared(tmp_path)
    shared.commit(README="Hello\n")
    return shared


@pytest.fixture
def runtime(request):
    """Whose fixture has the name of a module that is needed here too."""
    return request.getfixturevalue("containers")


@pytest.fixture
def agent(shared, settings, runtime, monkeypatch):
    """A running agent with a repository of which nobody has asked anything."""
    monkeypatch.setattr(git_watch, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(git_watch, "RETRY_SECONDS", 0.1)
    settings.TRINITY_GIT_TRANSPORTS = ["http"]
    settings.TRINITY_GIT_ALLOWED_HOSTS = ["127.0.0.1"]
    with forge_of(shared.bare.parent) as forge:
        agent = make_agent(name="scribe")
        GitConfig.objects.create_for(agent, forge.url(shared.bare.name))
        lifecycle.start(agent, SYSTEM)
        yield Agent.objects.select_related("owner", "host").get(pk=agent.pk)


@asynccontextmanager
async def watching():
    host = await read(Host.objects.local)
    watches = GitWatches(host)
    task = asyncio.create_task(watches.run())
    try:
        yield watches
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(page, condition):
    async with asyncio.timeout(30):
        while not condition(state := await page.next("git_status", seconds=30)):
            pass
    return state


async def test_its_state_is_told_when_it_changes_and_nobody_asks(agent, runtime):
    name = f"trinity-{agent.host.instance}-{agent.uid}-workspace"
    async with page_of(agent.owner) as page:
        await page.subscribe("agent:scribe")
        async with watching():
            state = await until(page, lambda state: state["last_commit"])
            assert (state["name"], state["git_enabled"]) == ("scribe", True)
            assert (state["sync_status"], state["behind"]) == ("up_to_date", 0)
            write(runtime.folder / name / "repo", work="1")
            state = await until(page, lambda state: state["changes_count"])
            assert state["changes"] == [{"status": "??", "path": "work"}]
            assert state["sync_status"] == "pending_sync"


async def test_strangers_hear_nothing_and_those_it_is_shared_with_do(agent):
    viewer, stranger = await read(make_user), await read(make_user)
    await read(share, agent, viewer)
    async with page_of(viewer) as seeing, page_of(stranger) as other:
        await seeing.subscribe("agent:scribe")
        await other.subscribe("agent:scribe")
        async with watching():
            await until(seeing, lambda state: state["last_commit"])
            assert await other.hears_nothing()


async def test_what_has_not_changed_is_not_told_again(agent, monkeypatch):
    # The watch is begun anew whenever it was quiet, and is then told how things stand.
    monkeypatch.setattr(git, "QUIET_SECONDS", 0.2)
    opened = containers.server_of
    begun = []
    monkeypatch.setattr(containers, "server_of", lambda agent: begun.append(agent) or opened(agent))
    async with page_of(agent.owner) as page:
        await page.subscribe("agent:scribe")
        async with watching():
            await until(page, lambda state: state["last_commit"])
            await settle(lambda: len(begun) > 3)
            assert await page.hears_nothing(seconds=1)


async def test_one_that_is_stopped_or_configured_anew_is_left(agent):
    async with watching() as watches:
        await settle(lambda: len(watches._watches) == 1)
        [first] = watches._watches
        await read(lambda: GitConfig.objects.update(working_branch="other"))
        await settle(lambda: [*watches._watches] != [first] and len(watches._watches) == 1)
        await read(lambda: lifecycle.stop(agent, SYSTEM, grace_seconds=1))
        await settle(lambda: not watches._watches)


async def test_nothing_is_watched_or_cloned_while_the_host_only_reports(agent):
    async with watching() as watches:
        await settle(lambda: watches._watches)
        await read(lambda: Host.objects.update(report_only_since=timezone.now()))
        await settle(lambda: not watches._watches)


async def settle(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
