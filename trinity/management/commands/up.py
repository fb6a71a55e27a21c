from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from operations.supervisor import Supervisor
from trinity.asgi import application, is_upload
from trinity.management.steps import installation, prepare
from trinity.server import run


class Command(BaseCommand):
    help = "Runs the whole product in one process: web and supervisor."

    def handle(self, *_args: Any, **_options: Any) -> None:
        with installation():
            prepare(self._say)
            run(
                application,
                is_upload=is_upload,
                host=settings.TRINITY_HOST,
                port=settings.TRINITY_PORT,
                background=Supervisor().run,
                ready=self._tell_url,
            )

    def _tell_url(self) -> None:
        host = settings.TRINITY_HOST
        shown = f"[{host}]" if ":" in host else host
        self._say(f"Trinity runs at http://{shown}:{settings.TRINITY_PORT} (Ctrl-C stops it)")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
