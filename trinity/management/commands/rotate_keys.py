import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import QuerySet

from agents.models import EnvironmentValue, RetainedWorkspace
from operations.models import Operation
from trinity.encryption import Unreadable, seal_anew

BATCH = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A column of sealed values; as text where the column is one of text."""

    rows: QuerySet[Any]
    name: str
    loaded: Callable[[Any], bytes] = bytes
    stored: Callable[[bytes], Any] = bytes


def columns() -> list[Column]:
    """All there is that ``seal`` has made."""
    secrets = EnvironmentValue.objects.filter(is_secret=True)
    retained = RetainedWorkspace.objects.exclude(environment="")
    return [
        Column(secrets, "value", str.encode, bytes.decode),
        Column(retained, "environment", str.encode, bytes.decode),
        Column(Operation.objects.exclude(environment=b""), "environment"),
    ]


class Command(BaseCommand):
    help = (
        "Seals every encrypted value with the first encryption key. It can be broken off and run "
        "again at any time, also while Trinity runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--new",
            action="store_true",
            help="only put a new first key into the data directory's encryption.key; "
            "then start Trinity's processes again, and run this without --new",
        )

    def handle(self, *_args: Any, new: bool, **_options: Any) -> None:
        if new:
            add_key(settings.ENCRYPTION_KEY_FILE)
            self.stdout.write(
                f"{settings.ENCRYPTION_KEY_FILE} has a new first key. Start all of Trinity's "
                "processes again, then run: manage.py rotate_keys"
            )
            return
        tally = [_seal_column(column) for column in columns()]
        changed, unreadable = sum(done for done, _ in tally), sum(bad for _, bad in tally)
        self.stdout.write(f"{changed} values sealed with the first key")
        if unreadable:
            raise CommandError(
                f"{unreadable} values cannot be read by any of the keys: put the key that sealed "
                "them behind the others, or set these values again"
            )
        self.stdout.write("All others have been before: keys behind the first can go")


def add_key(path: Path) -> None:
    """Write a new key before the others; the file has the old content or the new, whole."""
    if _kept(path) != settings.ENCRYPTION_KEYS:
        raise CommandError(
            "The keys come from TRINITY_ENCRYPTION_KEY: put a new one before the others there, "
            "with a space between them"
        )
    draft = path.with_name(f"{path.name}.new")
    draft.touch(mode=0o600)
    with draft.open("w") as file:
        file.write("\n".join([token_urlsafe(48), *settings.ENCRYPTION_KEYS]) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _kept(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _seal_column(column: Column) -> tuple[int, int]:
    """Return how many were sealed anew, and how many cannot be read."""
    changed = unreadable = 0
    for batch in _batches(column):
        with transaction.atomic():
            for pk, value in batch:
                try:
                    changed += _seal_value(column, pk, value)
                except Unreadable:
                    unreadable += 1
    return changed, unreadable


def _batches(column: Column) -> Iterator[list[tuple[Any, Any]]]:
    rows = column.rows.order_by("pk").values_list("pk", column.name)
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH])


def _seal_value(column: Column, pk: Any, value: Any) -> bool:
    sealed = seal_anew(column.loaded(value))
    if sealed is None:
        return False
    # Not one that was changed meanwhile: that is sealed with the first key already.
    unchanged = column.rows.filter(pk=pk, **{column.name: value})
    return bool(unchanged.update(**{column.name: column.stored(sealed)}))
