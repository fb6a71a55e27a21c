"""Open sockets and streams are counted for as long as they are open."""

import pytest

from agents.database import read
from tests.factories import make_running_agent
from tests.operations.sockets import page_of
from tests.streams import viewing
from trinity.measures import VIEWERS

pytestmark = pytest.mark.django_db(transaction=True)


def open_now(kind):
    [metric] = VIEWERS.collect()
    return sum(each.value for each in metric.samples if each.labels == {"kind": kind})


async def test_a_socket_is_a_viewer():
    agent = await read(make_running_agent)
    before = open_now("socket")
    async with page_of(agent.owner):
        assert open_now("socket") == before + 1
    assert open_now("socket") == before


async def test_a_stream_is_a_viewer():
    agent = await read(make_running_agent)
    before = open_now("stream")
    async with viewing(f"/api/agents/{agent.name}/logs/stream", agent.owner) as viewer:
        await viewer.status()
        await viewer.next_text()
        assert open_now("stream") == before + 1
    assert open_now("stream") == before
