"""For a token that is limited to certain agents there are no others."""

import asyncio

import pytest

from agents import consumers, events, live
from agents.database import read
from agents.models import Agent
from tests.factories import (
    bearer_client,
    client_of,
    make_administrator,
    make_agent,
    make_operation,
    make_running_agent,
    make_token,
    make_user,
)
from tests.operations.sockets import page_with
from tests.streams import viewing
from trinity.models import ApiToken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def scribe(owner):
    return make_running_agent(name="scribe", owner=owner)


@pytest.fixture
def painter(owner):
    return make_running_agent(name="painter", owner=owner)


def made(client, **body):
    answer = client.post("/api/tokens", {"name": "narrow", **body})
    assert answer.status_code == 201
    return answer.json()


@pytest.mark.parametrize("make", [make_user, make_administrator])
def test_it_sees_its_agents_and_no_others(make):
    user = make()
    scribe, _painter = (make_agent(name=name, owner=user) for name in ("scribe", "painter"))
    client = client_of(user, agents=[scribe])
    assert [each["name"] for each in client.get("/api/agents").json()] == ["scribe"]
    assert client.get("/api/agents/scribe").status_code == 200
    other, none = (client.get(f"/api/agents/{name}") for name in ("painter", "nobody"))
    assert (other.status_code, other.json()) == (none.status_code, none.json())
    assert other.json() == {"detail": "Agent not found", "code": "agent_not_found"}
    assert client.post("/api/agents/painter/stop").status_code == 404
    assert client.delete("/api/agents/painter").status_code == 404


def test_it_is_made_by_names_and_told_by_names(owner, scribe, painter):
    told = made(client_of(owner), agents=["scribe", "painter", "scribe"], scopes=["read"])
    assert (told["agents"], told["scopes"]) == (["painter", "scribe"], ["read"])
    assert {each["uid"] for each in ApiToken.objects.get(pk=told["id"]).agents} == {
        scribe.uid,
        painter.uid,
    }


def test_it_is_made_for_no_agent_that_the_caller_does_not_see(owner, scribe):
    make_agent(name="foreign")
    answer = client_of(owner).post("/api/tokens", {"name": "x", "agents": ["scribe", "foreign"]})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Agent not found")


def test_a_later_agent_of_the_same_name_is_not_meant(owner, scribe):
    client = client_of(owner, agents=[scribe])
    Agent.objects.filter(pk=scribe.pk).update(deleting=True)
    make_agent(name="scribe", owner=owner)
    assert client.get("/api/agents/scribe").status_code == 404
    assert client.get("/api/agents").json() == []


def test_it_creates_no_agent(owner, scribe):
    answer = client_of(owner, agents=[scribe]).post("/api/agents", {"name": "new"})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert not Agent.objects.filter(name="new").exists()


def test_operations_of_other_agents_are_hidden_also_ones_own(owner, scribe, painter):
    mine = make_operation(agent=scribe, requester=owner)
    other = make_operation(agent=painter, requester=owner)
    client = client_of(owner, agents=[scribe])
    assert [each["id"] for each in client.get("/api/v1/operations").json()] == [str(mine.pk)]
    assert client.get(f"/api/v1/operations/{other.pk}").status_code == 404
    assert client.post(f"/api/v1/operations/{other.pk}/cancel").status_code == 404
    body = {"agent": "painter", "command": ["true"]}
    assert client.post("/api/v1/operations", body).status_code == 404


def test_an_administrators_token_for_some_agents_is_no_administrators(scribe):
    client = client_of(make_administrator(), agents=[scribe])
    answer = client.get("/api/audit")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("part", ["stream", "download"])
async def test_streams_and_downloads_obey(owner, scribe, painter, part):
    text = await read(lambda: make_token(owner, agents=[scribe])[1])
    for name, status in (("scribe", 200), ("painter", 404)):
        path = f"/api/agents/{name}/logs/{part}"
        async with viewing(path, authorization=f"Bearer {text}") as viewer:
            assert (await viewer.status())[0] == status


async def test_a_ticket_may_no_more_than_the_token_that_asked_for_it(owner, scribe, painter):
    client = await read(client_of, owner, agents=[scribe])

    def ticket(path):
        return client.post("/api/tickets", {"for": path}).json()["ticket"]

    for name, status in (("scribe", 200), ("painter", 404)):
        path = f"/api/agents/{name}/logs/stream"
        async with viewing(path, query=f"ticket={await read(ticket, path)}") as viewer:
            assert (await viewer.status())[0] == status


async def test_a_socket_shows_what_its_ticket_may(owner, scribe, painter):
    client = await read(client_of, owner, agents=[scribe])
    answer = await read(client.post, "/api/tickets", {"for": "/ws"})
    async with page_with(f"ticket={answer.json()['ticket']}") as page:
        told = await page.subscribe("agents")
        assert [frame["data"]["name"] for frame in told] == ["scribe"]
        [refusal] = await page.subscribe("agent:painter:logs")
        assert refusal["data"] == {"topic": "agent:painter:logs", "code": "not_found"}
        await live.announce(painter.pk, "agent_status", {"name": "painter", "status": "stopped"})
        assert await page.hears_nothing()


async def test_the_end_of_a_token_ends_what_was_opened_by_it(owner, scribe, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    live.use_loop(asyncio.get_running_loop())
    token, text = await read(make_token, owner)
    client = bearer_client(text)
    answer = await read(client.post, "/api/tickets", {"for": "/ws"})
    path = "/api/agents/scribe/logs/stream"
    async with (
        viewing(path, authorization=f"Bearer {text}") as stream,
        page_with(f"ticket={answer.json()['ticket']}") as page,
    ):
        assert (await stream.status())[0] == 200
        await page.subscribe("agent:scribe")
        await read(token.delete)
        assert await stream.events() == []
        assert await page.next("error") == {"topic": "agent:scribe", "code": "not_found"}
