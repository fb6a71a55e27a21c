"""Agents with a workspace to look into, and servers that lie about theirs."""

from contextlib import contextmanager

from agents import containers as contract
from agents import lifecycle
from agents.lifecycle import NewAgent
from agents.models import Agent
from tests.agents.peers import agent_listening, greets, says
from tests.factories import make_user
from trinity.audit import Actor


def running_agent(name):
    """An agent whose server runs, as a process of this machine."""
    owner = make_user()
    made = lifecycle.create(Actor(user=owner), NewAgent(owner=owner, name=name))
    return Agent.objects.select_related("owner").get(pk=made.pk)


def workspace_of(runtime, agent):
    return runtime.folder / contract.volume_name(agent, "workspace")


def lying(agent, *answers):
    """The agent's server proves itself and then sends these bytes, whatever it is asked."""
    return _listening(agent, greets(*answers, key=contract.server_key(agent)))


def silent(agent):
    """The agent's server takes connections and says nothing. Gives the list of them."""
    return _listening(agent, says())


@contextmanager
def _listening(agent, answer):
    directory = contract.run_directory(agent)
    directory.mkdir(parents=True)
    with agent_listening(directory, answer) as connections:
        yield connections
