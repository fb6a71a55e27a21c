"""A SQLite database as all migrations leave it, made once for a whole run."""

import fcntl
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@cache
def database():
    """Its path; whichever worker asks first makes it."""
    folder = Path(os.environ["TRINITY_TEST_DIR"]) / "migrated"
    folder.mkdir(exist_ok=True)
    whole = folder / "whole.sqlite3"
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            _migrate(folder)
            (folder / "trinity.sqlite3").rename(whole)
    return whole


def _migrate(folder):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=ROOT,
        env={**environment, "TRINITY_DATA_DIR": str(folder)},
        check=True,
        timeout=120,
    )
