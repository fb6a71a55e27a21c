import pytest

from tests.factories import make_running_agent
from tests.workspaces import running_agent, workspace_of


@pytest.fixture
def agent():
    """One whose server runs."""
    return running_agent("scribe")


@pytest.fixture
def liar():
    """A recorded agent; the test listens in the place of its server."""
    return make_running_agent(name="scribe")


@pytest.fixture
def workspace(agent, containers):
    return workspace_of(containers, agent)
