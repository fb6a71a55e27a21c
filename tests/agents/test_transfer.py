"""Giving an agent to another owner."""

import asyncio

import pytest
from django.urls import reverse

from agents import consumers, events, live, sharing
from agents.database import read
from agents.models import Agent, Share
from tests.factories import (
    client_of,
    make_administrator,
    make_agent,
    make_running_agent,
    make_user,
    share,
)
from tests.operations.sockets import page_of
from tests.parallel import at_once
from tests.streams import viewing
from trinity.audit import Actor
from trinity.errors import TrinityError
from trinity.models import AuditEvent

LIST = "/admin/agents/agent/"
transactional = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root():
    return make_administrator(username="root")


@pytest.fixture
def agent(db):
    return make_agent(name="scribe", owner=make_user(username="ada"))


@pytest.fixture
def heir(db):
    return make_user(username="bob", email="bob@example.org")


@pytest.fixture
def console(client, root):
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    return client


def ask(console, agent, **fields):
    form = {"action": "transfer_agents", "_selected_action": [agent.pk], **fields}
    return console.post(LIST, form, follow=True)


def confirm(console, agent, owner):
    return ask(console, agent, confirmed="yes", owner=owner.pk)


def told(response):
    return [str(message) for message in response.context["messages"]]


@transactional
def test_an_administrator_transfers_after_a_question(console, agent, heir):
    question = ask(console, agent)
    assert b"Transfer 1 agent to another person?" in question.content
    assert Agent.objects.get().owner == agent.owner
    assert told(confirm(console, agent, heir)) == ["Transferred scribe."]
    assert Agent.objects.get().owner == heir
    event = AuditEvent.objects.get(verb="transfer")
    assert (event.actor_name, event.detail) == ("root", "from ada to bob")


@transactional
def test_the_old_owner_has_nothing_left_and_the_new_one_all(console, agent, heir):
    share(agent, heir)
    other = share(agent, make_user(), Share.Role.OPERATOR)
    confirm(console, agent, heir)
    assert client_of(agent.owner).get("/api/agents/scribe").status_code == 404
    answer = client_of(heir).get("/api/agents/scribe").json()
    assert (answer["is_owner"], answer["is_shared"], answer["can_delete"]) == (True, False, True)
    assert [each["id"] for each in answer["shares"]] == [other.pk]


@transactional
def test_the_new_owner_must_be_active(console, agent):
    gone = make_user(is_active=False)
    answer = confirm(console, agent, gone)
    assert "Select a valid choice" in answer.content.decode()
    with pytest.raises(sharing.InvalidOwner, match="is disabled"):
        sharing.transfer(agent, Actor(), gone)
    assert Agent.objects.get().owner == agent.owner


@transactional
def test_who_owns_it_already_is_told_so(console, agent):
    assert told(confirm(console, agent, agent.owner)) == ["scribe: ada owns it already"]


@pytest.mark.django_db
def test_only_administrators_transfer(client, agent, heir):
    staff = agent.owner
    staff.is_staff = True
    staff.save()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(LIST)
    assert "transfer_agents" not in page.content.decode()
    ask(client, agent, confirmed="yes", owner=heir.pk)
    assert Agent.objects.get().owner == staff


@transactional
def test_of_two_transfers_at_once_one_is_made(agent, heir):
    heirs = [heir, make_user(), make_user()]

    # All three have read the same owner.
    seen = Agent.objects.select_related("owner").get(pk=agent.pk)

    def give(person):
        copy = Agent.objects.select_related("owner").get(pk=seen.pk)
        copy.owner = seen.owner
        try:
            sharing.transfer(copy, Actor(), person)
        except TrinityError as error:
            return error.code
        return "done"

    outcomes = at_once(*(lambda person=person: give(person) for person in heirs))
    assert sorted(outcomes) == ["agent_not_found", "agent_not_found", "done"]


@transactional
async def test_sockets_and_streams_of_the_old_owner_end(heir, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.1)
    live.use_loop(asyncio.get_running_loop())
    agent = await read(make_running_agent, name="scribe")
    old_owner = agent.owner
    async with (
        page_of(old_owner) as old,
        page_of(heir) as new,
        viewing("/api/agents/scribe/logs/stream", old_owner) as stream,
    ):
        assert (await stream.status())[0] == 200
        for topic in ("agents", "agent:scribe:logs"):
            await old.subscribe(topic)
        await new.subscribe("agents")
        await read(sharing.transfer, agent, Actor(), heir)
        assert (await new.next("agent_shared"))["name"] == "scribe"
        missing = {"agent_unshared", "error"}
        while missing:
            missing.discard((await old.frame())["event"])
        assert await stream.events() == []


@pytest.mark.django_db
def test_the_question_names_the_agents(console, agent):
    page = ask(console, agent)
    assert "scribe" in page.content.decode()
    assert reverse("admin:agents_agent_changelist") in page.content.decode()
