"""What is done with files and the environment is an activity, refused attempts too."""

import pytest

from agents import lifecycle
from agents.database import read
from agents.models import Activity, Agent
from tests.factories import client_of, make_agent
from tests.streams import viewing
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    lifecycle.start(agent, SYSTEM)
    return Agent.objects.select_related("host", "owner").get(pk=agent.pk)


def told(kind):
    found = Activity.objects.filter(activity_type=kind).order_by("started_at")
    return [(each.details, each.activity_state) for each in found]


def workspace(agent, containers):
    spec = containers._get(agent.container_id).spec
    return containers.folder / spec.workspace_volume


def test_a_file_that_is_deleted_and_one_that_is_not_there(agent, containers):
    (workspace(agent, containers) / "a.txt").write_text("a")
    client = client_of(agent.owner)
    for _ in range(2):
        client.delete("/api/agents/scribe/files?path=a.txt")
    details = {"action": "delete", "path": "a.txt"}
    assert told("file_access") == [(details, "completed"), (details, "failed")]


async def test_a_file_that_is_downloaded(agent, containers):
    (workspace(agent, containers) / "a.txt").write_text("content")
    path = "/api/agents/scribe/files/download"
    async with viewing(path, agent.owner, query="path=a.txt") as viewer:
        assert (await viewer.status())[0] == 200
        assert b"".join(await viewer.rest()) == b"content"
    async with viewing(path, agent.owner, query="path=none") as viewer:
        assert (await viewer.status())[0] == 404
    details = {"action": "download", "path": "a.txt"}
    assert await read(told, "file_access") == [(details, "completed")]


def test_variables_that_are_set_and_removed_without_their_values(agent):
    client = client_of(agent.owner)
    variables = [{"name": "KEY", "value": "hush"}]
    path = "/api/agents/scribe/environment"
    assert client.put(path, {"variables": variables}).status_code == 200
    assert client.delete(f"{path}/KEY").status_code == 200
    assert client.delete(f"{path}/KEY").status_code == 404
    assert told("credential_reload") == [
        ({"set": ["KEY"]}, "completed"),
        ({"removed": ["KEY"]}, "completed"),
        ({"removed": ["KEY"]}, "failed"),
    ]
