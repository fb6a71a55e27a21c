"""All operations of one host: begun in turn, each driven by a task of its own."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from agents import activities, containers
from agents.database import Writer, read
from agents.errors import AgentUnavailable, ContainerMissing, EngineRefused, LeaseLost
from agents.figures.disk import Sizes
from agents.models import Agent
from agents.spares import Spares
from agents.wire import AgentServer, Refused
from operations import endings, queue
from operations.execution import RETRY_SECONDS, Execution
from operations.isolated import Sweep
from operations.models import Operation
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
FORGET_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Due:
    """Operations that have a place: those to begin, and those whose end is asked for."""

    new: list[Operation]
    canceled: list[UUID]


class Executions:
    """All operations of one host, each driven by a task of its own."""

    def __init__(self, host_id: int, epoch: int, writer: Writer) -> None:
        self._host_id = host_id
        self._epoch = epoch
        self._writer = writer
        self._wake = asyncio.Event()
        self._running: dict[UUID, Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._canceled: set[UUID] = set()
        self._spares = Spares()

    def wake(self) -> None:
        self._wake.set()

    async def bound_disk(self, sizes: Sizes) -> None:
        """End those that take too much of the disk in a place of their own."""
        for execution in list(self._running.values()):
            # What fails now is tried with the next look; whose container is gone learns of it.
            with suppress(Unavailable, EngineRefused, ContainerMissing, LeaseLost, Refused):
                await execution.place.bound_disk(sizes)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forget_finished())
                tasks.create_task(Sweep(self._host_id, self._epoch).run())
                tasks.create_task(self._keep_looking())
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of all operations, wherever they stand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._spares.keep_only([])

    async def _keep_looking(self) -> None:
        while True:
            is_woken = self._wake.is_set()
            self._wake.clear()
            await self._look(is_woken=is_woken)
            # Not wait_for, which in Python 3.11 loses a cancellation that comes with the wake.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()

    async def _look(self, *, is_woken: bool) -> None:
        # One that ends while they are read is among them, and must not begin again.
        before = set(self._running)
        ended, due = await self._places_given(before, is_woken=is_woken)
        for operation in due.new:
            self._begin(operation)
        for operation_id in set(due.canceled) - self._canceled:
            self._canceled.add(operation_id)
            self._spawn(self._cancel(operation_id))
        for each in ended:
            await endings.announce(each.operation)
            await activities.announce_all(each.activities)

    async def _places_given(
        self, known: set[UUID], *, is_woken: bool
    ) -> tuple[list[queue.Ended], Due]:
        # Who is woken finds somebody waiting as a rule; who only looks must not write.
        if not is_woken and (due := await read(self._due_if_none_waits, known)) is not None:
            return [], due
        # In one go: each hop to a thread delays an operation's first line.
        return await self._writer.write(lambda: self._admit(known))

    def _due_if_none_waits(self, known: set[UUID]) -> Due | None:
        waiting, placed = queue.standing(self._host_id)
        return None if waiting else _due(placed, known)

    def _admit(self, known: set[UUID]) -> tuple[list[queue.Ended], Due]:
        ended, placed = queue.admit(self._host_id)
        return ended, _due(placed, known)

    def _begin(self, operation: Operation) -> None:
        execution = Execution(operation, self._epoch, self._writer, self._spares)
        self._running[operation.pk] = execution
        self._spawn(self._drive(operation.pk, execution))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, operation_id: UUID) -> None:
        execution = self._running.get(operation_id)
        # It may be deleted with its agent meanwhile.
        with suppress(ObjectDoesNotExist):
            if execution is None or not await execution.cancel():
                # It is to be driven again, has not begun, or its server is away: ask again at the
                # next look.
                self._canceled.discard(operation_id)

    async def _forget_finished(self) -> None:
        """Have the spools removed that were left by a supervisor's end, or a silent server.

        Also ends what goes on there though it has been given up here.
        """
        while True:
            agents = await read(self._running_agents)
            servers = [containers.server_of(agent, self._spares) for agent in agents]
            self._spares.keep_only([server.key for server in servers])
            for server in servers:
                with suppress(AgentUnavailable, Refused):
                    await self._forget_finished_of(server)
                    await server.make_spare()
            await asyncio.sleep(FORGET_SECONDS)

    async def _forget_finished_of(self, server: AgentServer) -> None:
        for operation_id in await read(_finished, await server.operations()):
            try:
                await server.forget(str(operation_id), self._epoch)
            except Refused as error:
                if error.code != "running":
                    raise
                # Its end is there to be forgotten next time.
                await server.signal(str(operation_id), self._epoch, signal="KILL")

    def _running_agents(self) -> list[Agent]:
        running = Agent.objects.acted_on().filter(host=self._host_id, status=Agent.Status.RUNNING)
        return list(running.select_related("host"))

    async def _drive(self, operation_id: UUID, execution: Execution) -> None:
        try:
            await execution.run()
        except LeaseLost:
            pass  # Another supervisor drives it now.
        except ObjectDoesNotExist:
            pass  # It was deleted with its agent.
        except Exception:
            logger.exception("Operation %s is driven again from where it stands", operation_id)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._running.pop(operation_id, None)
            self._canceled.discard(operation_id)
            # Its place is free.
            self.wake()


def _due(placed: list[queue.Placed], known: set[UUID]) -> Due:
    new = {each.id for each in placed} - known
    rows = Operation.objects.filter(pk__in=new).select_related("agent__host", "log")
    return Due(
        list(rows.order_by("created_at")) if new else [],
        [each.id for each in placed if each.is_canceled],
    )


def _finished(operation_ids: list[UUID]) -> list[UUID]:
    ended = Operation.objects.filter(pk__in=operation_ids, finished_at__isnull=False)
    return list(ended.values_list("pk", flat=True))
