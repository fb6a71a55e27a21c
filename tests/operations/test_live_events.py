"""What a page hears by the live socket: that which it subscribed to, and how things stand."""

import pytest
from channels.layers import get_channel_layer

from agents import consumers, live
from agents.database import read
from agents.models import Host
from operations import endings
from tests.factories import make_operation, make_running_agent
from tests.operations.sockets import page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


async def test_without_a_subscription_nothing_is_pushed(agent):
    async with page_of(agent.owner) as page:
        await live.announce(agent.pk, "agent_started", {"name": "scribe", "status": "running"})
        assert await page.hears_nothing()


@pytest.mark.parametrize("topic", ["agents", "agent:scribe"])
async def test_a_new_subscriber_is_told_how_things_stand(agent, topic):
    async with page_of(agent.owner) as page:
        [told] = await page.subscribe(topic)
        assert told == {
            "event": "agent_status",
            "data": {
                "name": "scribe",
                "status": "running",
                "status_reason": "",
                "engine_away_since": None,
            },
        }


async def test_an_operations_subscriber_is_told_how_it_stands_and_what_becomes_of_it(agent):
    operation = await read(make_operation, agent=agent)
    async with page_of(agent.owner) as page:
        [told] = await page.subscribe(f"operation:{operation.pk}")
        assert (told["event"], told["data"]["status"]) == ("operation_status", "starting")
        assert await read(operation.mark_processing)
        await endings.announce(operation)
        assert (await page.next("operation_status"))["status"] == "processing"


async def test_what_waits_is_told_when_its_place_in_line_changes(agent, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    first, second = [await read(make_operation, agent=agent) for _ in range(2)]
    async with page_of(agent.owner) as page:
        [told] = await page.subscribe(f"operation:{second.pk}")
        assert told["data"]["queue_position"] == 2
        assert await read(first.cancel_waiting)
        assert (await page.next("operation_status"))["queue_position"] == 1
        assert await page.hears_nothing()


async def test_figures_come_to_those_who_watch_them(agent):
    stats = {"type": "agent.stats", "stats": [(agent.pk, {"name": "scribe", "cpu": 1.5})]}
    for topic in ("agents", "agent:scribe:stats"):
        async with page_of(agent.owner) as page:
            await page.subscribe(topic)
            await live.send(live.STATS, stats)
            assert (await page.next("agent_stats_update"))["cpu"] == 1.5


async def test_an_agent_that_is_created_later_is_told_of(agent):
    async with page_of(agent.owner) as page:
        await page.subscribe("agents")
        other = await read(make_running_agent, name="painter", owner=agent.owner)
        await live.announce(other.pk, "agent_created", {"name": "painter", "status": "starting"})
        assert (await page.next("agent_created"))["name"] == "painter"
        await live.announce(other.pk, "agent_deleted", {"name": "painter", "status": "running"})
        assert (await page.next("agent_deleted"))["name"] == "painter"
        await live.announce(other.pk, "agent_status", {"name": "painter", "status": "running"})
        assert await page.hears_nothing()


async def test_a_message_that_was_lost_is_made_good(agent, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    async with page_of(agent.owner) as page:
        await page.subscribe("agents")
        await read(agent.record, status="stopped", status_reason="exit code 1")
        told = await page.next("agent_status")
        assert (told["status"], told["status_reason"]) == ("stopped", "exit code 1")


async def test_an_engine_that_goes_away_is_told(agent):
    async with page_of(agent.owner) as page:
        await page.subscribe("agents")
        host = await read(Host.objects.local)
        await read(host.record_away, "stopped")
        since = host.away_since.isoformat()
        await live.send(live.AGENTS, {"type": "engine.state", "away_since": since})
        assert await page.next("engine_state") == {"away_since": since}


@pytest.mark.parametrize("topic", ["agents", "agent:scribe", "agent:scribe:stats"])
async def test_after_the_end_of_a_subscription_nothing_comes(agent, topic):
    async with page_of(agent.owner) as page:
        await page.subscribe(topic)
        await page.say(unsubscribe=topic)
        await page.settled()
        await live.announce(agent.pk, "agent_status", {"name": "scribe", "status": "stopped"})
        await live.send(live.STATS, {"type": "agent.stats", "stats": [(agent.pk, {})]})
        assert await page.hears_nothing()
        assert not any(get_channel_layer().groups.values())


async def test_a_page_that_is_closed_leaves_nothing_behind(agent):
    async with page_of(agent.owner) as page:
        for topic in ("agents", "agent:scribe", "agent:scribe:logs"):
            await page.subscribe(topic)
    assert not any(get_channel_layer().groups.values())


MALFORMED = [
    "rubbish",
    "[]",
    "5",
    "{}",
    '{"subscribe": 5}',
    '{"subscribe": null}',
    '{"ack": 5, "seq": 1}',
    '{"subscribe": "a\\u0000"}',
    '{"subscribe": "a\\ud800"}',
    "[" * 100_000,
    "9" * 10_000,
]


@pytest.mark.parametrize("text", MALFORMED)
async def test_a_message_that_is_none_is_refused_and_the_socket_stays(agent, text):
    async with page_of(agent.owner) as page:
        await page.say_text(text)
        assert await page.next("error") == {"topic": "", "code": "malformed"}
        assert len(await page.subscribe("agents")) == 1


@pytest.mark.parametrize("after", [-1, "5", 1.5, True, [], 2**63])
async def test_a_position_that_is_none_is_refused(agent, after):
    topic = "agent:scribe:logs"
    async with page_of(agent.owner) as page:
        await page.say(subscribe=topic, after=after)
        assert await page.next("error") == {"topic": topic, "code": "malformed"}


async def test_subscriptions_are_bounded(agent, monkeypatch):
    monkeypatch.setattr(consumers, "TOPICS", 2)
    async with page_of(agent.owner) as page:
        await page.subscribe("agents")
        await page.subscribe("agent:scribe")
        [told] = await page.subscribe("agent:scribe:logs")
        assert told["data"] == {"topic": "agent:scribe:logs", "code": "too_many"}
