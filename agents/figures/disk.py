"""What agents take of the disk, against their limits; and whether the disk itself has room.

The engine sums up the volumes: it may read them, wherever it runs, follows no links, and does
not have to be believed less than it is anyway, while an agent's own server would have to.
"""

import asyncio
import logging
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from agents import containers, engine, lifecycle, live
from agents.database import Writer, read
from agents.errors import Busy, EngineRefused
from agents.limits import check_disk, memory_text
from agents.models import Agent, Host
from agents.runtime import get_runtime
from trinity.audit import SYSTEM, Actor, recorded
from trinity.errors import TrinityError, Unavailable

logger = logging.getLogger(__name__)

SPACE_SECONDS = 5.0
# Of all the time, looking at files takes at most one part in so many.
SHARE = 20
LOW_PERCENT = 5
# What is started again while it is too large has so long to delete files, and may not grow
# meanwhile by more than what deleting itself writes.
GRACE = timedelta(minutes=15)
GRACE_BYTES = 16 * 1024**2
STOP_SECONDS = 10


def set_limit(agent: Agent, actor: Actor, limit: str | None) -> None:
    """Record how much disk the agent may take, None for its template's own; raises InvalidLimit.

    Nothing is applied: the next look at the disk goes by it.
    """
    with recorded(actor, "set_disk_limit", "agent", agent.name, detail=limit or "default"):
        if limit is not None:
            check_disk(limit)
        agent.record(disk_limit=limit)


#: Bytes in each volume and in each run directory of the installation, by name.
Sizes = Mapping[str, int]


class DiskWatch:
    """``on_status`` is called for each agent that was stopped, ``on_sizes`` with each look."""

    def __init__(
        self,
        host: Host,
        writer: Writer,
        on_status: Callable[[Agent], Awaitable[None]],
        on_sizes: Callable[[Sizes], Awaitable[None]],
    ) -> None:
        self._host = host
        self._writer = writer
        self._on_status = on_status
        self._on_sizes = on_sizes

    async def run(self) -> None:
        look_at = 0.0
        while True:
            try:
                await self._look_at_space()
                if time.monotonic() >= look_at:
                    took = await self.look()
                    look_at = time.monotonic() + max(settings.TRINITY_DISK_SECONDS, took * SHARE)
            except (Unavailable, EngineRefused, DatabaseError) as error:
                logger.info("The disk is looked at later: %s", error)
            await asyncio.sleep(min(SPACE_SECONDS, settings.TRINITY_DISK_SECONDS))

    async def _look_at_space(self) -> None:
        refusal = await engine.ask(refusal_of)
        if await read(self._host.record_disk, refusal):
            logger.warning("%s", refusal or "There is room on the disk again")

    async def look(self) -> float:
        """Record what each agent takes, stop those that take too much; return the seconds."""
        begun = time.monotonic()
        sizes = await engine.ask(_sizes, self._host)
        took = time.monotonic() - begun
        for agent in await read(_agents, self._host):
            await self._meet(agent, _used(agent, sizes))
        await self._on_sizes(sizes)
        return took

    async def _meet(self, agent: Agent, used_bytes: int) -> None:
        before, agent.disk_used_bytes = agent.disk_used_bytes, used_bytes
        if agent.is_disk_full and must_stop(agent, before):
            # Seen a while ago, perhaps, by one who was stopped since: only with the lease.
            await self._writer.confirm()
            if not await engine.do(stop, agent):
                return  # And not recorded either, which would look as if it was started so.
            await live.announce_status(agent)
            await self._on_status(agent)
        if used_bytes != before:
            await self._writer.write(lambda: agent.record(disk_used_bytes=used_bytes))


def refusal_of() -> str:
    """Why nothing new may begin; empty while all disks have room."""
    places = {"Trinity's data": Path(settings.DATA_DIR), "the engine": get_runtime().disk()}
    for what, place in places.items():
        if place is None:
            continue
        usage = shutil.disk_usage(place)
        if usage.free * 100 < usage.total * LOW_PERCENT:
            free = memory_text(usage.free)
            return (
                f"The disk of {what} has only {free} free, less than {LOW_PERCENT} %: "
                "delete something there first"
            )
    return ""


def must_stop(agent: Agent, before: int | None) -> bool:
    """Tell whether an agent that takes too much has had its chance to delete files."""
    if agent.status != Agent.Status.RUNNING or agent.host.report_only_since:
        return False
    used, limit = agent.disk_used_bytes or 0, agent.disk_limit_bytes
    was_full = before is not None and before > limit
    is_new = agent.started_at is not None and timezone.now() - agent.started_at < GRACE
    return not (was_full and is_new and used <= (before or 0) + GRACE_BYTES)


def stop(agent: Agent) -> bool:
    """Stop an agent that takes too much; return False where another verb is under way."""
    used, limit = memory_text(agent.disk_used_bytes or 0), agent.disk
    try:
        with recorded(SYSTEM, "stop", "agent", agent.name, detail=f"disk_full: {used} of {limit}"):
            _stop(agent)
    except Busy:
        return False
    except TrinityError as error:
        logger.warning("%s takes too much of the disk and cannot be stopped: %s", agent, error)
        return False
    return True


def _stop(agent: Agent) -> None:
    with lifecycle.holding(agent, Agent.Verb.STOP):
        if agent.status != Agent.Status.RUNNING:
            return
        agent.record(desired=Agent.Desired.STOPPED)
        with lifecycle.happening(agent, Agent.Verb.STOP, SYSTEM):
            lifecycle.take_down(agent, grace_seconds=STOP_SECONDS)
            agent.release(status=Agent.Status.STOPPED, status_reason="disk_full")


def _agents(host: Host) -> list[Agent]:
    return list(Agent.objects.present().filter(host=host).select_related("host", "owner"))


def _used(agent: Agent, sizes: Sizes) -> int:
    names = [containers.volume_name(agent, purpose) for purpose in ("workspace", "spool")]
    names += [directory.name for directory in containers.run_directories(agent)]
    return sum(sizes.get(name, 0) for name in names)


def _sizes(host: Host) -> Sizes:
    volumes = get_runtime().volume_sizes(prefix=f"trinity-{host.instance}-")
    return volumes | _directories(Path(settings.DATA_DIR) / "sockets")


def _directories(parent: Path) -> dict[str, int]:
    # It follows no links and passes over what it may not read; agents write there.
    command = ["du", "--null", "--max-depth=1", "--block-size=1", "--one-file-system", str(parent)]
    found = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    sizes = {}
    for line in found.stdout.decode(errors="replace").split("\0"):
        size, _, path = line.partition("\t")
        if path:
            sizes[Path(path).name] = int(size)
    return sizes
