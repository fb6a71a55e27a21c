"""Backing an installation up: what is in the file, and what is refused."""

import sqlite3
import stat
import tarfile
from contextlib import closing

import pytest

pytestmark = pytest.mark.timeout(300)

sqlite_only = pytest.mark.parametrize("place", ["sqlite"], indirect=True, scope="session")


def test_a_backup_is_for_its_owner_only_and_leaves_nothing_beside_it(backup):
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in backup.parent.glob(".*")] == []
    with tarfile.open(backup) as tar:
        names = tar.getnames()
        assert {entry.mode for entry in tar.getmembers()} == {0o600}
    assert (names[0], names[-1]) == ("database", "manifest.json")


@sqlite_only
def test_an_existing_file_is_not_written_over(original, backup):
    content = backup.read_bytes()
    assert "exists" in original.refused("backup", str(backup))
    assert backup.read_bytes() == content


@sqlite_only
def test_keys_from_the_environment_are_not_carried_and_must_be_the_same(used, place, tmp_path):
    path, key = tmp_path / "backup.tar", (used.folder / "encryption.key").read_text()
    given = {"TRINITY_ENCRYPTION_KEY": key}
    assert "TRINITY_ENCRYPTION_KEY" in used.manage("backup", str(path), **given)
    assert key.encode() not in path.read_bytes()
    elsewhere = place.make()
    said = elsewhere.refused("restore", str(path), TRINITY_ENCRYPTION_KEY="other")
    assert "another TRINITY_ENCRYPTION_KEY" in said
    elsewhere.manage("restore", str(path), **given)
    assert not (elsewhere.folder / "encryption.key").exists()


@sqlite_only
def test_workspaces_need_an_engine_and_without_one_nothing_is_written(original, tmp_path):
    path = tmp_path / "whole.tar"
    assert "engine" in original.refused("backup", "--workspaces", str(path))
    assert list(tmp_path.iterdir()) == []


@sqlite_only
def test_what_is_being_written_is_not_in_the_backup(used, place, tmp_path, before):
    with closing(sqlite3.connect(used.folder / "trinity.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE agents_agent SET name = 'half'")
        used.manage("backup", str(tmp_path / "busy.tar"))
        other.rollback()
    elsewhere = place.make()
    elsewhere.manage("restore", str(tmp_path / "busy.tar"))
    assert elsewhere.told()["agents"] == before["agents"]
