"""Lists that grow come by pages, which pass over nothing and tell nothing twice."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import (
    client_of,
    make_administrator,
    make_agent,
    make_operation,
    make_running_agent,
    make_token,
    make_user,
    share,
)
from trinity import audit
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

COUNT = 7


def fill_audit(user):
    at = timezone.now() - timedelta(hours=1)
    for number in range(COUNT):
        AuditEvent(
            actor_name="a",
            verb="v",
            object_type="agent",
            outcome="done",
            at=at + timedelta(number // 3),
        ).save()


def fill_operations(user):
    agent, at = make_running_agent(owner=user), timezone.now()
    for number in range(COUNT):
        make_operation(agent=agent, created_at=at + timedelta(number // 3))


def fill_tokens(user):
    for _ in range(COUNT - 1):
        make_token(user)


def fill_agents(user):
    for number in range(COUNT):
        make_agent(name=f"{number}-agent", owner=user)


def fill_shares(user):
    agent = make_agent(name="scribe", owner=user)
    for _ in range(COUNT):
        share(agent, make_user())


LISTS = {
    "/api/audit": (fill_audit, "id"),
    "/api/v1/operations": (fill_operations, "id"),
    "/api/tokens": (fill_tokens, "id"),
    "/api/agents": (fill_agents, "name"),
    "/api/agents?stats=1": (fill_agents, "name"),
    "/api/agents/scribe/shares": (fill_shares, "id"),
}


@pytest.fixture(params=LISTS)
def listed(request):
    """A list with COUNT rows: a client, its path, and the name of what tells rows apart."""
    fill, key = LISTS[request.param]
    user = make_administrator()
    client = client_of(user)
    fill(user)
    return client, request.param, key


def following(answer):
    link = answer.headers.get("Link")
    return link and re.fullmatch('<(.+)>; rel="next"', link)[1]


def walk(client, path):
    pages = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200
        pages.append(answer.json())
        path = following(answer)
    return pages


def limited(path, limit):
    return f"{path}{'&' if '?' in path else '?'}limit={limit}"


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_all_pages_together_are_the_list_in_its_order(listed, limit):
    client, path, key = listed
    whole = [row[key] for row in client.get(path).json()]
    assert len(whole) == len(set(whole)) == COUNT
    pages = walk(client, limited(path, limit))
    assert [row[key] for page in pages for row in page] == whole
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_a_row_that_goes_between_two_pages_hides_no_other():
    user = make_user()
    fill_agents(user)
    client = client_of(user)
    first = client.get("/api/agents?limit=3")
    user.agents.filter(name="2-agent").update(deleting=True)
    user.agents.filter(name="0-agent").update(deleting=True)
    names = [row["name"] for row in client.get(following(first)).json()]
    assert names == ["3-agent", "4-agent", "5-agent"]


def test_a_page_has_the_filters_of_the_one_before():
    client = client_of(make_administrator())
    for verb in ("start", "stop") * 3:
        audit.record(audit.SYSTEM, verb, "agent", "scribe")
    pages = walk(client, "/api/audit?verb=stop&limit=2")
    assert [[row["verb"] for row in page] for page in pages] == [["stop"] * 2, ["stop"]]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1.5"])
def test_a_limit_out_of_bounds_is_refused(listed, limit):
    client, path, _ = listed
    answer = client.get(limited(path, limit))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


@pytest.mark.parametrize("cursor", ["", "x", "a:b:c", "W10", "\N{SNOWMAN}", ":::", "0" * 5000])
def test_a_made_up_cursor_is_refused(listed, cursor):
    client, path, _ = listed
    answer = client.get(f"{limited(path, 3)}&cursor={cursor}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "cursor"]


def test_a_cursor_of_another_list_is_refused():
    user = make_administrator()
    fill_agents(user)
    fill_audit(user)
    client = client_of(user)
    foreign = following(client.get("/api/audit?limit=2")).partition("cursor=")[2]
    assert client.get(f"/api/agents?cursor={foreign}").status_code == 422


def test_without_a_limit_agents_come_all_and_other_lists_by_100():
    user = make_administrator()
    for number in range(101):
        make_agent(name=f"agent-{number}", owner=user)
        audit.record(audit.SYSTEM, "v", "agent", "a")
    client = client_of(user)
    assert len(client.get("/api/agents").json()) == 101
    answer = client.get("/api/audit")
    assert len(answer.json()) == 100
    assert following(answer)
