"""A log by the live socket: from any line on, and no faster than the page shows it."""

import pytest

from agents import consumers, live
from agents.database import read
from agents.output import logs
from tests.factories import make_operation, make_running_agent
from tests.operations.sockets import page_of

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = "agent:scribe:logs"


@pytest.fixture
def agent():
    agent = make_running_agent(name="scribe")
    logs.append(agent.log_id, [(False, "a"), (False, "b")], {})
    return agent


async def append(log_id, *lines):
    appended = await read(logs.append, log_id, [(False, line) for line in lines], {})
    await live.announce_growth(log_id, appended.last_seq)


async def test_a_log_is_followed_from_its_end_on(agent):
    async with page_of(agent.owner) as page:
        assert await page.subscribe(TOPIC) == []
        await append(agent.log_id, "c", "d")
        assert await page.next("log") == {"topic": TOPIC, "seq": 4, "lines": ["c", "d"]}


@pytest.mark.parametrize(("after", "lines"), [(0, ["a", "b"]), (1, ["b"])])
async def test_a_log_is_resumed_with_the_line_after_the_last_one_seen(agent, after, lines):
    async with page_of(agent.owner) as page:
        await page.say(subscribe=TOPIC, after=after)
        assert await page.next("log") == {"topic": TOPIC, "seq": 2, "lines": lines}


async def test_nothing_is_lost_or_repeated_over_a_reconnect(agent):
    seen, last = [], 0
    for number in range(3):
        async with page_of(agent.owner) as page:
            await page.say(subscribe=TOPIC, after=last)
            told = await page.next("log")
            seen, last = seen + told["lines"], told["seq"]
        await append(agent.log_id, f"line {number}")
    assert seen == ["a", "b", "line 0", "line 1"]


async def test_a_page_that_does_not_acknowledge_gets_no_more_than_the_window(agent, monkeypatch):
    monkeypatch.setattr(consumers, "WINDOW_BYTES", 10)
    async with page_of(agent.owner) as page:
        await page.subscribe(TOPIC)
        for number in range(4):
            await append(agent.log_id, f"line {number}")
        first, second = await page.next("log"), await page.next("log")
        assert [first["lines"], second["lines"]] == [["line 0"], ["line 1"]]
        assert await page.hears_nothing()
        await page.say(ack=TOPIC, seq=first["seq"])
        assert (await page.next("log"))["lines"] == ["line 2"]
        assert await page.hears_nothing()
        await page.say(ack=TOPIC, seq=second["seq"] + 1)
        assert (await page.next("log"))["lines"] == ["line 3"]


async def test_a_full_window_of_one_log_does_not_hold_up_another(agent, monkeypatch):
    monkeypatch.setattr(consumers, "WINDOW_BYTES", 1)
    operation = await read(make_operation, agent=agent)
    other = f"operation:{operation.pk}:logs"
    async with page_of(agent.owner) as page:
        await page.subscribe(TOPIC)
        await page.subscribe(other)
        await append(agent.log_id, "c")
        await append(agent.log_id, "d")
        await page.next("log")
        await append(operation.log_id, "here")
        assert await page.next("log") == {"topic": other, "seq": 1, "lines": ["here"]}


async def test_an_acknowledgement_of_what_has_just_ended_is_no_error(agent):
    async with page_of(agent.owner) as page:
        await page.subscribe(TOPIC)
        await page.say(unsubscribe=TOPIC)
        await page.say(ack=TOPIC, seq=2)
        assert await page.settled() == []


async def test_subscribing_again_begins_again(agent):
    async with page_of(agent.owner) as page:
        for _ in range(2):
            await page.say(subscribe=TOPIC, after=0)
            assert (await page.next("log"))["lines"] == ["a", "b"]
        assert await page.hears_nothing()


async def test_a_wake_up_that_is_lost_costs_only_time(agent, monkeypatch):
    monkeypatch.setattr(consumers, "WAKE_SECONDS", 0.1)
    async with page_of(agent.owner) as page:
        await page.subscribe(TOPIC)
        await read(logs.append, agent.log_id, [(False, "c")], {})
        assert (await page.next("log"))["lines"] == ["c"]
