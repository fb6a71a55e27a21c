"""The supervisor: acts on one engine for as long as it holds that host's lease."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from channels.layers import get_channel_layer
from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseError
from django.db import connection
from redis.exceptions import RedisError

from agents import activities, control, engine, live, process
from agents.database import Writer, read
from agents.errors import LeaseLost
from agents.janitor import Janitor
from agents.models import Agent, Host
from agents.runtime import get_runtime
from agents.watch import Watch
from agents.workspace.git_watch import GitWatches
from operations import retention
from operations.executions import Executions
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

RENEW_SECONDS = 3.0
TAKE_SECONDS = 1.0


class Supervisor:
    async def run(self) -> None:
        """Hold the lease and act, again and again, until cancelled."""
        live.use_loop(asyncio.get_running_loop())
        while True:
            host, epoch = await self._take_lease()
            await read(control.look, host)
            logger.info("Supervising host %s in epoch %d", host, epoch)
            try:
                await engine.apart(self._act(host, epoch))
            except* LeaseLost:
                logger.warning("Another supervisor took host %s over", host)
            except* (DatabaseError, ObjectDoesNotExist, OSError, RedisError) as errors:
                # What this hangs on went away: begin anew when it is back. A row that somebody
                # deletes at the wrong moment must not end the whole process either.
                logger.error("Supervising was broken off: %s", errors.exceptions)  # noqa: TRY400
                await asyncio.sleep(TAKE_SECONDS)
            finally:
                with suppress(DatabaseError, OSError):
                    await asyncio.shield(read(_release, host, epoch))
            engine.heed_cancellation()

    async def _take_lease(self) -> tuple[Host, int]:
        while True:
            with suppress(DatabaseError, OSError):
                host = await read(Host.objects.local)
                if await self._reaches_engine(host):
                    epoch = await read(host.take_lease, process.HOLDER)
                    if epoch is not None:
                        return host, epoch
            await asyncio.sleep(TAKE_SECONDS)

    @staticmethod
    async def _reaches_engine(host: Host) -> bool:
        """Only one that reaches the engine may hold its lease; without any, say so."""
        try:
            await engine.ask(lambda: get_runtime().check())
        except Unavailable as error:
            if not await read(host.is_led) and await read(host.record_away, str(error)):
                logger.warning("%s", error)
            return False
        return True

    async def _act(self, host: Host, epoch: int) -> None:
        writer = Writer(guard=lease_guard(host.pk, epoch))
        executions = Executions(host.pk, epoch, writer)

        async def on_status(_agent: Agent) -> None:
            executions.wake()

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._renew(host, epoch))
                watch = Watch(host, epoch, writer, on_status, executions.bound_disk)
                tasks.create_task(watch.run())
                tasks.create_task(executions.run())
                tasks.create_task(Janitor(host, epoch).run())
                tasks.create_task(activities.keep_tidy(writer))
                tasks.create_task(retention.keep_tidy(host, writer))
                tasks.create_task(GitWatches(host).run())
                tasks.create_task(self._hear(executions))
        finally:
            await asyncio.to_thread(writer.close)

    @staticmethod
    async def _renew(host: Host, epoch: int) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not await read(host.renew_lease, epoch):
                raise LeaseLost

    @staticmethod
    async def _hear(executions: Executions) -> None:
        """Wake the executions when a web process says that there is work."""
        layer: Any = get_channel_layer()
        # Shielded: Redis's client may swallow a cancellation while it connects, and the
        # supervisor would never end.
        channel = await asyncio.shield(_subscribe(layer))
        try:
            while True:
                await layer.receive(channel)
                executions.wake()
        finally:
            with suppress(Exception):
                await layer.group_discard(live.SUPERVISOR, channel)


async def _subscribe(layer: Any) -> str:
    channel: str = await layer.new_channel("supervisor.")
    await layer.group_add(live.SUPERVISOR, channel)
    return channel


def _release(host: Host, epoch: int) -> None:
    control.beat(host, epoch)
    host.release_lease(epoch)


def lease_guard(host_id: int, epoch: int) -> Callable[[], None]:
    """Return what raises LeaseLost unless the lease is held, for the writer's transactions."""
    # Locked: nobody takes the lease over before the transaction ends. Rows that refer to the
    # host may come and go meanwhile.
    held = Host.objects.select_for_update(no_key=True).filter(pk=host_id, lease_epoch=epoch)
    # Only once: every transaction begins with it, and to make the SQL takes longer than to ask.
    # And not before the first of them, because it must not be made outside.
    sql = cache(held.values("pk").query.sql_with_params)

    def check() -> None:
        with connection.cursor() as cursor:
            cursor.execute(*sql())
            if cursor.fetchone() is None:
                raise LeaseLost

    return check
