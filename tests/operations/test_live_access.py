"""Nobody hears by the live socket what he may not see."""

from uuid import uuid4

import pytest

from agents import consumers, live
from agents.database import read
from agents.models import Share
from tests.factories import make_administrator, make_operation, make_running_agent, make_user, share
from tests.operations.sockets import knock, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def operation(agent):
    return make_operation(agent=agent)


@pytest.fixture
def stranger():
    return make_user()


@pytest.fixture
def _often(monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)


def refusal(topic, code="not_found"):
    return {"event": "error", "data": {"topic": topic, "code": code}}


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer wrong")]])
async def test_without_credentials_no_socket_is_opened(headers):
    assert not await knock(*headers)


async def test_a_page_of_another_site_opens_no_socket(client, stranger):
    await read(client.force_login, stranger, "django.contrib.auth.backends.ModelBackend")
    cookie = (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode())
    own = [(b"host", b"localhost:8000"), cookie]
    assert await knock(*own, (b"origin", b"http://localhost:8000"))
    assert not await knock(*own, (b"origin", b"http://evil.example"))


@pytest.mark.parametrize("part", ["", ":logs", ":stats"])
async def test_an_agent_of_others_and_one_that_does_not_exist_look_the_same(agent, stranger, part):
    async with page_of(stranger) as page:
        for name in (agent.name, "nobody"):
            topic = f"agent:{name}{part}"
            assert await page.subscribe(topic) == [refusal(topic)]


@pytest.mark.parametrize("part", ["", ":logs"])
async def test_an_operation_of_others_and_one_that_does_not_exist_look_the_same(
    operation, stranger, part
):
    async with page_of(stranger) as page:
        for operation_id in (operation.pk, uuid4()):
            topic = f"operation:{operation_id}{part}"
            assert await page.subscribe(topic) == [refusal(topic)]


@pytest.mark.parametrize(
    "topic", ["", "agent", "agent:", "agent:scribe:none", "operation:5", "host", "agents:logs"]
)
async def test_a_topic_that_does_not_exist_is_refused(agent, topic):
    async with page_of(agent.owner) as page:
        assert await page.subscribe(topic) == [refusal(topic)]


async def test_events_of_others_agents_never_arrive(agent, stranger):
    async with page_of(stranger) as page:
        assert await page.subscribe("agents") == []
        for event in ("agent_created", "agent_started", "agent_status", "agent_deleted"):
            await live.announce(agent.pk, event, {"name": agent.name, "status": "running"})
        await live.send(live.STATS, {"type": "agent.stats", "stats": [(agent.pk, {"name": "x"})]})
        assert await page.hears_nothing()


async def test_of_several_agents_only_the_one_that_was_asked_for_is_told(agent):
    other = await read(make_running_agent, name="painter", owner=agent.owner)
    async with page_of(agent.owner) as page:
        await page.subscribe("agent:scribe")
        await live.announce(other.pk, "agent_status", {"name": "painter", "status": "stopped"})
        assert await page.hears_nothing()
        await live.announce(agent.pk, "agent_status", {"name": "scribe", "status": "stopped"})
        assert (await page.next("agent_status"))["name"] == "scribe"


@pytest.mark.usefixtures("_often")
async def test_a_share_that_is_withdrawn_ends_its_subscriptions(agent, operation, stranger):
    await read(share, agent, stranger)
    topics = ["agent:scribe", "agent:scribe:logs", f"operation:{operation.pk}"]
    async with page_of(stranger) as page:
        for topic in topics:
            assert all(frame["event"] != "error" for frame in await page.subscribe(topic))
        await read(Share.objects.all().delete)
        ended = {(await page.next("error"))["topic"] for _ in topics}
        assert ended == set(topics)
        await live.announce(agent.pk, "agent_status", {"name": "scribe", "status": "stopped"})
        assert await page.hears_nothing()


@pytest.mark.usefixtures("_often")
async def test_an_agent_that_is_not_shared_any_more_leaves_the_list(agent, stranger):
    await read(share, agent, stranger)
    async with page_of(stranger) as page:
        await page.say(subscribe="agents")
        assert (await page.next("agent_status"))["name"] == "scribe"
        await read(Share.objects.all().delete)
        assert await page.next("agent_unshared") == {"name": "scribe"}


@pytest.mark.usefixtures("_often")
async def test_an_administrator_who_is_none_any_more_sees_only_his_own(agent):
    administrator = await read(make_administrator)
    async with page_of(administrator) as page:
        await page.say(subscribe="agents")
        await page.next("agent_status")
        administrator.is_superuser = False
        await read(administrator.save)
        assert await page.next("agent_unshared") == {"name": "scribe"}


@pytest.mark.usefixtures("_often")
async def test_a_user_who_is_disabled_hears_nothing_any_more(agent):
    async with page_of(agent.owner) as page:
        await page.subscribe("agents")
        agent.owner.is_active = False
        await read(agent.owner.save)
        assert (await page.next("error"))["topic"] == "agents"
