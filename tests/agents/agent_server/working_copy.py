"""The repository of an agent, as the host asks its server about it."""

from contextlib import contextmanager

from tests.agents.agent_server.client import receive, send
from tests.repositories import git, write

BRANCH = "trinity/scribe-1"


class WorkingCopy:
    def __init__(self, server, url):
        self.server = server
        self.folder = server.workspace / "repo"
        self.remote = {
            "url": url,
            "branch": BRANCH,
            "transports": ["file", "http"],
            "author": "scribe",
        }

    def ask(self, verb, **fields):
        return self.server.client.ask(f"git.{verb}", **{**self.remote, **fields})

    def sync(self, message="work", **fields):
        return self.ask("sync", message=message, **fields)

    def cloned(self):
        assert self.sync()["ok"]
        return self

    def status(self):
        answer = self.ask("status")
        assert answer["ok"], answer
        return answer

    def changes(self):
        return {change["path"]: change["status"] for change in self.status()["changes"]}

    def write(self, **files):
        write(self.folder, **files)

    def git(self, *arguments):
        """What a program of the agent does there."""
        return git(self.folder, *arguments)

    @contextmanager
    def watched(self):
        """Give a function that waits for the next state that is told."""
        with self.server.client.authenticated() as stream:
            send(stream, {"verb": "git.watch", **self.remote})
            assert receive(stream) == {"ok": True}
            yield lambda: receive(stream)["status"]
