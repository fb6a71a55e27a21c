"""How many queries each GET of the API takes: the same for one object and for many.

The endpoints come from the URL configuration, so a new one is counted by itself, and this fails
until `make docs` has written docs/queries.md anew. What a path needs besides goes into QUERY;
what is no 200 here, into OTHER.
"""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from agents import lifecycle
from agents.models import Activity, EnvironmentValue, Sample, Stats
from agents.output import logs
from operations.models import Artifact
from tests.factories import (
    client_of,
    make_agent,
    make_operation,
    make_token,
    make_user,
    share,
)
from trinity.api import ApiView
from trinity.audit import SYSTEM, record

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = Path(__file__).resolve().parents[2] / "docs" / "queries.md"
HEAD = """# Queries per request

Written by `make docs`, and compared with what is counted by `tests/web/test_queries.py`: each GET
of the API by a person with a token, who owns one of everything and then twenty (of what only
administrators may see, by one). Both take the same number; of it, two find out who calls.

| GET | queries |
|---|---|
"""
MANY = 20
QUERY = {
    "/api/agents": "?stats=1",
    "/api/templates/env-template": "?template_id=local:default",
}
OTHER = {
    # Not configured, and so no more than the check that it is not.
    "/api/agents/{name}/git/log": 400,
    # The bytes are nowhere, which is looked at last.
    "/api/v1/operations/{operation_id}/artifacts/{path}": 503,
}


def endpoints():
    """Each path with a GET that Django answers, as the documentation writes it."""
    found = {
        "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        for pattern in leaves(get_resolver().url_patterns)
        if issubclass(getattr(pattern.callback, "view_class", object), ApiView)
        and hasattr(pattern.callback.view_class, "get")
    }
    assert len(found) > 25
    return sorted(found)


def leaves(patterns):
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern
        elif str(pattern.pattern) == "":
            yield from leaves(pattern.url_patterns)


class World:
    """One owner, and as many of everything as is asked for."""

    def __init__(self):
        self.owner = make_user()
        self.administrator = make_user(is_superuser=True, is_staff=True)
        self.client, self.all_seeing = client_of(self.owner), client_of(self.administrator)
        self.agent = make_agent(name="seen", owner=self.owner)
        lifecycle.start(self.agent, SYSTEM)
        self.operations = []
        self.token, _ = make_token(self.owner)

    def grow(self, count):
        for number in range(count):
            self._add_to(self.agent)
            self._add_to(make_agent(name=f"other{timezone.now().timestamp()}", owner=self.owner))
            EnvironmentValue.objects.create(agent=self.agent, name=f"N{self.size}", value="v")
            make_token(self.owner, name=f"t{number}")
            record(SYSTEM, "start", "agent", "seen")

    @property
    def size(self):
        return len(self.operations)

    def _add_to(self, agent):
        share(agent, make_user())
        Activity.objects.create(agent=agent, activity_type="operation", user=self.owner)
        at = timezone.now() - timedelta(seconds=self.size)
        Stats.objects.get_or_create(agent=agent, defaults={"sampled_at": at})
        Sample.objects.create(agent=agent, at=at, interval_seconds=2)
        operation = make_operation(agent=agent, requester=self.owner, artifact_count=1)
        Artifact.objects.create(operation=operation, path="a", size=1, stored_as="none")
        self.operations.append(operation)
        logs.append(agent.log_id, [(False, "line")], {})

    def path(self, endpoint):
        arguments = {
            "name": "seen",
            "operation_id": self.operations[0].pk,
            "path": "a",
            "template_id": "local:default",
            "token_id": self.token.pk,
        }
        return endpoint.format(**arguments) + QUERY.get(endpoint, "")

    def counts(self):
        """Queries of each endpoint but those that are answered beside Django: streams, files."""
        return {
            endpoint: self.queries(endpoint)
            for endpoint in endpoints()
            if self.client.get(self.path(endpoint)).status_code != 405
        }

    def queries(self, endpoint):
        client = self.client
        if client.get(self.path(endpoint)).status_code == 403:
            client = self.all_seeing
        client.get(self.path(endpoint))  # What is kept in memory from now on is not counted.
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(self.path(endpoint))
        assert answer.status_code == OTHER.get(endpoint, 200), (endpoint, answer.content)
        return len(captured)


def test_each_endpoint_takes_as_many_queries_for_one_as_for_many():
    world = World()
    world.grow(1)
    one = world.counts()
    world.grow(MANY - 1)
    assert world.counts() == one
    written = HEAD + "".join(f"| `{endpoint}` | {count} |\n" for endpoint, count in one.items())
    if os.environ.get("TRINITY_WRITE_DOCS") == "1":
        TABLE.write_text(written)
    assert TABLE.read_text() == written, "Run `make docs`, and look at what has changed"
