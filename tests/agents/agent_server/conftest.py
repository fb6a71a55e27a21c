import shutil
import tempfile
from pathlib import Path

import pytest

from tests.agents.agent_server.client import Server
from tests.agents.agent_server.working_copy import WorkingCopy
from tests.repositories import Shared


@pytest.fixture
def stopped_server():
    """A server not yet started; below a short path, as sockets demand."""
    root = Path(tempfile.mkdtemp(prefix="agent-"))
    server = Server(root)
    yield server
    log = ""
    if server.process.poll() is None:
        _, log = server.terminate()
    server.process.stdout.close()
    shutil.rmtree(root)
    assert "Traceback" not in log


@pytest.fixture
def server(stopped_server):
    return stopped_server.start()


@pytest.fixture
def client(server):
    return server.client


@pytest.fixture
def shared(tmp_path):
    """A repository that others work on too, with one commit on its branch main."""
    shared = Shared(tmp_path)
    shared.commit(README="Hello\n")
    return shared


@pytest.fixture
def copy(server, shared):
    """The agent's working copy of it, not made yet."""
    return WorkingCopy(server, shared.url)
