"""Tells viewers when a repository's state has changed: the agents' servers tell us.

One open question to each running agent that has a repository; nothing is asked twice. Which
agents those are is one query every few seconds.
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

from agents import live
from agents.answers.git import GitStatus
from agents.database import read
from agents.models import Agent, Host
from agents.wire import Refused
from agents.workspace import git
from trinity.errors import TrinityError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 15.0
# However often an agent's server says that something is new.
PACE_SECONDS = 1.0
# What an event carries; a page that wants all of them asks for the status.
SHOWN_CHANGES = 100

Key = tuple[int, int, str, str]


class GitWatches:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._watches: dict[Key, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while True:
                wanted = await read(_wanted, self._host)
                for key in self._watches.keys() - wanted.keys():
                    self._watches.pop(key).cancel()
                for key in wanted.keys() - self._watches.keys():
                    self._watches[key] = asyncio.create_task(_follow(wanted[key]))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for watch in self._watches.values():
                watch.cancel()


def _wanted(host: Host) -> dict[Key, Agent]:
    """Who is to be watched; another key is another container or configuration."""
    # Nothing is cloned by itself while it is not sure whose agents these are.
    known = Agent.objects.present().acted_on()
    running = known.filter(host=host, status=Agent.Status.RUNNING)
    agents = running.exclude(git=None).select_related("git", "host")
    return {
        (agent.pk, agent.generation, agent.git.repository, agent.git.working_branch): agent
        for agent in agents
    }


async def _follow(agent: Agent) -> None:
    told: GitStatus | None = None
    while True:
        try:
            async with aclosing(git.watch(agent)) as states:
                async for state in states:
                    if state != told:
                        told = state
                        await live.announce(agent.pk, "git_status", event_of(agent, state))
                    await asyncio.sleep(PACE_SECONDS)
        except (TrinityError, Refused) as error:
            logger.info("The repository of %s is not watched: %s", agent.name, error)
        except Exception:
            logger.exception("The watch of %s's repository failed", agent.name)
        await asyncio.sleep(RETRY_SECONDS)


def event_of(agent: Agent, state: GitStatus) -> dict[str, Any]:
    return {"name": agent.name, **state, "changes": state["changes"][:SHOWN_CHANGES]}
