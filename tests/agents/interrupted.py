"""A recreation that is broken off at any moment, and what has to be so afterwards."""

import re
import subprocess
from contextlib import contextmanager

import pytest

from agents import containers as contract
from agents import lifecycle, process, reconcile
from agents.environment import Variable, set_variables
from agents.models import Agent, Host, LogChunk
from agents.runtime import ContainerStatus
from tests.factories import make_agent
from trinity.audit import SYSTEM

# Says when it begins and when it ends, each time with a number of its own.
TALKS = 'trap "echo end $$; exit" TERM; echo begin $$; sleep 600 & wait'
# What changes something on the engine; the rest only asks.
EFFECTS = ("create", "start", "stop", "rename", "remove", "update", "prepare_network", "log")


class Killed(BaseException):
    """Nothing after this is done by the process: neither on the engine nor in the database."""


def make_due(*, runs):
    """An agent with a container that its next start replaces."""
    agent = make_agent(name="scribe", command=["sh", "-c", TALKS])
    lifecycle.start(agent, SYSTEM)
    workspace_of(agent).joinpath("note").write_text("keep me")
    if not runs:
        lifecycle.stop(agent, SYSTEM)
    set_variables(agent, SYSTEM, [Variable("TOKEN", "hush")])
    return agent


def workspace_of(agent):
    return contract.get_runtime().folder / contract.volume_name(agent, "workspace")


def recreate(agent):
    (lifecycle.restart if agent.status == "running" else lifecycle.start)(agent, SYSTEM)


@contextmanager
def interrupted(containers, *, at, by, after=True, writes=True):
    """Have the effect of that number be the last before the interruption; tell how many came.

    ``by`` is called there, and at each effect later; what it raises is what happens.
    """
    seen = []

    def counted(method):
        def call(*args, **kwargs):
            number = len(seen)
            seen.append(method.__name__)
            if number > at or (number == at and not after):
                by(number)
            result = method(*args, **kwargs)
            if number == at and after:
                by(number)
            return result

        return call

    def log(*args, **kwargs):
        # It is read later than it is called: what counts is the call.
        counted(suppressed)()
        return original_log(*args, **kwargs)

    def suppressed():
        """Stand for the log in the count."""

    original_log = containers.log
    with pytest.MonkeyPatch.context() as patch:
        for name in EFFECTS:
            method = log if name == "log" else counted(getattr(containers, name))
            patch.setattr(containers, name, method)
        if writes:
            # One database statement each; the release of a claim among them.
            write = counted(Agent._write)
            patch.setattr(Agent, "_write", write)
        yield seen


def gone():
    """The name of a process that has ended."""
    child = subprocess.Popen(["true"])
    holder = process.holder(child.pid)
    child.wait()
    return holder


def supervise():
    """What the supervisor does until there is nothing left to finish."""
    for _ in range(5):
        found = reconcile.unfinished(Host.objects.local())
        if not found:
            return
        for agent in found:
            reconcile.finish(agent)
    raise AssertionError(f"still unfinished: {found}")


class Witness:
    """Sees that two containers never run together, and remembers what each has printed."""

    def __init__(self, containers, patch):
        self.containers = containers
        self.all = {}
        begin = containers._begin

        def alone(container):
            others = [each for each in containers._containers.values() if each.process]
            assert not others, "two containers of one workspace run together"
            self.all[container.state.id] = container
            begin(container)

        patch.setattr(containers, "_begin", alone)
        for container in containers._containers.values():
            self.all[container.state.id] = container

    def check(self, agent, *, status):
        """Whatever happened: one container, the recorded one, and nothing is lost."""
        agent.refresh_from_db()
        assert (agent.status, agent.verb, agent.recreation) == (status, "", "")
        assert (agent.old_container_id, agent.old_spec, agent.old_ran) == ("", "", False)
        [found] = self.containers.containers(instance=agent.host.instance)
        assert found.id == agent.container_id
        assert found.name == "agent-scribe"
        assert found.labels["trinity.generation"] == str(agent.generation)
        runs = found.status is ContainerStatus.RUNNING
        assert runs == (status == "running")
        directories = {path.name for path in (self.containers.folder / "sockets").iterdir()}
        assert directories == {contract.run_directory(agent).name}
        assert workspace_of(agent).joinpath("note").read_text() == "keep me"
        self._check_log(agent)

    def _check_log(self, agent):
        """What the containers that are gone have printed is stored, each line once, in order."""
        stored = said(
            "\n".join(LogChunk.objects.filter(log=agent.log_id).values_list("text", flat=True))
        )
        current = self.all.pop(agent.container_id)
        printed = {id: said(text_of(container)) for id, container in self.all.items()}
        for lines in printed.values():
            assert [line for line in stored if line in lines] == lines
        assert len(stored) == len(set(stored))
        expected = {line for lines in printed.values() for line in lines}
        assert expected <= set(stored) <= expected | set(said(text_of(current)))


def text_of(container):
    return b"".join(entry.text for entry in container.log).decode()


def said(text):
    return re.findall(r"(?:begin|end) \d+", text)
