"""Every refusal is told to the audit trail, and nobody fills it with them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.database import read
from tests.factories import (
    bearer_client,
    client_of,
    make_administrator,
    make_agent,
    make_operation,
    make_running_agent,
    make_token,
    make_user,
    share,
)
from tests.operations.sockets import page_of
from tests.streams import viewing
from trinity import audit
from trinity.models import ApiToken, AuditEvent

pytestmark = pytest.mark.django_db

BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def stranger():
    return make_user(username="eve")


@pytest.fixture
def viewer(agent):
    user = make_user(username="vic")
    share(agent, user)
    return user


def denials():
    events = AuditEvent.objects.filter(outcome="denied").order_by("pk")
    return [(each.actor_name, each.verb, each.object_type, each.object_name) for each in events]


def test_a_strangers_attempt_on_an_agent_is_told_with_all_that_is_known_of_him(agent, stranger):
    assert client_of(stranger).get("/api/agents/scribe/logs").status_code == 404
    event = AuditEvent.objects.get()
    assert (event.actor, event.token_name, event.address) == (stranger, "test", "127.0.0.1")
    assert (event.verb, event.object_name, event.detail) == ("see", "scribe", "Agent not found")


def test_of_a_name_that_nobody_uses_there_is_nothing_to_tell(stranger):
    assert client_of(stranger).get("/api/agents/scribe").status_code == 404
    assert denials() == []


def test_what_a_viewer_may_not_is_told(viewer):
    client = client_of(viewer)
    client.post("/api/agents/scribe/start")
    client.delete("/api/agents/scribe")
    assert denials() == [
        ("vic", "operate", "agent", "scribe"),
        ("vic", "manage", "agent", "scribe"),
    ]
    details = AuditEvent.objects.filter(verb="manage").values_list("detail", flat=True)
    assert list(details) == ["Only owners can delete an agent"]


def test_so_are_operations_seen_and_cancelled_by_those_who_may_not(agent, viewer, stranger):
    operation = make_operation(agent=agent, requester=agent.owner)
    client_of(stranger).get(f"/api/v1/operations/{operation.pk}")
    client_of(viewer).post(f"/api/v1/operations/{operation.pk}/cancel")
    assert denials() == [
        ("eve", "see", "operation", str(operation.pk)),
        ("vic", "cancel", "operation", str(operation.pk)),
    ]


def test_what_is_for_administrators_is_told_by_its_path(stranger):
    assert client_of(stranger).get("/api/audit").status_code == 403
    assert denials() == [("eve", "GET", "path", "/api/audit")]


def test_a_verb_that_its_object_refuses_is_denied_and_told_once():
    agent = make_agent(name="system", is_system=True)
    assert client_of(make_administrator()).delete("/api/agents/system").status_code == 403
    assert AuditEvent.objects.filter(object_name=agent.name).count() == 1
    [(_, verb, _, _)] = denials()
    assert verb.lower() == "delete"


@pytest.mark.parametrize("make_stale", ["expired", "disabled"])
def test_a_token_that_was_good_once_is_told(stranger, make_stale):
    token, text = make_token(stranger, name="old")
    if make_stale == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        stranger.is_active = False
        stranger.save()
    assert bearer_client(text).get("/api/agents").status_code == 401
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_name, event.actor, event.token) == (
        "sign_in",
        "old",
        stranger,
        token,
    )


def test_a_made_up_token_is_nobodys_and_not_told():
    assert bearer_client("trinity_made-up").get("/api/agents").status_code == 401
    assert denials() == []


def test_pages_tell_too(client, viewer, agent, stranger):
    client.force_login(stranger, backend=BACKEND)
    assert client.get("/agents/scribe").status_code == 404
    client.force_login(viewer, backend=BACKEND)
    assert client.get("/agents/scribe/settings").status_code == 403
    assert client.get("/admin/agents/agent/").status_code == 302
    assert denials() == [("eve", "see", "agent", "scribe"), ("vic", "manage", "agent", "scribe")]


def test_so_does_the_admin(client, agent, viewer):
    viewer.is_staff = True
    viewer.save()
    client.force_login(viewer, backend=BACKEND)
    form = {"action": "stop", "_selected_action": [agent.pk]}
    client.post("/admin/agents/agent/", form)
    assert client.get("/admin/trinity/user/").status_code == 403
    assert denials() == [
        ("vic", "stop", "agent", "scribe"),
        ("vic", "GET", "path", "/admin/trinity/user/"),
    ]


def test_the_same_refusal_counts_once_a_minute(agent, stranger, monkeypatch):
    client = client_of(stranger)
    for _ in range(3):
        client.get("/api/agents/scribe")
    assert len(denials()) == 1
    monkeypatch.setattr(audit, "DENIAL_WINDOW", timedelta(0))
    client.get("/api/agents/scribe")
    assert len(denials()) == 2


def test_one_person_is_told_of_so_often_a_minute_and_another_still_is(stranger, viewer):
    for number in range(audit.DENIALS_AT_MOST + 5):
        make_agent(name=f"agent{number}")
    client = client_of(stranger)
    for number in range(audit.DENIALS_AT_MOST + 5):
        assert client.get(f"/api/agents/agent{number}").status_code == 404
    assert len(denials()) == audit.DENIALS_AT_MOST
    client_of(viewer).get("/api/agents/agent0")
    assert len(denials()) == audit.DENIALS_AT_MOST + 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", ["stream", "download"])
async def test_streams_tell_too(part):
    await read(make_running_agent, name="scribe")
    stranger = await read(make_user, username="eve")
    async with viewing(f"/api/agents/scribe/logs/{part}", stranger) as viewer:
        assert (await viewer.status())[0] == 404
    assert await read(denials) == [("eve", "see", "agent", "scribe")]


@pytest.mark.django_db(transaction=True)
async def test_so_does_the_live_socket():
    agent = await read(make_running_agent, name="scribe")
    operation = await read(make_operation, agent=agent)
    stranger = await read(make_user, username="eve")
    async with page_of(stranger) as page:
        await page.subscribe("agent:scribe:logs")
        await page.subscribe(f"operation:{operation.pk}")
    assert await read(denials) == [
        ("eve", "see", "agent", "scribe"),
        ("eve", "see", "operation", str(operation.pk)),
    ]


@pytest.mark.django_db(transaction=True)
async def test_a_path_that_no_database_takes_is_told_as_far_as_it_goes():
    text = await read(lambda: make_token(make_user(username="eve"), scopes=["metrics"])[1])
    path = "/api/agents/a\0b\ud800/logs/stream"
    async with viewing(path, authorization=f"Bearer {text}") as viewer:
        assert (await viewer.status())[0] == 403
    mark = "\N{REPLACEMENT CHARACTER}"
    [told] = await read(denials)
    assert told[1:] == ("GET logs/stream", "agent", f"a{mark}b{mark}")
