"""Everybody subscribes to every topic of the live socket, and hears what the table says."""

import pytest
from channels.testing import WebsocketCommunicator

from agents.database import read
from tests.access.table import TOPICS
from tests.access.test_streams import headers_of
from tests.access.walk import denials, expected, sees_agent
from tests.access.world import World
from tests.operations.sockets import Page
from trinity.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = {"not_found": "404"}


async def subscribed(world, role):
    """What each line is answered, with all that was told to the subscriber."""
    headers = [pair for pair in headers_of(role) if pair[0] != b"content-type"]
    socket = WebsocketCommunicator(application, "/ws", [(b"host", b"localhost"), *headers])
    connected, _ = await socket.connect(timeout=10)
    page, found = Page(socket), {}
    for line in TOPICS:
        told = await page.subscribe(await read(world.path, line, role)) if connected else []
        errors = [frame["data"]["code"] for frame in told if frame["event"] == "error"]
        found[str(line)] = WORDS[errors[0]] if errors else "yes" if connected else "closed"
        if line.lists:
            names = {frame["data"].get("name") for frame in told}
            assert (world.agent.name in names) == (connected and sees_agent(role)), role.name
    await socket.disconnect()
    return found


async def test_topics():
    world = await read(World)
    answers, table = {}, {}
    for role in await read(lambda: list(world.roles())):
        before = await read(denials, role.user)
        answers[role.name] = await subscribed(world, role)
        table[role.name] = {str(line): expected(line, role) for line in TOPICS}
        is_refused = {"404", "closed"} & {*answers[role.name].values()}
        if role.user and is_refused and role.counts_as != "nobody":
            assert await read(denials, role.user) > before, role.name
    assert answers == table
