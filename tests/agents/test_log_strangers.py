"""What is answered beside Django tells a stranger as little as every other endpoint."""

import json

import pytest

from agents.database import read
from agents.output import logs
from tests.factories import make_agent, make_user, share
from tests.streams import viewing

pytestmark = pytest.mark.django_db(transaction=True)

paths = pytest.mark.parametrize(
    "path", ["/api/agents/{}/logs/stream", "/api/agents/{}/logs/download"]
)


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    logs.append(agent.log_id, [(False, "secret")], {})
    return agent


async def refusal(path, user=None, **headers):
    async with viewing(path, user, **headers) as viewer:
        status, told = await viewer.status()
        return status, told, json.loads((await viewer.next_message())["body"])


@paths
async def test_an_agent_of_others_and_one_that_does_not_exist_look_the_same(agent, path):
    stranger = await read(make_user)
    refused = await refusal(path.format(agent.name), stranger)
    assert refused[0] == 404
    assert refused[2] == {"detail": "Agent not found", "code": "agent_not_found"}
    for name in ("no-such-agent", "sc\0ribe"):
        assert refused == await refusal(path.format(name), stranger)


@paths
@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Not authenticated"),
        ({"authorization": "Bearer wrong"}, "Could not validate credentials"),
    ],
)
async def test_without_credentials_nothing_is_answered(agent, path, headers, detail):
    status, told, body = await refusal(path.format(agent.name), **headers)
    assert (status, body) == (401, {"detail": detail})
    assert told[b"www-authenticate"] == b"Bearer"


@paths
async def test_who_it_is_shared_with_gets_it(agent, path):
    person = await read(make_user)
    await read(share, agent, person)
    async with viewing(path.format(agent.name), person) as viewer:
        assert (await viewer.status())[0] == 200
