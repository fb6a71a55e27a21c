"""A share begins and ends for open sockets and streams, without a new page."""

import asyncio

import pytest

from agents import consumers, events, live
from agents.database import read
from tests.factories import client_of, make_operation, make_running_agent, make_user, share
from tests.operations.sockets import page_of
from tests.operations.streams import lines_in, viewing

pytestmark = pytest.mark.django_db(transaction=True)

TOPICS = ["agent:scribe", "agent:scribe:stats", "agent:scribe:logs"]


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def person():
    return make_user(email="ada@example.org")


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)


async def ask(agent, method, path, body=None):
    live.use_loop(asyncio.get_running_loop())
    client = await read(client_of, agent.owner)
    answer = await read(getattr(client, method), f"/api/agents/scribe/{path}", body)
    assert answer.status_code == 200


async def withdraw(agent):
    await ask(agent, "delete", "share/ada@example.org")


async def test_a_new_share_is_told_to_the_person_and_to_the_owner(agent, person):
    async with page_of(person) as page, page_of(agent.owner) as owners:
        assert await page.subscribe("agents") == []
        await owners.subscribe("agents")
        await ask(agent, "post", "share", {"email": person.email})
        assert (await page.next("agent_shared"))["name"] == "scribe"
        assert (await owners.next("agent_shared"))["name"] == "scribe"


async def test_a_share_withdrawn_is_told_to_the_person_and_to_the_owner(agent, person):
    await read(share, agent, person)
    async with page_of(person) as page, page_of(agent.owner) as owners:
        for each in (page, owners):
            await each.subscribe("agents")
        await withdraw(agent)
        assert (await page.next("agent_unshared"))["name"] == "scribe"
        assert (await owners.next("agent_unshared"))["name"] == "scribe"


async def test_a_share_withdrawn_ends_the_persons_subscriptions(agent, person):
    await read(share, agent, person)
    async with page_of(person) as page, page_of(agent.owner) as owners:
        for topic in TOPICS:
            await page.subscribe(topic)
        await owners.subscribe("agent:scribe")
        await withdraw(agent)
        ended = [await page.next("error") for _ in TOPICS]
        # In any order: the share may end while they are looked at one by one.
        assert sorted(each["topic"] for each in ended) == sorted(TOPICS)
        assert {each["code"] for each in ended} == {"not_found"}
        await live.announce(agent.pk, "agent_status", {"name": "scribe", "status": "stopped"})
        assert await page.hears_nothing()
        assert (await owners.next("agent_status"))["status"] == "stopped"


async def test_a_share_withdrawn_ends_the_persons_streams(agent, person):
    operation = await read(make_operation, agent=agent)
    await read(share, agent, person)
    async with viewing(operation.pk, person) as stream:
        assert (await stream.status())[0] == 200
        assert (await stream.next_event())[1]["type"] == "status"
        await withdraw(agent)
        assert lines_in(await stream.events()) == []
    async with viewing(operation.pk, person) as again:
        assert (await again.status())[0] == 404
