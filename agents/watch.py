"""Follows one engine for the holder of its lease, and keeps the recorded state true."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from django.utils import timezone

from agents import control, engine, live, network, reconcile
from agents.database import Writer, read
from agents.errors import EngineRefused, EngineUnavailable
from agents.figures.disk import DiskWatch, Sizes
from agents.figures.sampler import Sampler
from agents.models import Agent, Host
from agents.output.followers import LogFollowers
from agents.reconcile import OUTAGE_MARGIN, Observed
from agents.runtime import Change, Container, get_runtime
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
RETRY_SECONDS = 1.0
FINISH_SECONDS = 1.0
# Somebody may empty the packet filter meanwhile; each start looks by itself.
NETWORK_SECONDS = 30.0
# How soon an observation is repeated that a verb under way made void.
AGAIN_SECONDS = 0.3


class Watch:
    """``on_status`` is called for each agent whose status was found changed.

    ``on_sizes`` is called with what all of the installation takes of the disk.
    """

    def __init__(
        self,
        host: Host,
        epoch: int,
        writer: Writer,
        on_status: Callable[[Agent], Awaitable[None]],
        on_sizes: Callable[[Sizes], Awaitable[None]],
    ) -> None:
        self._host = host
        self._epoch = epoch
        self._on_status = on_status
        self._followers = LogFollowers(writer)
        self._sampler = Sampler(writer)
        self._disk = DiskWatch(host, writer, on_status, on_sizes)
        self._is_first = True
        self._finishing: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_engine())
                tasks.create_task(self._sampler.run())
                tasks.create_task(self._disk.run())
                tasks.create_task(self._finish_verbs())
        finally:
            for task in self._tasks:
                task.cancel()
            await self._followers.close()

    async def _follow_engine(self) -> None:
        while True:
            try:
                await engine.apart(self._while_here())
            except* Unavailable as errors:
                engine.heed_cancellation()
                await self._record_away(errors.exceptions[0])
            await asyncio.sleep(RETRY_SECONDS)

    async def _while_here(self) -> None:
        """Follow events until the engine goes; also notice when it only stops answering."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_events())
            tasks.create_task(self._keep_checking())
            tasks.create_task(self._keep_network())

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await engine.ask(get_runtime().check)

    async def _keep_network(self) -> None:
        while True:
            await asyncio.sleep(NETWORK_SECONDS)
            await self._see_to_network(retry=False)

    async def _see_to_network(self, *, retry: bool) -> None:
        try:
            await engine.ask(network.see_to, self._host, retry=retry)
        except EngineRefused:
            logger.warning("The agents' network cannot be made")

    async def _follow_events(self) -> None:
        events = get_runtime().events(instance=self._host.instance)
        async for event in events:
            if event is None:
                await self._catch_up()
            elif event.change is not Change.OTHER:
                await self._observe(event.container_id, event.change)

    async def _catch_up(self) -> None:
        """See what changed while nobody looked, and bring back what went down meanwhile.

        What was stopped by hand before the engine went away stays stopped.
        """
        description = await engine.ask(get_runtime().describe)
        await read(control.meet, self._host, description.id)
        # An engine that comes back may have made its rules anew, or a machine that boots none yet.
        await self._see_to_network(retry=True)
        away_since = self._host.away_since
        is_first = self._is_first
        self._is_first = False
        seen = await engine.ask(reconcile.resync, self._host, self._epoch)
        for observed in seen:
            await self._take_note(observed)
        # Only now: until then lists show what was so before the engine went.
        await read(
            self._host.record_here,
            engine_id=description.id,
            cpus=description.cpus,
            memory_bytes=description.memory_bytes,
            epoch=self._epoch,
        )
        down = [observed.agent for observed in seen if observed.changed] if is_first else []
        if away_since:
            await live.send(live.AGENTS, {"type": "engine.state", "away_since": None})
            since = away_since - OUTAGE_MARGIN
            down += await read(reconcile.down_since, self._host, since)
        for agent in down:
            if reconcile.should_run(agent):
                self._spawn(self._finish(agent))

    async def _record_away(self, error: BaseException) -> None:
        if await read(self._host.record_away, str(error), epoch=self._epoch):
            logger.warning("%s", error)
            message = {"type": "engine.state", "away_since": timezone.now().isoformat()}
            await live.send(live.AGENTS, message)

    async def _observe(self, container_id: str, change: Change) -> None:
        try:
            observed = await engine.ask(
                reconcile.observe, self._host, self._epoch, container_id, change
            )
        except EngineRefused:
            return  # About this container alone: the others are followed on.
        if observed is None:
            return
        await self._take_note(observed)
        if observed.agent.verb and not observed.agent.deleting:
            self._spawn(self._observe_again(container_id, change))

    async def _observe_again(self, container_id: str, change: Change) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        # An engine that has gone meanwhile: all is compared again when it is back.
        with suppress(EngineUnavailable):
            await self._observe(container_id, change)

    async def _take_note(self, observed: Observed) -> None:
        agent = observed.agent
        self._sampler.saw(agent, observed.container)
        if observed.container is not None:
            self._followers.follow(agent)
            if not agent.verb and _answers(observed.container) and not self._host.report_only_since:
                self._spawn(engine.do(reconcile.hand_over, agent))
        if observed.changed:
            await live.announce_status(agent)
            await self._on_status(agent)

    async def _finish_verbs(self) -> None:
        """End what a process that was killed, or an image that was missing, left undone."""
        while True:
            if self._host.away_since is None:
                for agent in await read(reconcile.unfinished, self._host):
                    self._spawn(self._finish(agent))
            await asyncio.sleep(FINISH_SECONDS)

    async def _finish(self, agent: Agent) -> None:
        if agent.pk in self._finishing:
            return
        self._finishing.add(agent.pk)
        try:
            is_ended = await engine.do(reconcile.finish, agent)
        finally:
            self._finishing.discard(agent.pk)
        if is_ended and not agent.deleting:
            await live.announce_status(agent)
            await self._on_status(agent)
            # One that ran already has sent no event for its log and figures to begin with.
            await self._observe(agent.container_id, Change.OTHER)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("Reconciling failed", exc_info=error)


def _answers(container: Container) -> bool:
    return container.pid is not None and not container.is_paused
