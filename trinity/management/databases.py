"""The database as one file: a copy of SQLite's while it is in use, a dump of PostgreSQL's."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections
from psycopg.conninfo import make_conninfo

from trinity.errors import Unavailable

SECONDS = 6 * 3600
# Nobody else should hold a table; whoever does is not waited for.
LOCK_SECONDS = 5


class ToolFailed(Unavailable):
    """One of PostgreSQL's programs is missing or failed; the text has its last words."""

    code = "database_tool_failed"


def kind() -> str:
    return connection.vendor


def dump(into: Path) -> None:
    """Write the whole database as it is at one moment; others go on writing meanwhile."""
    if kind() == "sqlite":
        _copy_sqlite(into)
    else:
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--file={into}"]
        _run("pg_dump", *options, _conninfo())
    into.chmod(0o600)


def load(dumped: Path | None) -> None:
    """Put a dump in the place of what is there, all of it or nothing; None leaves no tables."""
    connections.close_all()
    if kind() == "sqlite":
        _replace_sqlite(dumped)
    else:
        _replace_postgres(dumped)


def _sqlite_path() -> Path:
    return Path(settings.DATABASES["default"]["NAME"])


def _copy_sqlite(into: Path) -> None:
    source, target = sqlite3.connect(_sqlite_path()), sqlite3.connect(into)
    with closing(source), closing(target):
        source.backup(target)


def _replace_sqlite(dumped: Path | None) -> None:
    path = _sqlite_path()
    draft = path.with_name(f"{path.name}.new")
    if dumped is not None:
        shutil.copyfile(dumped, draft)
        draft.chmod(0o600)
    # The log of changes belongs to the file that goes.
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    if dumped is not None:
        draft.replace(path)


def _replace_postgres(dumped: Path | None) -> None:
    tables = ", ".join(connection.ops.quote_name(name) for name in _tables())
    connections.close_all()
    # Drop, create and fill in one transaction: with an error nothing has happened.
    steps = [f"--command=SET lock_timeout = '{LOCK_SECONDS}s'"]
    steps += [f"--command=DROP TABLE {tables} CASCADE"] if tables else []
    if dumped is not None:
        script = dumped.with_suffix(".sql")
        script.touch(mode=0o600)
        _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(dumped))
        steps.append(f"--file={script}")
    once = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    _run("psql", *once, f"--dbname={_conninfo()}", *steps)


def _tables() -> list[str]:
    with connection.cursor() as cursor:
        return connection.introspection.table_names(cursor)


def _conninfo() -> str:
    database = settings.DATABASES["default"]
    named = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    given: dict[str, Any] = {key: database[name] for key, name in named.items() if database[name]}
    return make_conninfo(**given, **database["OPTIONS"])


def _run(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, which is ours."""
    environment = {**os.environ, "PGPASSWORD": settings.DATABASES["default"]["PASSWORD"]}
    try:
        subprocess.run(  # noqa: S603
            [program, *arguments],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except FileNotFoundError as error:
        raise ToolFailed(
            f"{program} is not installed: it comes with PostgreSQL's client programs"
        ) from error
    except subprocess.CalledProcessError as error:
        raise ToolFailed(f"{program}: {error.stderr.strip()[-500:]}") from error


def is_whole(dumped: Path) -> bool:
    """Tell whether SQLite finds its file consistent; PostgreSQL's is known by loading it."""
    if kind() != "sqlite":
        return True
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(dumped)) as database:
        return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))
    return False
