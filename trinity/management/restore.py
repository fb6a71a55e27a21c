"""Puts a backup in the place of this installation: all of it or nothing.

What was there stays beside it until the end. A process that is killed in the middle leaves a
mark, with which nothing starts before a restore has come to its end.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from agents.models import Agent, Host
from agents.runtime import get_runtime
from trinity import data_directory
from trinity.audit import SYSTEM, record
from trinity.errors import Conflict, Invalid
from trinity.management import databases
from trinity.management.archive import Damaged, Manifest, unpack
from trinity.management.backup import (
    ARTIFACTS,
    DATABASE,
    KEY_FILES,
    KEYS,
    STAGING,
    WORKSPACES,
    Say,
    fingerprint,
    keys_in_environment,
    staging,
)
from trinity.models import User

IMAGE = "trinity-agent-base:latest"


class NotEmpty(Conflict):
    code = "installation_not_empty"


class StillRunning(Conflict):
    code = "installation_runs"


class Unfitting(Invalid):
    """The backup is whole, and not for this installation as it is set up."""

    code = "backup_unfitting"


@dataclass(frozen=True, slots=True)
class Choices:
    replace: bool = False
    workspaces: bool = False


def restore(path: Path, say: Say, choices: Choices) -> None:
    """Restore; raises a TrinityError, after which everything is as it was before.

    Only where even that fails the mark stays, and what was there before beside it.
    """
    folder, mark = Path(settings.DATA_DIR), mark_file()
    with data_directory.to_oneself():
        unless = None if mark.exists() else mark
        with staging(folder, unless=unless) as staged:
            _check_place(choices)
            manifest = unpack(path, staged, without=() if choices.workspaces else (WORKSPACES,))
            _check_fit(manifest, staged)
            say(f"{path}: whole, of {manifest['created_at']}")
            with _new_workspaces(manifest, staged, say, wanted=choices.workspaces):
                _switch(manifest, staged)
        # What restores before this one left that were killed.
        for rest in folder.glob(f"{STAGING}*"):
            shutil.rmtree(rest, ignore_errors=True)
    say("restored")


def mark_file() -> Path:
    return Path(settings.DATA_DIR) / data_directory.UNFINISHED


def _check_place(choices: Choices) -> None:
    tables = connection.introspection.table_names()
    if "agents_host" in tables and any(host.is_led() for host in _leases()):
        raise StillRunning("A Trinity runs on this database: stop it first, and its supervisors")
    artifacts = Path(settings.DATA_DIR) / ARTIFACTS
    is_used = artifacts.is_dir() and any(artifacts.iterdir())
    is_used |= "trinity_user" in tables and User.objects.exists()
    is_used |= "agents_agent" in tables and Agent.objects.exists()
    if is_used and not choices.replace:
        raise NotEmpty(
            "This installation is not empty: back it up, then restore with --replace, "
            "or set TRINITY_DATA_DIR (and DATABASE_URL) to an empty one"
        )


def _leases() -> Iterator[Host]:
    # These columns alone: the tables may be older than this code.
    fields = ("pk", "lease_holder", "lease_expires_at")
    yield from Host.objects.only(*fields)


def _check_fit(manifest: Manifest, staged: Path) -> None:
    if manifest["database"] != databases.kind():
        raise Unfitting(
            f"The backup is of {manifest['database']}, and DATABASE_URL names {databases.kind()}"
        )
    known = MigrationLoader(None).disk_migrations or {}
    if newer := [name for app, name in manifest["migrations"] if (app, name) not in known]:
        raise Unfitting(f"The backup is of a newer Trinity, which knows {newer[0]}: install that")
    if not databases.is_whole(staged / DATABASE):
        raise Damaged("SQLite finds the database of the backup damaged")
    for name in KEY_FILES:
        _check_key(name, manifest["keys"].get(name, ""), staged / KEYS / name)


def _check_key(name: str, expected: str, file: Path) -> None:
    """Compare where one of both comes from the environment. Sessions alone hang on the first."""
    present = keys_in_environment().get(name, "")
    if file.exists() and present:
        expected = fingerprint(file.read_text().strip())
    if name == "secret.key" or not (present or expected) or not expected:
        return
    if fingerprint(present) != expected:
        raise Unfitting(
            f"What the backup holds was sealed with another {KEY_FILES[name]}: "
            "set it to the one of that installation"
        )


@contextmanager
def _new_workspaces(manifest: Manifest, staged: Path, say: Say, *, wanted: bool) -> Iterator[None]:
    """Make the volumes that are not there; away with them again if all else fails."""
    made: list[str] = []
    try:
        if wanted and manifest["workspaces"]:
            _fill_volumes(manifest, staged, made, say)
        yield
    except BaseException:
        for volume in made:
            get_runtime().remove_volume(volume)
        raise


def _fill_volumes(manifest: Manifest, staged: Path, made: list[str], say: Say) -> None:
    runtime = get_runtime()
    runtime.build_image(IMAGE, say)
    prefix = f"trinity-{manifest['instance']}-"
    there = runtime.volumes(prefix=prefix)
    for uid, name in manifest["workspaces"].items():
        volume = f"{prefix}{uid}-workspace"
        if volume in there:
            say(f"workspace of {name}: there is one, which stays as it is")
            continue
        made.append(volume)
        with (staged / WORKSPACES / f"{uid}.tar").open("rb") as file:
            runtime.import_volume(volume, file)
        say(f"workspace of {name}: restored")


def _switch(manifest: Manifest, staged: Path) -> None:
    mark, previous = mark_file(), staged / "previous"
    was_unfinished = mark.exists()
    previous.mkdir()
    databases.dump(previous / DATABASE)
    mark.write_text(f"{staged.name}\n")
    try:
        databases.load(staged / DATABASE)
        _exchange(staged, previous)
        call_command("migrate", verbosity=0, interactive=False)
        _only_report(manifest)
    except BaseException:
        databases.load(previous / DATABASE)
        _put_back(previous)
        if not was_unfinished:
            mark.unlink()
        raise
    mark.unlink()


def _files(staged: Path) -> Iterator[tuple[Path, Path]]:
    """What takes the place of what, the database apart."""
    folder = Path(settings.DATA_DIR)
    for name in KEY_FILES:
        if (staged / KEYS / name).exists():
            yield staged / KEYS / name, folder / name
    yield staged / ARTIFACTS, folder / ARTIFACTS


def _exchange(staged: Path, previous: Path) -> None:
    for new, place in _files(staged):
        if place.exists():
            place.rename(previous / place.name)
        if new.exists():
            new.rename(place)


def _put_back(previous: Path) -> None:
    folder = Path(settings.DATA_DIR)
    for name in [*KEY_FILES, ARTIFACTS]:
        if (previous / name).exists():
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            (previous / name).replace(folder / name)


def _only_report(manifest: Manifest) -> None:
    reason = f"This installation was restored from a backup of {manifest['created_at']}"
    Host.objects.update(
        report_only_since=timezone.now(),
        report_only_reason=reason,
        lease_holder="",
        lease_expires_at=None,
    )
    record(SYSTEM, "restore", "installation", manifest["instance"], detail=reason)
