from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trinity.errors import TrinityError
from trinity.management.backup import STAGING
from trinity.management.restore import Choices, mark_file, restore


class Command(BaseCommand):
    help = "Puts a backup in the place of this installation, which must not run."
    # What is there may be older than this code, or nothing yet.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--replace", action="store_true", help="also where there is something already"
        )
        parser.add_argument(
            "--workspaces",
            action="store_true",
            help="also make the workspaces that the engine does not have",
        )

    def handle(
        self, *_args: Any, file: Path, replace: bool, workspaces: bool, **_options: Any
    ) -> None:
        try:
            restore(file, self.stdout.write, Choices(replace=replace, workspaces=workspaces))
        except (TrinityError, OSError) as error:
            raise CommandError(f"{error}. {_outcome()}") from error
        self.stdout.write(
            "Trinity only reports for now, and changes nothing on the engine. When no other "
            "Trinity acts on these containers: manage.py take_control"
        )


def _outcome() -> str:
    if not mark_file().exists():
        return "Nothing has been changed"
    return (
        "A restore is unfinished, and nothing starts before one has come to its end. "
        f"What was there before lies in {mark_file().parent}/{STAGING}*"
    )
