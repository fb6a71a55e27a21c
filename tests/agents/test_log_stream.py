"""An agent's log as server-sent events, from any number on and without an end."""

import pytest
from rest_framework.test import APIClient

from agents import events, live
from agents.database import read
from agents.models import Agent, Share
from agents.output import logs
from tests.factories import client_of, make_agent, make_user, share
from tests.streams import viewing

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/logs/stream"


@pytest.fixture
def agent():
    agent = make_agent(name="scribe")
    logs.append(agent.log_id, [(False, "a"), (True, "b"), (False, "c")], {})
    return agent


async def append(agent, *lines, **options):
    rows = [(False, line) for line in lines]
    appended = await read(logs.append, agent.log_id, rows, {}, **options)
    await live.announce_growth(agent.log_id, appended.last_seq)


async def next_lines(viewer, count):
    return [await viewer.next_event() for _ in range(count)]


def line(seq, text):
    return seq, {"type": "log", "content": text}


async def test_each_line_comes_with_its_number_and_later_ones_as_they_are_written(agent):
    async with viewing(PATH, agent.owner) as viewer:
        status, headers = await viewer.status()
        assert (status, headers[b"content-type"]) == (200, b"text/event-stream")
        assert await viewer.next_text() == "retry: 1000"
        assert await next_lines(viewer, 3) == [line(1, "a"), line(2, "b"), line(3, "c")]
        await append(agent, "d", "e")
        assert await next_lines(viewer, 2) == [line(4, "d"), line(5, "e")]


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_viewer_that_comes_back_misses_nothing_and_sees_nothing_twice(agent, how):
    seen = []
    for number in range(4):
        position = len(seen)
        given = (
            {"query": f"after={position}"} if how == "query" else {"last_event_id": str(position)}
        )
        async with viewing(PATH, agent.owner, **given) as viewer:
            await viewer.status()
            seen += await next_lines(viewer, 2)
        await append(agent, f"{number}", f"{number}.")
    assert [seq for seq, _ in seen] == list(range(1, 9))
    found = [text for _, text in await read(logs.lines_after, agent.log_id, 0, 8)]
    assert [data["content"] for _, data in seen] == found


async def test_who_asks_for_dropped_lines_gets_one_marker_and_goes_on_with_the_oldest(agent):
    await append(agent, "d", "e", keep_bytes=8)
    await append(agent, "f", keep_bytes=8)
    async with viewing(PATH, agent.owner, query="after=1") as viewer:
        await viewer.status()
        assert await next_lines(viewer, 4) == [
            line(3, logs.DROPPED),
            line(4, "d"),
            line(5, "e"),
            line(6, "f"),
        ]


async def test_a_quiet_stream_goes_on(agent, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(PATH, agent.owner, query="after=3") as viewer:
        await viewer.status()
        assert await viewer.next_text() == "retry: 1000"
        assert await viewer.next_text() == ": keep-alive"
        await read(logs.append, agent.log_id, [(False, "d")], {})
        assert await viewer.next_event() == line(4, "d")


async def test_a_share_that_is_withdrawn_ends_the_stream(agent, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    person = await read(make_user)
    await read(share, agent, person)
    async with viewing(PATH, person, query="after=3") as viewer:
        await viewer.status()
        await read(Share.objects.all().delete)
        assert await viewer.events() == []


async def test_the_end_of_the_agent_is_the_end_of_its_stream(agent, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(PATH, agent.owner, query="after=3") as viewer:
        await viewer.status()
        await read(Agent.objects.filter(pk=agent.pk).update, deleting=True)
        assert await viewer.events() == []


async def test_a_person_who_is_disabled_hears_no_more(agent, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    async with viewing(PATH, agent.owner, query="after=3") as viewer:
        await viewer.status()
        agent.owner.is_active = False
        await read(agent.owner.save)
        assert await viewer.events() == []


async def test_a_share_that_is_withdrawn_ends_also_the_sending_of_a_long_log(agent, monkeypatch):
    monkeypatch.setattr(events, "RECHECK_SECONDS", -1)
    person = await read(make_user)
    await read(share, agent, person)
    for _ in range(10):
        await append(agent, "more")
    async with viewing(PATH, person, ahead=1) as viewer:
        await viewer.status()
        await next_lines(viewer, 3)
        await read(Share.objects.all().delete)
        assert len(await viewer.events()) < 5


@pytest.mark.parametrize("position", ["x", "-1", "9" * 19])
async def test_a_position_that_is_none_is_refused(agent, position):
    async with viewing(PATH, agent.owner, query=f"after={position}") as viewer:
        assert (await viewer.status())[0] == 400


@pytest.mark.parametrize("path", ["stream", "download"])
def test_another_method_is_refused(agent, path):
    client = client_of(agent.owner)
    assert client.post(f"/api/agents/scribe/logs/{path}").status_code == 405
    assert APIClient().post(f"/api/agents/scribe/logs/{path}").status_code == 401
