"""Equal requests at the same moment: one acts, and all hear what became of it."""

import threading

import pytest

from agents.models import Agent
from operations.models import Operation
from tests.factories import client_of, make_running_agent, make_user
from tests.parallel import at_once, meanwhile
from tests.waiting import wait_until
from trinity import idempotency
from trinity.models import ApiToken, AuditEvent, IdempotentRequest

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 20


def poster(client, path, body, key="same"):
    return lambda: client.post(path, body, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("path", ["/api/agents", "/api/v1/operations", "/api/tokens"])
def test_twenty_create_once_and_all_are_answered_the_same(path):
    user = make_user()
    agent = make_running_agent(name="scribe", owner=user)
    body, made = {
        "/api/agents": ({"name": "new"}, Agent.objects.exclude(pk=agent.pk)),
        "/api/v1/operations": ({"agent": "scribe", "command": ["true"]}, Operation.objects.all()),
        "/api/tokens": ({"name": "new"}, ApiToken.objects.filter(name="new")),
    }[path]
    client = client_of(user)
    answers = at_once(*[poster(client, path, body)] * AT_ONCE)
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    told = [dict(answer.json()) for answer in answers]
    tokens = [each.pop("token") for each in told if "token" in each]
    assert len(tokens) == (path == "/api/tokens")
    assert all(each == told[0] for each in told)
    assert made.count() == 1
    assert AuditEvent.objects.filter(outcome="done", verb__in=["create", "run"]).count() == 1


def test_others_are_told_that_it_is_busy_when_the_first_takes_too_long(monkeypatch):
    entered, go, issue = threading.Event(), threading.Event(), ApiToken.issue
    client = client_of(make_user())

    def slow(*args, **fields):
        entered.set()
        assert go.wait(20)
        return issue(*args, **fields)

    monkeypatch.setattr(ApiToken, "issue", slow)
    with meanwhile(poster(client, "/api/tokens", {"name": "new"})) as first:
        wait_until(entered.is_set)
        monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
        second = poster(client, "/api/tokens", {"name": "new"})()
        other = poster(client, "/api/tokens", {"name": "other"})()
        go.set()
        assert first.result().status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "busy")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_of_many_that_find_what_a_dead_process_left_one_acts():
    client = client_of(make_user())
    poster(client, "/api/tokens", {"name": "new"})()
    left = IdempotentRequest.objects.get()
    left.status = left.answer = None
    left.claimed_until = left.created_at
    left.save()
    answers = at_once(*[poster(client, "/api/tokens", {"name": "new"})] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert len([answer for answer in answers if "token" in answer.json()]) == 1
    assert ApiToken.objects.filter(name="new").count() == 2
