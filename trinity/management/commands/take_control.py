from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents import control
from trinity.audit import SYSTEM
from trinity.errors import TrinityError


class Command(BaseCommand):
    help = (
        "Lets Trinity act on its engine again where it only reports, after a restore or in a "
        "copy. First make sure that no other Trinity acts on these containers."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            given = control.take(SYSTEM)
        except TrinityError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Trinity acts on this engine; {given} agents were given the containers they have there"
        )
