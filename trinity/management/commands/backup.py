from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trinity import data_directory
from trinity.errors import TrinityError
from trinity.management import backup


class Command(BaseCommand):
    help = "Writes database, keys and artifacts into one file, also while Trinity runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to be made, FILE.tar")
        parser.add_argument(
            "--workspaces", action="store_true", help="the workspaces of all agents, too"
        )

    def handle(self, *_args: Any, file: Path, workspaces: bool, **_options: Any) -> None:
        if file.exists():
            raise CommandError(f"{file} exists: choose another name")
        try:
            with data_directory.in_use():
                backup.write(file, self.stdout.write, workspaces=workspaces)
        except TrinityError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error}") from error
        self.stdout.write(f"{file}: it holds keys, so keep it where nobody else reads")
