"""Brings containers' logs into Trinity: one follower a container, however many viewers."""

import asyncio
import logging
from contextlib import aclosing

from django.conf import settings
from django.db import Error as DatabaseError

from agents.database import Writer, read
from agents.errors import ContainerMissing, EngineUnavailable, LeaseLost
from agents.models import Agent, Log
from agents.output import logs, shared_chunks
from agents.output.brake import Brake
from agents.output.container_logs import Cursor, skipping
from agents.output.pacing import Paced
from agents.runtime import LogEntry, get_runtime

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class LogFollower:
    """Follows one container from where its log in Trinity ends until the container does."""

    def __init__(self, writer: Writer, agent: Agent) -> None:
        self._writer = writer
        self._agent = agent

    async def run(self) -> None:
        log = await read(Log.objects.get, pk=self._agent.log_id)
        self._stored = log.cursor
        self._cursor = Cursor.load(self._agent.container_id, log.cursor)
        # Whoever only looks at the engine makes no container wait.
        self._may_hold = await read(Agent.objects.acted_on().filter(pk=self._agent.pk).exists)
        try:
            await self._copy(follow=True)
            # A follow can lose its tail when the container exits: read again what is stored.
            await self._copy(follow=False)
        except ContainerMissing:
            pass
        await self._store([], self._cursor.finish())

    async def _copy(self, *, follow: bool) -> None:
        runtime, container_id = get_runtime(), self._agent.container_id
        since_ns = self._cursor.time_ns
        entries = runtime.log(container_id, since_ns=since_ns, follow=follow)
        if follow and self._may_hold:
            brake = Brake(lambda: runtime.hold_back(container_id))
            entries = brake.through(entries, is_behind=since_ns > 0)
        unseen = skipping(entries, since_ns, self._cursor.sharing)
        async with aclosing(Paced(unseen, lambda entry: len(entry.text)).chunks()) as chunks:
            async for chunk in chunks:
                await self._store(chunk, [])

    async def _store(self, entries: list[LogEntry], rest: list[logs.Line]) -> None:
        lines = self._cursor.take(entries) + rest
        if not entries and not lines:
            return
        log_id, cursor, stored = self._agent.log_id, self._cursor.dump(), self._stored
        keep_bytes = settings.TRINITY_AGENT_LOG_BYTES
        appended = await self._writer.write(
            lambda: logs.append(log_id, lines, cursor, after=stored, keep_bytes=keep_bytes)
        )
        self._stored = cursor
        await shared_chunks.announce(log_id, appended)


class LogFollowers:
    """One follower for each running container."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    def follow(self, agent: Agent) -> None:
        """Make sure that the container is followed; also one that has just ended, to its end."""
        if agent.container_id in self._tasks:
            # It may be at the end of what came before a restart.
            self._again.add(agent.container_id)
        elif agent.container_id:
            task = asyncio.create_task(self._run(agent), name=f"log of {agent.name}")
            self._tasks[agent.container_id] = task

    async def _run(self, agent: Agent) -> None:
        try:
            await self._follow_to_the_end(agent)
        except LeaseLost:
            pass  # Another supervisor follows it now.
        except Exception:
            logger.exception("The log of %s cannot be followed", agent.name)
        finally:
            self._tasks.pop(agent.container_id, None)

    async def _follow_to_the_end(self, agent: Agent) -> None:
        while True:
            self._again.discard(agent.container_id)
            try:
                await LogFollower(self._writer, agent).run()
            except Log.DoesNotExist:
                return  # The agent was deleted.
            except logs.Moved:
                continue  # A recreation has stored lines of it: go on behind them.
            except (EngineUnavailable, DatabaseError) as error:
                logger.info("The log of %s is followed again: %s", agent.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if agent.container_id not in self._again:
                    return

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
