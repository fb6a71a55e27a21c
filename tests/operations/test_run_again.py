"""Running an operation again: a new one with the same request, under the limits of now."""

import pytest
from django.utils import timezone

from operations.models import Operation
from tests.factories import client_of, make_operation, make_running_agent, make_user, share
from trinity.encryption import seal, unseal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_running_agent(name="scribe", memory_limit="2g", cpu_limit="2")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def again(client, operation, **body):
    return client.post(f"/api/v1/operations/{operation.pk}/run-again", body)


def made(answer):
    assert answer.status_code == 202, answer.json()
    return Operation.objects.get(pk=answer.json()["id"])


def test_it_repeats_the_whole_request(client, agent):
    first = make_operation(
        agent=agent,
        command=["sh", "-c", "date"],
        workdir="notes",
        timeout_seconds=9,
        status="failed",
        finished_at=timezone.now(),
    )
    second = made(again(client, first))
    assert second.pk != first.pk
    for name in ("agent", "command", "workdir", "timeout_seconds", "is_isolated"):
        assert getattr(second, name) == getattr(first, name)
    assert (second.status, second.requester) == ("starting", agent.owner)
    event = AuditEvent.objects.get(verb="run_again")
    assert (event.object_name, event.detail) == ("scribe", f"Operation {first.pk}")
    assert not AuditEvent.objects.filter(verb="run").exists()


def test_it_says_from_where_and_by_which_token_it_was_asked_for(client, agent):
    second = made(again(client, make_operation(agent=agent)))
    assert (second.requested_from, second.token_name) == ("127.0.0.1", "test")


def test_an_isolated_one_gets_the_same_limits(client, agent):
    isolated = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
    second = made(again(client, make_operation(agent=agent, **isolated)))
    assert {name: getattr(second, name) for name in isolated} == isolated


def test_limits_that_the_agent_has_no_more_are_refused(client, agent):
    first = make_operation(agent=agent, is_isolated=True, memory="4g", cpu="1", network="none")
    answer = again(client, first)
    assert answer.status_code == 400
    assert "must not be above the agent's own: 2g" in answer.json()["detail"]


def test_an_environment_that_is_still_stored_is_used(client, agent):
    env = {"API_KEY": "known to few"}
    first = make_operation(agent=agent, environment=seal(env), environment_names=["API_KEY"])
    second = made(again(client, first))
    assert unseal(second.environment) == env
    assert second.environment_names == ["API_KEY"]


@pytest.mark.parametrize("environment", [b"", b"sealed by a key that is lost"])
def test_an_environment_that_is_erased_or_unreadable_has_to_be_given_again(
    client, agent, environment
):
    first = make_operation(
        agent=agent, status="succeeded", environment=environment, environment_names=["A", "B"]
    )
    answer = again(client, first)
    assert (answer.status_code, answer.json()["code"]) == (409, "environment_not_kept")
    assert "A, B in its environment, whose values are not kept" in answer.json()["detail"]
    assert Operation.objects.count() == 1
    assert unseal(made(again(client, first, env={"A": "new"})).environment) == {"A": "new"}
    assert made(again(client, first, env={})).environment_names == []


def test_the_end_erases_the_environment_and_keeps_its_names(client, agent):
    body = {"agent": "scribe", "command": ["true"], "env": {"B": "2", "A": "1"}}
    first = made(client.post("/api/v1/operations", body))
    assert first.cancel_waiting()
    first.refresh_from_db()
    assert (bytes(first.environment), first.environment_names) == (b"", ["A", "B"])


def test_one_key_makes_one_operation(client, agent):
    first = make_operation(agent=agent)
    path = f"/api/v1/operations/{first.pk}/run-again"
    ids = {client.post(path, {}, HTTP_IDEMPOTENCY_KEY="k").json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert Operation.objects.count() == 2


def test_an_agent_that_stands_still_is_told(client, agent):
    first = make_operation(agent=agent)
    agent.record(status="stopped")
    answer = again(client, first)
    assert (answer.status_code, answer.json()["code"]) == (400, "agent_not_running")


def test_a_full_queue_takes_none(client, agent, settings):
    settings.TRINITY_QUEUE_PER_HOST = 1
    answer = again(client, make_operation(agent=agent))
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")


def test_a_viewer_may_not_and_a_stranger_sees_nothing(agent):
    first = make_operation(agent=agent)
    viewer, stranger = make_user(), make_user()
    share(agent, viewer)
    assert again(client_of(viewer), first).status_code == 403
    assert again(client_of(stranger), first).status_code == 404
    assert Operation.objects.count() == 1


def test_who_asked_for_it_may_not_when_the_agent_is_not_shared_with_him_any_more(agent):
    first = make_operation(agent=agent, requester=make_user())
    answer = again(client_of(first.requester), first)
    assert answer.status_code == 404
