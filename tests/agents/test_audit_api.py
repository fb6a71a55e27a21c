"""Reading the audit trail: an owner of his agent, an administrator of all."""

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import trail
from agents.database import read
from agents.models import Agent
from tests.factories import client_of, make_administrator, make_agent, make_user, share
from tests.streams import viewing
from trinity import audit
from trinity.api import json_time
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/audit"
FIELDS = {
    "id", "at", "actor", "token", "address", "verb", "object_type", "object_name", "outcome",
    "detail",
}  # fmt: skip


@pytest.fixture
def agent():
    return make_agent(name="scribe")


def record(verb, name="scribe", kind="agent", **fields):
    audit.record(audit.SYSTEM, verb, kind, name, **fields)


def verbs(client, path=PATH, **query):
    answer = client.get(path, query)
    assert answer.status_code == 200
    return [event["verb"] for event in answer.json()]


def test_an_owner_reads_what_was_done_to_his_agent_newest_first(agent):
    client = client_of(agent.owner)
    client.patch("/api/agents/scribe", {"description": "mine"})
    record("start", "other")
    record("start")
    assert verbs(client) == ["start", "change"]
    event = client.get(PATH).json()[1]
    assert event.keys() == FIELDS
    assert (event["actor"], event["token"]) == (agent.owner.username, "test")
    assert (event["address"], event["outcome"]) == ("127.0.0.1", "done")


def test_he_reads_of_attempts_that_were_refused(agent):
    client_of(make_user(username="eve")).get("/api/agents/scribe")
    [event] = client_of(agent.owner).get(PATH, {"outcome": "denied"}).json()
    assert (event["actor"], event["verb"]) == ("eve", "see")


def test_what_came_before_an_agent_of_the_same_name_is_not_his(agent):
    record("stop")
    Agent.objects.filter(pk=agent.pk).update(deleting=True)
    later = make_agent(name="scribe")
    assert verbs(client_of(later.owner)) == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_whom_it_is_shared_with_reads_nothing_of_it(agent, role):
    user = make_user()
    share(agent, user, role)
    answer = client_of(user).get(PATH)
    told = "Only owners can read the audit trail of an agent"
    assert (answer.status_code, answer.json()["detail"]) == (403, told)


def test_for_a_stranger_there_is_no_agent(agent, client):
    answer = client_of(make_user()).get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")
    assert client.get(PATH).status_code == 401


def test_an_administrator_reads_all_with_filters():
    root = client_of(make_administrator())
    now = timezone.now()
    record("start")
    record("create", "ada", "user")
    record("stop", outcome=AuditEvent.Outcome.FAILED)
    assert verbs(root, "/api/audit") == ["stop", "create", "start"]
    assert verbs(root, "/api/audit", verb="start") == ["start"]
    assert verbs(root, "/api/audit", object_type="user") == ["create"]
    assert verbs(root, "/api/audit", object_name="scribe") == ["stop", "start"]
    assert verbs(root, "/api/audit", outcome="failed") == ["stop"]
    assert verbs(root, "/api/audit", actor="system", object_type="agent") == ["stop", "start"]
    assert verbs(root, "/api/audit", actor="nobody") == []
    assert verbs(root, "/api/audit", until=json_time(now)) == []
    assert len(verbs(root, "/api/audit", since=json_time(now))) == 3


@pytest.mark.parametrize("query", ["outcome=x", "since=soon", "until=1", "limit=0", "cursor=x"])
@pytest.mark.parametrize("path", [PATH, "/api/audit"])
def test_a_query_of_another_shape_is_refused(agent, path, query):
    answer = client_of(make_administrator()).get(f"{path}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


def test_for_others_it_is_administrators_only():
    answer = client_of(make_user()).get("/api/audit")
    assert (answer.status_code, answer.json()["code"]) == (403, "administrators_only")


async def rows(path, user, query=""):
    async with viewing(path, user, query=query) as viewer:
        status, headers = await viewer.status()
        assert status == 200
        assert headers[b"content-type"] == b"text/csv; charset=utf-8"
        assert headers[b"content-disposition"] == b'attachment; filename="audit.csv"'
        text = b"".join(await viewer.rest()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


@transactional
async def test_the_file_has_every_event_once_in_order_however_many_parts_it_takes(monkeypatch):
    monkeypatch.setattr(trail, "PART", 3)
    root = await read(make_administrator)
    at = timezone.now() - timedelta(hours=1)

    def fill():
        for number in range(10):
            # Some at the same moment: their order is that of their numbers.
            event = AuditEvent(
                actor_name="a", outcome="done", verb=f"v{number}", at=at + timedelta(number // 4)
            )
            event.save()

    await read(fill)
    told = await rows("/api/audit.csv", root)
    assert [row["verb"] for row in told] == [f"v{number}" for number in reversed(range(10))]
    assert set(told[0]) == FIELDS


@transactional
async def test_no_cell_is_a_formula():
    root = await read(make_administrator)
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", 'a"b,c\nd']

    def fill():
        for text in evil:
            record(text[:40], detail=text)

    await read(fill)
    told = [row["detail"] for row in await rows("/api/audit.csv", root)]
    assert told == [*(f"'{text}" for text in evil[:-1]), evil[-1]][::-1]


@transactional
async def test_the_file_obeys_filters_and_an_owner_has_his_agents():
    agent = await read(make_agent, name="scribe")
    for verb in ("start", "stop"):
        await read(record, verb)
    await read(record, "start", "other")
    told = await rows("/api/agents/scribe/audit.csv", agent.owner, "verb=start")
    assert [(row["verb"], row["object_name"]) for row in told] == [("start", "scribe")]


@transactional
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/audit.csv", "", 403),
        ("/api/agents/scribe/audit.csv", "", 404),
        ("/api/agents/none/audit.csv", "", 404),
        ("/api/audit.csv", "outcome=x", 422),
    ],
)
async def test_the_file_is_for_those_who_may_read_it(path, query, status):
    await read(make_agent, name="scribe")
    async with viewing(path, await read(make_user), query=query) as viewer:
        assert (await viewer.status())[0] == status
    async with viewing(path, query=query) as viewer:
        assert (await viewer.status())[0] == 401


def test_the_admin_offers_the_file_with_its_filters(client):
    user = make_administrator()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/admin/trinity/auditevent/?outcome__exact=denied").content.decode()
    assert 'href="/api/audit.csv?outcome=denied"' in page
