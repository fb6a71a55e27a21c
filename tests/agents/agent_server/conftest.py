import shutil
import tempfile
from pathlib import Path

import pytest

from tests.agents.agent_server.client import Server


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
