from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.errors import EngineRefused, EngineUnavailable, ImageMissing
from agents.runtime import get_runtime


class Command(BaseCommand):
    help = "Makes sure that the agent image is there and made from the present sources."

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            get_runtime().build_image(
                "trinity-agent-base:latest", lambda text: print(text, flush=True)
            )
        except (EngineRefused, EngineUnavailable, ImageMissing) as error:
            raise CommandError(str(error)) from error
