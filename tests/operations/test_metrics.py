"""``GET /metrics``: how things stand, for Prometheus, from what is recorded."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from agents.models import Agent, Host
from agents.output import logs
from tests.factories import (
    client_of,
    make_administrator,
    make_agent,
    make_operation,
    make_running_agent,
    make_user,
)
from trinity.models import ApiToken

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return client_of(make_administrator())


def samples(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def by_status(found, name):
    return {key[1][1]: value for key, value in found.items() if key[0] == name}


def with_scopes(user, *scopes):
    client = APIClient()
    _, text = ApiToken.issue(user, "scraper", expires_at=None, scopes=list(scopes))
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


def test_agents_and_operations_are_counted_by_status(client, containers):
    make_agent()
    make_agent(deleting=True)
    operation = make_operation(agent=make_running_agent())
    make_operation(agent=operation.agent, status="failed")
    containers.calls.clear()
    found = samples(client)
    assert by_status(found, "trinity_agents") == {
        **dict.fromkeys(Agent.Status.values, 0),
        "running": 1,
        "stopped": 1,
    }
    counted = by_status(found, "trinity_operations")
    assert (counted["starting"], counted["failed"], counted["succeeded"]) == (1, 1, 0)
    assert not containers.calls


def test_lines_are_counted_that_are_stored_and_that_this_process_stored(client):
    before = samples(client)
    operation = make_operation()
    logs.append(operation.log_id, [(False, "a"), (True, "b")], {})
    after = samples(client)
    for name in ("trinity_log_lines", "trinity_log_lines_stored_total"):
        assert after[(name,)] - before[(name,)] == 2, name


def test_the_engine_and_the_supervisor_are_told(client):
    host = Host.objects.local()
    found = samples(client)
    assert found[("trinity_engine_up",)] == 1
    assert ("trinity_supervisor_lag_seconds",) not in found
    renewed_at = timezone.now() - timedelta(seconds=7)
    Host.objects.filter(pk=host.pk).update(
        lease_expires_at=renewed_at + Host.LEASE, away_since=timezone.now()
    )
    found = samples(client)
    assert found[("trinity_engine_up",)] == 0
    assert 7 <= found[("trinity_supervisor_lag_seconds",)] < 30


def test_requests_are_timed_by_the_pattern_of_their_path(client):
    agent = make_agent(name="private-name")
    client.get("/api/agents/private-name")
    client.get("/api/agents/another-name")
    client.get("/no/such/path")
    client.generic("BREW", "/api/agents")
    text = client.get("/metrics").content.decode()
    count = "trinity_http_request_duration_seconds_count"
    route = 'route="api/agents/<str:name>"'
    assert f'{count}{{method="GET",{route},status="2xx"}}' in text
    assert f'{count}{{method="GET",{route},status="4xx"}}' in text
    assert f'{count}{{method="GET",route="unknown",status="4xx"}}' in text
    assert f'{count}{{method="other"' in text
    assert "private-name" not in text
    assert "another-name" not in text
    assert "BREW" not in text
    assert agent.pk


def test_queues_and_the_process_itself_are_told(client):
    found = samples(client)
    queues = {key[1][1] for key in found if key[0] == "trinity_queue_depth"}
    assert {"request", "engine-verb", "engine-question", "database-reader"} <= queues
    assert found[("process_resident_memory_bytes",)] > 0


def test_many_objects_cost_no_more_queries_than_one(client):
    def queries():
        with CaptureQueriesContext(connection) as counted:
            samples(client)
        return len(counted)

    make_operation()
    samples(client)
    of_one = queries()
    for _ in range(10):
        make_operation()
    assert queries() == of_one


def test_a_token_of_an_administrator_needs_the_scope():
    administrator, person = make_administrator(), make_user()
    assert with_scopes(administrator, "metrics").get("/metrics").status_code == 200
    # Such a token may have been made by somebody who is no administrator any more.
    refused = (with_scopes(administrator, "manage"), with_scopes(person, "metrics"))
    for client in (*refused, client_of(person)):
        answer = client.get("/metrics")
        assert (answer.status_code, answer.json()["code"]) == (403, "metrics_forbidden")


def test_a_token_for_metrics_reads_nothing_else():
    assert with_scopes(make_administrator(), "metrics").get("/api/agents").status_code == 403


def test_nobody_reads_them_without_signing_in():
    answer = APIClient().get("/metrics")
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    bad = APIClient()
    bad.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    assert bad.get("/metrics").json() == {"detail": "Could not validate credentials"}
