"""Where containers' logs go on in Trinity's own, and storing the rest of one at once."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import transaction

from agents import live
from agents.errors import ContainerMissing
from agents.models import Agent, Log
from agents.output import logs
from agents.output.lines import LineSplitter
from agents.runtime import LogEntry, get_runtime

_IS_STDERR, _TEXT = attrgetter("is_stderr"), attrgetter("text")
# Without a time: it is no entry of the engine's, where the log goes on does not hang on it.
LOST = LogEntry(0, False, b"[... lines are missing that the engine had dropped unread ...]\n")


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
    #: Where the container before was left: an agent may go back to it.
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, container_id: str, stored: dict[str, Any]) -> "Cursor":
        latest = {name: value for name, value in stored.items() if name != "before"}
        if latest.get("container") == container_id:
            return cls._of(latest, stored.get("before", {}))
        before: dict[str, Any] = stored.get("before", {})
        if before.get("container") == container_id:
            return cls._of(before, latest)
        return cls(container_id, before=latest)

    @classmethod
    def _of(cls, stored: dict[str, Any], before: dict[str, Any]) -> "Cursor":
        stdout, stderr = (LineSplitter(b64decode(rest)) for rest in stored["rests"])
        times = stored["time_ns"], stored["sharing"]
        return cls(stored["container"], *times, stdout, stderr, before)

    def dump(self) -> dict[str, Any]:
        rests = (self.stdout.rest, self.stderr.rest)
        return {
            "container": self.container_id,
            "time_ns": self.time_ns,
            "sharing": self.sharing,
            "rests": [b64encode(rest).decode() for rest in rests],
            "before": self.before,
        }

    def take(self, entries: list[LogEntry]) -> list[logs.Line]:
        """Move on over entries and return the lines that they complete."""
        times = [entry.time_ns for entry in entries]
        newest = max(times, default=0)
        # Only forward: the engine writes entries of the two streams out of order at times.
        if newest > self.time_ns:
            self.time_ns, self.sharing = newest, 0
        self.sharing += times.count(self.time_ns)
        lines: list[logs.Line] = []
        for is_stderr, run in groupby(entries, _IS_STDERR):
            splitter = self.stderr if is_stderr else self.stdout
            text = b"".join(map(_TEXT, run))
            lines += zip(repeat(is_stderr), splitter.feed(text), strict=False)
        return lines

    def finish(self) -> list[logs.Line]:
        rests = ((False, self.stdout.finish()), (True, self.stderr.finish()))
        return [(is_stderr, line) for is_stderr, rest in rests for line in rest]


async def skipping(
    batches: AsyncIterator[list[LogEntry]], time_ns: int, count: int
) -> AsyncIterator[list[LogEntry]]:
    """Leave out the first entries of a time: those that were stored before.

    Where the engine has not even the last of them any more, an entry says that lines are lost.
    """
    is_lost = count > 0
    async for batch in batches:
        unseen = batch
        if count:
            unseen = list(_unseen(batch, time_ns, count))
            is_lost = is_lost and len(unseen) == len(batch)
            count -= len(batch) - len(unseen)
            if unseen:
                count = 0
        if unseen:
            yield [LOST, *unseen] if is_lost else unseen
            is_lost = False


def _unseen(batch: list[LogEntry], time_ns: int, count: int) -> Iterator[LogEntry]:
    for entry in batch:
        if count and entry.time_ns <= time_ns:
            count -= 1
        else:
            yield entry


def store_rest(agent: Agent, container_id: str) -> None:
    """Store what is not stored yet of the log of a container that has ended.

    The supervisor may do the same at this moment, in whatever process: of the two, one stores
    each line, and the other begins again behind it.
    """
    while True:
        log = Log.objects.get(pk=agent.log_id)
        with suppress(logs.Moved):
            _store_from(agent, Cursor.load(container_id, log.cursor), log.cursor)
            return


def _store_from(agent: Agent, cursor: Cursor, stored: dict[str, Any]) -> None:
    entries = get_runtime().log(cursor.container_id, since_ns=cursor.time_ns, follow=False)
    unseen = skipping(entries, cursor.time_ns, cursor.sharing)
    with suppress(ContainerMissing):
        for batch in _waited_for(unseen):
            lines = cursor.take(batch)
            stored = _append(agent, lines, cursor, stored)
    _append(agent, cursor.finish(), cursor, stored)


def _append(
    agent: Agent, lines: list[logs.Line], cursor: Cursor, stored: dict[str, Any]
) -> dict[str, Any]:
    moved = cursor.dump()
    with transaction.atomic():
        appended = logs.append(
            agent.log_id,
            lines,
            moved,
            after=stored,
            keep_bytes=settings.TRINITY_AGENT_LOG_BYTES,
        )
    live.announce_growth_from_thread(agent.log_id, appended.last_seq)
    return moved


def _waited_for(batches: AsyncIterator[list[LogEntry]]) -> Iterator[list[LogEntry]]:
    """Read in this thread, whose queries need that no event loop runs between two batches."""
    with asyncio.Runner() as runner:
        while (batch := runner.run(_next(batches))) is not None:
            yield batch


async def _next(batches: AsyncIterator[list[LogEntry]]) -> list[LogEntry] | None:
    return await anext(batches, None)
