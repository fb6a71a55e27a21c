from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from agents import control
from agents.errors import ReportOnly
from agents.models import Host
from operations import retention
from operations.models import LeftFolder


class Command(BaseCommand):
    help = "Removes operations and artifacts that are due, as the supervisor does each minute."

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            control.check(Host.objects.local())
        except ReportOnly as error:
            # The files of a copy may be the original's, where the storage is a service.
            raise CommandError(f"Nothing is pruned. {error}") from error
        pruned = 0
        while True:
            with transaction.atomic():
                some = retention.prune()
            if not some:
                break
            pruned += some
        async_to_sync(retention.erase_left)()
        self.stdout.write(f"Pruned {pruned} operations or their artifacts")
        # Those of the last hour are looked at again; any other is one that failed.
        self.stdout.write(f"Folders still to be looked at again: {LeftFolder.objects.count()}")
