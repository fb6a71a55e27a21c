"""Typed readers for environment variables; every error names its variable."""

import json
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str) -> str:
    return os.environ.get(name) or default


def flag(name: str, *, default: bool) -> bool:
    match os.environ.get(name, "").lower():
        case "":
            return default
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case other:
            raise ImproperlyConfigured(f"{name}={other!r} is not a boolean: use 1 or 0")


def number(name: str, default: int, *, least: int = 0) -> int:
    raw = os.environ.get(name)
    try:
        value = int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r} is not an integer") from None
    if value < least:
        raise ImproperlyConfigured(f"{name}={value} is below {least}")
    return value


def words(name: str, default: list[str]) -> list[str]:
    raw = os.environ.get(name)
    return [word.strip() for word in raw.split(",") if word.strip()] if raw else default


def mapping(name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Read a JSON object."""
    raw = os.environ.get(name)
    try:
        value = json.loads(raw) if raw else default
    except ValueError:
        value = None
    if not isinstance(value, dict):
        # Not repeated: keys of a storage may stand in it.
        raise ImproperlyConfigured(f"{name} is not a JSON object")
    return value


def secret(name: str, default: str) -> str:
    """Read NAME, or the file that NAME_FILE points to (Docker and systemd secrets)."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {error}") from error
    return text(name, default)


def database(name: str, default_sqlite: Path) -> dict[str, Any]:
    """Turn ``postgres://user:password@host:port/name?option=value`` into Django's mapping.

    Without a value: SQLite at the given path, in WAL mode. IMMEDIATE, because a deferred
    transaction that reads and then writes fails at once with "database is locked" when
    another writer came in between, however long its busy timeout is.
    """
    raw = os.environ.get(name)
    if not raw:
        return sqlite(default_sqlite)
    url = urlsplit(raw)
    if url.scheme == "sqlite":
        return sqlite(Path(unquote(url.path)))
    if url.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must begin with postgres:// or sqlite:///")
    options = dict(pair.split("=", 1) for pair in url.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        # A server on a local socket is named by ?host=/its/directory, as libpq has it.
        "HOST": unquote(options.pop("host", url.hostname or "")),
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {key: unquote(value) for key, value in options.items()},
    }


def sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
        # Tests use a file too: a database in memory has no WAL and locks whole tables.
        "TEST": {"NAME": str(path.with_name(f"test-{path.name}"))},
    }


def kept_secret(name: str, path: Path) -> str:
    """Return the secret of NAME, else the one kept in a file of the owner's, made on first use."""
    if value := secret(name, ""):
        return value
    try:
        if path.exists():
            return path.read_text().strip()
        # The database will lie here too, and the agents' sockets: nobody else's business.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Linked into place whole: of two processes that start at once, both read one secret.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path}: {error.strerror}. Set TRINITY_DATA_DIR to a directory that can be written"
        ) from error
