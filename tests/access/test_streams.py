"""Everybody asks for what is answered beside Django, and gets what the table of access says."""

import json
from datetime import timedelta

import pytest

from agents.database import read
from agents.models import Agent, Share
from operations.models import Operation
from tests.access.asking import ask
from tests.access.table import STREAMS
from tests.access.walk import denials, expected, expected_of_owner, outcome, sees_agent
from tests.access.world import SECRET, World

pytestmark = pytest.mark.django_db(transaction=True)


def headers_of(role):
    origin = [(b"origin", b"http://localhost"), (b"content-type", b"application/json")]
    if role.token:
        return [*origin, (b"authorization", f"Bearer {role.token}".encode())]
    if role.session:
        return [*origin, (b"cookie", f"sessionid={role.session}".encode())]
    return origin


def rows():
    return [list(model.objects.order_by("pk").values()) for model in (Agent, Share, Operation)]


async def walked(line, world, role, right):
    path = await read(world.path, line, role)
    before, known = await read(denials, role.user), await read(rows)
    status, body = await ask(
        line.method,
        path,
        query=line.query,
        headers=headers_of(role),
        body=json.dumps(line.body).encode() if line.body else b"",
    )
    got = outcome(line, status)
    if got != right:
        yield f"{role.name} gets {got} instead of {right}"
    if right != "yes" and await read(rows) != known:
        yield f"{role.name} is refused and changes something"
    told = await read(denials, role.user) - before
    if right in {"403", "404"} and role.user and told != 1:
        yield f"{role.name} is refused, which is told {told} times"
    may_see = sees_agent(role) or (role.counts_as == "requester" and line.requester)
    if SECRET in body and not may_see:
        yield f"{role.name} reads what is not his"


@pytest.mark.parametrize("line", STREAMS, ids=str)
async def test_streams_and_downloads(line, settings, monkeypatch):
    settings.TRINITY_CHAT_SECONDS = 0
    # Each refusal is told, not one in a minute: several come by tokens of one person.
    monkeypatch.setattr("trinity.audit.DENIAL_WINDOW", timedelta(0))
    world = await read(lambda: World(runs=line.runs))
    await read(world.put_file)
    wrong = []
    for role in await read(lambda: list(world.roles())):
        wrong += [each async for each in walked(line, world, role, expected(line, role))]
    for role in await read(lambda: list(world.owners_tokens())):
        right = expected_of_owner(line, role)
        wrong += [each async for each in walked(line, world, role, right)]
    assert not wrong, "\n".join(wrong)
