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


@pytest.fixture(autouse=True)
def _storage_of_its_own(settings, tmp_path):
    """The artifacts of one test are no other's."""
    backend = "django.core.files.storage.FileSystemStorage"
    artifacts = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path / "artifacts")}}
    settings.STORAGES = settings.STORAGES | {"artifacts": artifacts}
