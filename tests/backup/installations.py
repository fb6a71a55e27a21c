"""Installations to back up and to restore, and the commands an operator runs on them."""

import json
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

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
