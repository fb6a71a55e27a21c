from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.models import Host
from agents.runtime import get_runtime
from trinity.errors import Unavailable


class Command(BaseCommand):
    help = (
        "Removes the agents' networks and the rules that guard them, when no agent runs. "
        "A later start of an agent makes them again."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            get_runtime().remove_networks(instance=Host.objects.local().instance)
        except Unavailable as error:
            raise CommandError(f"{error}. Stop all agents first") from error
