"""Loaded before Django's settings are read: a directory of the run's own, keys included."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# In memory where there is such a place: nearly all of a run would be waiting for the disk.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None

_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
if "TRINITY_TEST_DIR" not in os.environ:
    os.environ["TRINITY_TEST_DIR"] = tempfile.mkdtemp(prefix="trinity-test-", dir=FAST)
    atexit.register(shutil.rmtree, os.environ["TRINITY_TEST_DIR"], ignore_errors=True)
_folder = os.environ["TRINITY_TEST_DIR"]
os.environ["TRINITY_DATA_DIR"] = str(Path(_folder) / _worker)
# A developer's own deployment must not be what the tests run in.
for _name in (
    *("REDIS_URL", "TRINITY_ADMIN_PASSWORD", "TRINITY_HOST", "TRINITY_PORT"),
    "TRINITY_TEMPLATES_DIR",
    *("TRINITY_ACCEPT_ZERO_SIGNATURE", "TRINITY_SIGNER_RATE", "TRINITY_ADDRESS_RATE"),
):
    os.environ.pop(_name, None)
# Which database the tests run on is said by a name of its own.
os.environ.pop("DATABASE_URL", None)
if _url := os.environ.get("TRINITY_TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = _url
