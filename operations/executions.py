"""All operations of one host: begun in turn, each driven by a task of its own."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from agents import activities, containers
from agents.database import Writer, read
from agents.errors import AgentUnavailable, LeaseLost
from agents.models import Agent
from agents.wire import Refused
from operations import endings, queue
from operations.execution import RETRY_SECONDS, Execution
from operations.isolated import Sweep
from operations.models import Operation

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


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

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        try:
            self._spawn(self._forget_finished())
            self._spawn(Sweep(self._host_id, self._epoch).run())
            while True:
                self._wake.clear()
                await self._look()
                # Not wait_for, which in Python 3.11 loses a cancellation that comes with the wake.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        await self._admit()
        # One that ends while they are read is among them, and must not begin again.
        before = set(self._running)
        for operation in await read(self._placed):
            if operation.pk not in before and operation.pk not in self._running:
                self._begin(operation)
            if operation.cancel_requested_at and operation.pk not in self._canceled:
                self._canceled.add(operation.pk)
                self._spawn(self._cancel(operation.pk))

    async def _admit(self) -> None:
        if not await read(queue.has_waiting, self._host_id):
            return
        for ended in await self._writer.write(lambda: queue.admit(self._host_id)):
            await endings.announce(ended.operation)
            await activities.announce_all(ended.activities)

    def _placed(self) -> list[Operation]:
        mine = Operation.objects.placed().filter(
            agent__host=self._host_id,
            # They may go on in containers that are another's to speak with.
            agent__host__report_only_since=None,
        )
        return list(mine.select_related("agent__host").order_by("created_at"))

    def _begin(self, operation: Operation) -> None:
        execution = Execution(operation, self._epoch, self._writer)
        self._running[operation.pk] = execution
        self._spawn(self._drive(operation.pk, execution))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, operation_id: UUID) -> None:
        execution = self._running.get(operation_id)
        if execution and not await execution.cancel():
            # It has not begun, or its server is away: ask again at the next look.
            self._canceled.discard(operation_id)

    async def _forget_finished(self) -> None:
        """Have the spools removed of those that ended just before their supervisor did."""
        for agent in await read(self._running_agents):
            server = containers.server_of(agent)
            with suppress(AgentUnavailable, Refused):
                kept = await server.operations()
                for operation_id in await read(_finished, kept):
                    await server.forget(str(operation_id), self._epoch)

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


def _finished(operation_ids: list[UUID]) -> list[UUID]:
    ended = Operation.objects.filter(pk__in=operation_ids, finished_at__isnull=False)
    return list(ended.values_list("pk", flat=True))
