"""Writes all that an installation is into one file."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from agents.errors import VolumeMissing
from agents.models import Agent, Host, RetainedWorkspace
from agents.runtime import get_runtime
from trinity import env
from trinity.api import json_time
from trinity.management import databases
from trinity.management.archive import Archive, Manifest, writing

Say = Callable[[str], None]

DATABASE = "database"
KEYS = "keys/"
ARTIFACTS = "artifacts"
WORKSPACES = "workspaces/"
STAGING = ".trinity-"
# Files of the data directory, and what takes their place where it is set.
KEY_FILES = {
    "secret.key": "TRINITY_SECRET_KEY",
    "encryption.key": "TRINITY_ENCRYPTION_KEY",
    "agents.key": "TRINITY_AGENT_KEY",
}


def write(path: Path, say: Say, *, workspaces: bool) -> None:
    """Write the backup; the file appears when it is whole. Raises EngineUnavailable, ToolFailed."""
    if workspaces:
        get_runtime().check()
    with staging(path.absolute().parent) as folder, writing(path) as archive:
        taken_at = timezone.now()
        dumped = folder / DATABASE
        databases.dump(dumped)
        archive.add(DATABASE, dumped)
        say(f"database: {dumped.stat().st_size / 1024**2:.1f} MiB of {databases.kind()}")
        _add_keys(archive, say)
        # After the database: what that names is there, or has been deleted since.
        _add_artifacts(archive, say)
        kept = dict(_add_workspaces(archive, folder, say)) if workspaces else {}
        archive.finish({"created_at": json_time(taken_at), "workspaces": kept, **_facts()})


@contextmanager
def staging(beside: Path, *, unless: Path | None = None) -> Iterator[Path]:
    """A directory of nobody else's, which is gone afterwards, ``unless`` that file is there."""
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=beside))
    try:
        yield folder
    finally:
        if unless is None or not unless.exists():
            shutil.rmtree(folder, ignore_errors=True)


def _facts() -> Manifest:
    return {
        "database": databases.kind(),
        "migrations": applied_migrations(),
        "instance": Host.objects.local().instance,
        "keys": {name: fingerprint(text) for name, text in keys_in_environment().items()},
    }


def applied_migrations() -> list[list[str]]:
    return sorted(list(each) for each in MigrationRecorder(connection).applied_migrations())


def keys_in_environment() -> dict[str, str]:
    """Keys that are not in the data directory, by the names that their files would have."""
    found = {name: env.secret(variable, "") for name, variable in KEY_FILES.items()}
    return {name: text for name, text in found.items() if text}


def fingerprint(key: str) -> str:
    """By which a key is known again. It tells nothing: a key is too random to be guessed."""
    return hashlib.sha256(f"trinity-backup:{key}".encode()).hexdigest()


def _add_keys(archive: Archive, say: Say) -> None:
    elsewhere = keys_in_environment()
    for name, variable in KEY_FILES.items():
        if name in elsewhere:
            say(f"{name}: not in the backup, for it comes from {variable}. Keep it apart")
        elif (file := Path(settings.DATA_DIR) / name).exists():
            archive.add(f"{KEYS}{name}", file)


def _add_artifacts(archive: Archive, say: Say) -> None:
    folder = Path(settings.DATA_DIR) / ARTIFACTS
    count = 0
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            archive.add(f"{ARTIFACTS}/{file.relative_to(folder).as_posix()}", file)
            count += 1
    say(f"artifacts: {count} files")


def _add_workspaces(archive: Archive, folder: Path, say: Say) -> Iterator[tuple[str, str]]:
    """Add each workspace as an archive of its own; yield its agent's mark and name."""
    instance = Host.objects.local().instance
    for uid, name in _workspaces():
        file = folder / "workspace"
        with file.open("wb") as into:
            try:
                get_runtime().export_volume(f"trinity-{instance}-{uid}-workspace", into)
            except VolumeMissing:
                say(f"workspace of {name}: there is none")
                continue
        archive.add(f"{WORKSPACES}{uid}.tar", file)
        say(f"workspace of {name}: {file.stat().st_size / 1024**2:.1f} MiB")
        yield uid, name


def _workspaces() -> list[tuple[str, str]]:
    agents: Any = Agent.objects.order_by("name").values_list("uid", "name")
    retained = RetainedWorkspace.objects.filter(has_workspace=True).values_list("uid", "name")
    return list(dict([*retained, *agents]).items())
