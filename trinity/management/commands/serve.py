import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from agents import live
from trinity.asgi import application, is_upload
from trinity.management.steps import half, tell_control
from trinity.server import run


class Command(BaseCommand):
    help = "Runs the web half; start as many as needed, with DATABASE_URL and REDIS_URL set."

    def handle(self, *_args: Any, **_options: Any) -> None:
        with half():
            tell_control(self.stdout.write)
            run(
                application,
                is_upload=is_upload,
                host=settings.TRINITY_HOST,
                port=settings.TRINITY_PORT,
                background=_stay,
                ready=lambda: self.stdout.write(f"web half at port {settings.TRINITY_PORT}"),
            )


async def _stay() -> None:
    """Name the consumers' loop, which verbs in threads send their events through."""
    live.use_loop(asyncio.get_running_loop())
    await asyncio.Event().wait()
