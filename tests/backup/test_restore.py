"""Restoring a backup, elsewhere or in place of what is there, as an operator does it."""

import fcntl
import sqlite3
import stat
from contextlib import closing

import pytest

pytestmark = pytest.mark.timeout(300)

sqlite_only = pytest.mark.parametrize("place", ["sqlite"], indirect=True, scope="session")


def test_a_restored_installation_has_all_that_the_original_had(original, backup, before, place):
    elsewhere = place.make()
    assert "take_control" in elsewhere.manage("restore", str(backup))
    after = elsewhere.told()
    assert after.pop("report_only").startswith("This installation was restored from a backup of 2")
    assert after.pop("audit") == ["system"]
    assert after == {name: before[name] for name in after}
    assert after["secrets"] == ["hunter2"]
    assert after["logs"] == [["a line"]]
    for name in ("secret.key", "encryption.key", "agents.key"):
        assert (elsewhere.folder / name).read_text() == (original.folder / name).read_text()
        assert stat.S_IMODE((elsewhere.folder / name).stat().st_mode) == 0o600
    artifact = "artifacts/ab/report.pdf"
    assert (elsewhere.folder / artifact).read_bytes() == (original.folder / artifact).read_bytes()
    assert [path.name for path in elsewhere.folder.glob(".*")] == []


def test_where_there_is_something_already_it_must_be_said(used, backup, before):
    files = used.files()
    assert "--replace" in used.refused("restore", str(backup))
    assert used.files() == files
    assert used.told() == before


def test_with_replace_what_came_after_the_backup_is_gone(used, backup, before):
    used.manage("restore", "--replace", str(backup))
    told = used.told()
    assert told["agents"] == before["agents"]
    assert "restored" in told["report_only"]
    assert not (used.folder / "artifacts" / "later").exists()


@sqlite_only
def test_while_trinity_runs_on_the_data_directory_nothing_is_restored(used, backup):
    files = used.files()
    with (used.folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        said = used.refused("restore", "--replace", str(backup))
    assert "runs on this data directory" in said
    assert used.files() == files


@sqlite_only
def test_while_a_supervisor_has_the_lease_nothing_is_restored(used, backup):
    with closing(sqlite3.connect(used.folder / "trinity.sqlite3")) as database, database:
        database.execute(
            "UPDATE agents_host SET lease_holder = 'elsewhere',"
            " lease_expires_at = datetime('now', '+5 minutes')"
        )
    files = used.files()
    assert "runs on this database" in used.refused("restore", "--replace", str(backup))
    assert used.files() == files
