"""Made-up requests to everything in the document find no failure and no undocumented answer."""

import os
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi

from agents import events, lifecycle
from agents.models import Agent
from tests.api.documented import ENDLESS, strict
from tests.factories import (
    make_administrator,
    make_operation,
    make_running_agent,
    make_user,
    share,
    token_of,
)
from trinity.asgi import application
from trinity.audit import SYSTEM
from trinity.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3000)]

# So many of each kind for each operation, other ones in each run; without it few and the same.
EXAMPLES = int(os.environ.get("TRINITY_FUZZ_EXAMPLES", "0"))
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def _impatient(settings, monkeypatch):
    """No chat is waited for."""
    settings.TRINITY_CHAT_SECONDS = 0
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.05)


class World:
    """People and an agent ``scribe`` that runs, made again where a request has ended it."""

    def __init__(self):
        self.administrator, self.owner = make_administrator(), make_user()
        self.reader = make_user(email="reader@example.org")
        self.operation = make_operation(agent=make_running_agent(owner=self.owner))

    def restore(self):
        agent = Agent.objects.filter(name="scribe").first()
        if agent is None:
            agent = make_running_agent(name="scribe", owner=self.owner, container_id="")
        lifecycle.start(Agent.objects.select_related("host", "owner").get(pk=agent.pk), SYSTEM)
        Agent.objects.filter(pk=agent.pk).update(prompt_command=["echo"])
        if not agent.shares.filter(email=self.reader.email).exists():
            share(agent, self.reader)

    @property
    def values(self):
        return {
            "name": ["scribe", "nobody"],
            "operation_id": [str(self.operation.pk), UNKNOWN],
            "template_id": ["local:default", "local:none"],
            "email": [self.reader.email, "a/b@example.org"],
            "variable": ["API_KEY", "="],
        }


def tried(operation, mode, headers):
    """Send made-up requests to one operation; return how many."""
    count = 0

    @hypothesis_settings(
        max_examples=EXAMPLES or 4,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case):
        nonlocal count
        count += 1
        response = case.call(app=application, base_url="http://localhost", headers=headers)
        case.validate_response(response, checks=CHECKS)

    # Raised where nothing about a request can be wrong.
    with suppress(Unsatisfiable):
        attempt()
    return count


@pytest.mark.parametrize("role", ["administrator", "owner"])
def test_no_made_up_request_gets_an_answer_that_is_not_documented(role, containers):
    world = World()
    schema = schemathesis.openapi.from_dict(strict(world.values))
    found, count = [], 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in ENDLESS:
            continue
        for mode in GenerationMode:
            world.restore()
            token = token_of(User.objects.get(pk=getattr(world, role).pk))
            try:
                count += tried(operation, mode, {"Authorization": f"Bearer {token}"})
            except Exception as error:  # All that is wrong is told at once.
                found.append(f"{operation.label}: {error}")
    assert not found, "\n\n".join(found)
    assert count > 300
