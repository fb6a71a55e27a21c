import pytest

from agents import lifecycle
from agents.models import Agent
from tests.factories import make_agent
from trinity.audit import SYSTEM


@pytest.fixture
def agent():
    """An agent that runs, with the real agent server."""
    agent = make_agent(name="scribe")
    lifecycle.start(agent, SYSTEM)
    return Agent.objects.select_related("host", "owner").get(pk=agent.pk)
