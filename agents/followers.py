"""Brings containers' logs into Trinity: one follower a container, however many viewers."""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from agents import live, logs
from agents.database import Writer, read
from agents.errors import ContainerMissing, EngineUnavailable, LeaseLost
from agents.lines import LineSplitter
from agents.models import Agent, Log
from agents.pacing import Paced
from agents.runtime import LogEntry, get_runtime

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Cursor:
    """Where a container's log goes on: the time of the last entry, and how many share it.

    Times alone would repeat or lose entries of the same nanosecond after a restart.
    """

    container_id: str
    time_ns: int = 0
    sharing: int = 0
    stdout: LineSplitter = field(default_factory=LineSplitter)
    stderr: LineSplitter = field(default_factory=LineSplitter)

    @classmethod
    def load(cls, container_id: str, stored: dict[str, Any]) -> "Cursor":
        if stored.get("container") != container_id:
            return cls(container_id)
        rests = (b64decode(rest) for rest in stored["rests"])
        return cls(container_id, stored["time_ns"], stored["sharing"], *map(LineSplitter, rests))

    def dump(self) -> dict[str, Any]:
        rests = (self.stdout.rest, self.stderr.rest)
        return {
            "container": self.container_id,
            "time_ns": self.time_ns,
            "sharing": self.sharing,
            "rests": [b64encode(rest).decode() for rest in rests],
        }

    def take(self, entries: list[LogEntry]) -> list[logs.Line]:
        """Move on over entries and return the lines that they complete."""
        lines: list[logs.Line] = []
        for entry in entries:
            # Only forward: the engine writes entries of the two streams out of order at times.
            if entry.time_ns > self.time_ns:
                self.time_ns, self.sharing = entry.time_ns, 0
            if entry.time_ns == self.time_ns:
                self.sharing += 1
            splitter = self.stderr if entry.is_stderr else self.stdout
            lines += ((entry.is_stderr, line) for line in splitter.feed(entry.text))
        return lines

    def finish(self) -> list[logs.Line]:
        rests = ((False, self.stdout.finish()), (True, self.stderr.finish()))
        return [(is_stderr, line) for is_stderr, rest in rests for line in rest]


class LogFollower:
    """Follows one container from where its log in Trinity ends until the container does."""

    def __init__(self, writer: Writer, agent: Agent) -> None:
        self._writer = writer
        self._agent = agent

    async def run(self) -> None:
        log = await read(Log.objects.get, pk=self._agent.log_id)
        self._cursor = Cursor.load(self._agent.container_id, log.cursor)
        try:
            await self._copy(follow=True)
            # A follow can lose its tail when the container exits: read again what is stored.
            await self._copy(follow=False)
        except ContainerMissing:
            pass
        await self._store([], self._cursor.finish())

    async def _copy(self, *, follow: bool) -> None:
        entries = get_runtime().log(
            self._agent.container_id, since_ns=self._cursor.time_ns, follow=follow
        )
        unseen = _skipping(entries, self._cursor.time_ns, self._cursor.sharing)
        async with aclosing(Paced(unseen, lambda entry: len(entry.text)).chunks()) as chunks:
            async for chunk in chunks:
                await self._store(chunk, [])

    async def _store(self, entries: list[LogEntry], rest: list[logs.Line]) -> None:
        lines = self._cursor.take(entries) + rest
        if not entries and not lines:
            return
        log_id, cursor = self._agent.log_id, self._cursor.dump()
        keep_bytes = settings.TRINITY_AGENT_LOG_BYTES
        last_seq = await self._writer.write(
            lambda: logs.append(log_id, lines, cursor, keep_bytes=keep_bytes)
        )
        await announce_growth(log_id, last_seq)


async def announce_growth(log_id: int, last_seq: int) -> None:
    await live.send(live.log_group(log_id), {"type": "log.grew", "log": log_id, "seq": last_seq})


async def _skipping(
    batches: AsyncIterator[list[LogEntry]], time_ns: int, count: int
) -> AsyncIterator[list[LogEntry]]:
    """Leave out the first entries of a time: those that were stored before."""
    async for batch in batches:
        unseen = batch
        if count:
            unseen = list(_unseen(batch, time_ns, count))
            count -= len(batch) - len(unseen)
            if unseen:
                count = 0
        if unseen:
            yield unseen


def _unseen(batch: list[LogEntry], time_ns: int, count: int) -> Iterator[LogEntry]:
    for entry in batch:
        if count and entry.time_ns <= time_ns:
            count -= 1
        else:
            yield entry


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
