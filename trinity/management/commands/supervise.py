import asyncio
import gc
import signal
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from operations.supervisor import Supervisor
from trinity.management.steps import half


class Command(BaseCommand):
    help = (
        "Runs the supervisor half, with DATABASE_URL and REDIS_URL set; several may run, one of "
        "them acts."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        gc.freeze()  # As ``trinity.server.run`` does.
        with half(), suppress(asyncio.CancelledError):
            asyncio.run(_until_told())


async def _until_told() -> None:
    task = asyncio.create_task(Supervisor().run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    await task
