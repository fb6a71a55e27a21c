"""Backing an installation up and restoring it elsewhere, as an operator does it."""

import fcntl
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tarfile
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests import servers

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parent.parent.parent

FILL = """
from agents.models import Agent, EnvironmentValue, Host, Log
from agents.output import logs
from trinity.encryption import seal
from trinity.models import ApiToken, User
owner = User.objects.create_superuser("root", "root@example.org", "secret")
host = Host.objects.local()
host.take_lease("gone"); Host.objects.update(lease_expires_at=None, lease_holder="")
log = Log.objects.create()
logs.append(log.pk, [(False, "a line")], {})
agent = Agent.objects.create(name="scribe", owner=owner, host=host, log=log, status="stopped")
EnvironmentValue.objects.create(
    agent=agent, name="TOKEN", is_secret=True, value=seal("hunter2").decode()
)
print(ApiToken.issue(owner, "test", expires_at=None)[1])
"""

TELL = """
import json
from agents.output import logs
from agents.models import Agent, EnvironmentValue, Host
from trinity.encryption import unseal
from trinity.identity import ApiToken
from trinity.models import AuditEvent
agents = Agent.objects.order_by("name")
host = Host.objects.local()
print(json.dumps({
    "agents": [[each.name, each.uid, each.owner.username] for each in agents],
    "logs": [logs.tail(each.log_id, 10)[0] for each in agents],
    "secrets": [unseal(each.value.encode()) for each in EnvironmentValue.objects.all()],
    "tokens": [each.digest for each in ApiToken.objects.all()],
    "instance": host.instance,
    "report_only": host.report_only_reason,
    "audit": list(AuditEvent.objects.filter(verb="restore").values_list("actor_name", flat=True)),
}))
"""


#: A restore whose last step goes wrong.
BROKEN = """
from unittest.mock import patch
from django.core.management import call_command
with patch("trinity.management.restore._only_report", side_effect={}):
    call_command("restore", {!r}, replace=True)
"""


class Installation:
    """A data directory and a database, and the commands an operator runs on them."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "TRINITY_DATA_DIR": str(folder),
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            **environment,
        }

    def run(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def manage(self, *arguments, **environment):
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments, **environment):
        """What the command says, which must be an error told to people."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 1, done.stdout
        assert done.stderr.startswith("CommandError: "), done.stderr
        return done.stderr

    def fill(self):
        self.manage("migrate", "-v0")
        self.manage("shell", "-v0", "-c", FILL)
        artifacts = self.folder / "artifacts" / "ab"
        artifacts.mkdir(parents=True)
        (artifacts / "report.pdf").write_bytes(b"\0\1" * 5000)

    def told(self):
        return json.loads(self.manage("shell", "-v0", "-c", TELL))

    def files(self):
        """All that a restore may touch, with what is in it."""
        left_out = {"lock", "beat", "installation"}
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in left_out and "sqlite3-" not in path.name
        }


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def place(request, tmp_path_factory):
    """Make installations of one kind of database, empty or as copies of another."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield Place(folder)
        return
    if lacking := servers.missing() or ("" if shutil.which("pg_dump") else "pg_dump"):
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", f"{lacking} cannot be run here"
        pytest.skip(f"{lacking} cannot be run here")
    with servers.postgres() as url:
        yield Place(folder, url)


class Place:
    def __init__(self, folder, url=None):
        self._folder = folder
        self._url = url
        self._numbers = count(1)

    def make(self, like=None, **environment):
        name = f"installation{next(self._numbers)}"
        folder = self._folder / name
        if self._url:
            template = f" TEMPLATE {like.folder.name}" if like else ""
            statement = f"CREATE DATABASE {name}{template}"
            command = ["psql", "-q", "-d", self._url, "-c", statement]
            subprocess.run(command, check=True, timeout=60, capture_output=True)
            environment["DATABASE_URL"] = f"{self._url.rpartition('/')[0]}/{name}"
        if like:
            shutil.copytree(like.folder, folder)
        return Installation(folder, **environment)


@pytest.fixture(scope="session")
def original(place):
    """Shared by all tests: none of them changes it."""
    installation = place.make()
    installation.fill()
    return installation


@pytest.fixture(scope="session")
def backup(original):
    path = original.folder.parent / "backup.tar"
    original.manage("backup", str(path))
    return path


@pytest.fixture(scope="session")
def before(original):
    return original.told()


@pytest.fixture
def used(place, original, backup):
    """An installation that is not empty: one like the original, and one artifact more."""
    installation = place.make(like=original)
    (installation.folder / "artifacts" / "later").write_text("later")
    return installation


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


def test_a_restore_that_fails_in_the_middle_leaves_all_as_it_was(used, backup, before):
    files = used.files()
    # The database is in place by then, and the files are exchanged.
    script = BROKEN.format("OSError('no space')", str(backup))
    assert "no space" in used.run("shell", "-v0", "-c", script).stderr
    assert without_database(used.files()) == without_database(files)
    assert used.told() == before


def test_after_a_restore_that_was_killed_nothing_starts_before_it_is_repeated(used, backup, before):
    script = BROKEN.format("lambda _: __import__('os')._exit(9)", str(backup))
    assert used.run("shell", "-v0", "-c", script).returncode == 9
    assert "broken off" in used.refused("up")
    used.manage("restore", "--replace", str(backup))
    assert used.told()["agents"] == before["agents"]
    assert not (used.folder / "restore-unfinished").exists()
    assert [path.name for path in used.folder.glob(".*")] == []


def without_database(files):
    return {name: content for name, content in files.items() if "sqlite" not in name}


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
